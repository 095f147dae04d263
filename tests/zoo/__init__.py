"""The zoo: a model for everything that Django's models can hold, and rows at their edges."""
