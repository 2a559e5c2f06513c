"""The figures of a search: what each shows, and how plotly and matplotlib draw it.

`chart` is what all of them are made of; `front`, `confidence`, `importance` and `anytime` make one
from an `Outcome`; `in_plotly` draws pages, `in_matplotlib` pictures.
"""
