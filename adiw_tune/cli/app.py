"""What the commands share: the app they register with, where they print, and common options."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

app = typer.Typer(
    help="Find the divergence that importance-weights your shifted training data best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

Storage = Annotated[Path, typer.Option(help="Directory of the searches.")]
DataDir = Annotated[Path | None, typer.Option(help="Where to look for data first.")]
ReferenceSize = Annotated[int | None, typer.Option(help="Rows that set weights.")]
SelectSize = Annotated[int | None, typer.Option(help="Rows that a search chooses by.")]
SearchName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the search.")]
SearchPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="knee, fastest-within=0.01 or best-under=20; by default the search's own.",
    ),
]
TextOrJson = Annotated[Literal["text", "json"], typer.Option("--format")]
