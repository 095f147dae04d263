"""The wing of the zoo that only PostgreSQL can hold."""
