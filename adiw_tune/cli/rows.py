"""The command that ranks the training rows by how likely their labels are wrong."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adiw_tune.cli.app import DataDir, SearchName, Storage, app, warn_if_not_over
from adiw_tune.cli.console import out, write
from adiw_tune.errors import UserError
from adiw_tune.output_file import OutputFile, begins_with
from adiw_tune.ranges import check_whole
from adiw_tune.record.record import DEFAULT_STORAGE, SearchRecord

if TYPE_CHECKING:
    from adiw_tune.search.rows import RankedRows

_IN_TABLE = 20  # rows, where nobody asks for more
_MOST = {"table": 10_000, "html": 10_000, "csv": 10**12, "json": 10**12}
_WHAT = {"csv": "table of rows", "json": "list of rows", "html": "page"}
_ENDINGS = {"csv": (".csv",), "json": (".json",), "html": (".html", ".htm")}
RowsKind = Literal["table", "csv", "json", "html"]


@app.command()
def rows(
    name: SearchName,
    top: Annotated[
        int | None,
        typer.Option(
            help="How many rows, the most suspicious first. Default: 20 for table, 200 for html, "
            "all for csv and json."
        ),
    ] = None,
    kind: Annotated[RowsKind, typer.Option("--format")] = "table",
    output: Annotated[
        Path | None, typer.Option(help="File for csv, json or html, instead of standard output.")
    ] = None,
    data_dir: DataDir = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Rank the training rows by how likely their labels are wrong."""
    if data_dir is not None and kind != "html":
        raise UserError("--data-dir is for --format html, which alone reads the rows: leave it out")
    file = _checked(kind, top, output)
    record = SearchRecord.open(storage, name)
    if kind == "table":
        _print_table(record, top or _IN_TABLE)
        return
    pieces = _page(record, top, data_dir) if kind == "html" else _data(record, kind, top)
    if file is None:
        for piece in pieces:
            write(piece)
    else:
        file.write(pieces)


def check_csv(option: str, path: Path) -> OutputFile:
    """The file, where a CSV of rows may be written to it; refused otherwise."""
    from adiw_tune.search.row_tables import CSV_BEGINS

    _check_ending(option, path, "csv")
    file = OutputFile(option, path)
    file.check(begins_with(CSV_BEGINS), _WHAT["csv"])
    return file


def _checked(kind: RowsKind, top: int | None, output: Path | None) -> OutputFile | None:
    if top is not None:
        check_whole("--top", top, 1, _MOST[kind])
    if output is None:
        if kind == "html":
            raise UserError("--format html needs --output FILE: name the page")
        return None
    if kind == "table":
        raise UserError("--output is for --format csv, json or html: name one of them")
    if kind == "csv":
        return check_csv("--output", output)
    from adiw_tune.search.row_tables import JSON_BEGINS
    from adiw_tune.tracking.rows_page import PAGE_BEGINS

    _check_ending("--output", output, kind)
    file = OutputFile("--output", output)
    file.check(begins_with(JSON_BEGINS if kind == "json" else PAGE_BEGINS), _WHAT[kind])
    return file


def _check_ending(option: str, path: Path, kind: str) -> None:
    """Refuse a name that promises another format; one without an ending promises none."""
    if path.suffix and path.suffix.lower() not in _ENDINGS[kind]:
        raise UserError(
            f"{option} '{path}' would hold {kind}: give it the ending {_ENDINGS[kind][0]}"
        )


def _print_table(record: SearchRecord, top: int) -> None:
    from adiw_tune.search.row_tables import row_tables
    from adiw_tune.search.suspects import told_by, told_otherwise
    from adiw_tune.terminal import rows_table

    ranked = _ranked(record)
    most = f"the {min(top, len(ranked)):,} most suspicious"
    heading = [f"{most} of {len(ranked):,} training rows, by {told_by(ranked)}"]
    heading += [otherwise] if (otherwise := told_otherwise(ranked)) else []
    out.print("\n".join(heading) + "\n", markup=False)
    out.print(rows_table(row_tables(ranked, top)))


def _data(record: SearchRecord, kind: str, top: int | None) -> Iterator[str]:
    from adiw_tune.search.row_tables import csv_pieces, json_pieces

    pieces = csv_pieces if kind == "csv" else json_pieces
    return pieces(_ranked(record), top)


def _page(record: SearchRecord, top: int | None, data_dir: Path | None) -> Iterable[str]:
    from adiw_tune.search.rows import telling_run
    from adiw_tune.search.suspects import MOST_SHOWN, splits_of, suspect_rows
    from adiw_tune.tracking.rows_page import rows_page

    ranked, run = _ranked(record), telling_run(record)
    assert run is not None  # or there were none to rank
    splits = splits_of(record, run, data_dir)
    suspects = suspect_rows(record, ranked, splits, top or MOST_SHOWN)
    return [rows_page(record.settings.name, suspects)]


def _ranked(record: SearchRecord) -> "RankedRows":
    from adiw_tune.search.rows import ranked_rows

    ranked = ranked_rows(record)
    warn_if_not_over(record)
    return ranked
