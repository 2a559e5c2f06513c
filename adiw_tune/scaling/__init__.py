"""One configuration along a dial: what more workers, rows or steps give, and cost.

Import from the modules: `dial` what is turned and how far, `worker` the process that a point is
measured in, `point` starts it and waits, `curve` the points as a table, `run` all of it, recorded.
"""
