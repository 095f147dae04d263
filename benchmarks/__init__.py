"""How fast is Gestore, and how much memory does it take? Run with `python -m benchmarks`."""
