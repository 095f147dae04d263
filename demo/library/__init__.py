"""A local library: the site that shows Gestore at work."""
