"""One configuration along a dial: what more workers, rows or steps give, and cost."""
