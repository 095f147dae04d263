"""Authors, books, their copies and the people who read them."""
