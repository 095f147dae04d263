"""What are very many narrow rows? The readings of one meter: ten million of them, in SQLite.

`python -m benchmarks.meters.fill PATH ROWS` makes the file, `python -m benchmarks.meters` is its
manage.py. Remarks may point at a reading, though none does: so the keys of all have to be held.
"""
