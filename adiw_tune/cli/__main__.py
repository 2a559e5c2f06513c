"""``python -m adiw_tune.cli``."""

from adiw_tune.cli import main

main()
