"""What the commands share: the app they register with, and common options."""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from adiw_tune.cli.console import warn
from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord

app = typer.Typer(
    help="Find the divergence that importance-weights your shifted training data best.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@cache
def command_line() -> Any:
    """All commands as one, once each of their modules has been imported."""
    return typer.main.get_command(app)


def warn_if_not_over(record: SearchRecord) -> None:
    """Warn that results may still change, if the search is not over."""
    if not record.finished:
        name = record.settings.name
        rest = "" if record.running else f"; go on by: {record.resume_command()}"
        warn(f"search '{name}' is not over, so this may change{rest}")


def _directory(path: Path | None) -> Path | None:
    if path is not None and not os.path.isdir(path):
        raise UserError(f"--data-dir '{path}' is no directory: correct it")
    return path


Storage = Annotated[Path, typer.Option(help="Directory of the searches.")]
DataDir = Annotated[
    Path | None,
    typer.Option(callback=_directory, help="Where to look for data first."),
]
SearchStorage = Annotated[
    Path | None, typer.Option("--storage", help="Directory of the searches, with --from.")
]
ReferenceSize = Annotated[
    int | None,
    typer.Option(help="Reference rows: weights are estimated on them; most methods train on them."),
]
SelectSize = Annotated[int | None, typer.Option(help="Rows that a search chooses by.")]
SearchName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the search.")]
SearchPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="knee, fastest-within=0.01 or best-under=20; by default the search's own.",
    ),
]
_METRICS_HELP = (
    "accuracy, balanced_accuracy, macro_f1, auroc, average_precision, worst_group_accuracy, "
    "log_loss; for real targets rmse, mae, r2; or metric, the task file's own."
)
_OF_THE_TASK = "the task file's, or accuracy, or rmse for real targets."
MetricName = Annotated[str | None, typer.Option(help=f"{_METRICS_HELP} Default: {_OF_THE_TASK}")]
MetricNameWithFrom = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help=f"{_METRICS_HELP} Default: with --from the search's; else {_OF_THE_TASK}",
    ),
]
TextOrJson = Annotated[Literal["text", "json"], typer.Option("--format")]
