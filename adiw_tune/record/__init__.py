"""What a search leaves on disk, and what is read from it. Its event log is the one truth.

`log` the events, `runs` and `history` what follows from them, `record` the directory, `budget` what
may be spent, `provenance` what the numbers depend on.
"""
