"""A music shop in tables that Django did not make: the Chinook sample database."""
