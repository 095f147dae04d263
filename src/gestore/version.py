"""Which Gestore is this?

The one place that says so: the build reads it, and so does every archive's manifest.
"""

__version__ = "0.1.0.dev0"
