"""How fast can it go at all? The same work by hand, for each database, knowing the schema.

No Django, no Gestore, nothing checked but what the database checks by itself; each of the three is
a program: `python -m benchmarks.limit.postgresql export NAME FOLDER`.
"""
