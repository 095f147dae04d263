"""A site that has moved on: every kind of change that a schema goes through, in its migrations."""
