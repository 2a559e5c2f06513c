"""Which training rows of a search look wrong, with all that their page and tables show of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.search.row_previews import row_previews
from adiw_tune.search.row_tables import csv_pieces, row_tables, text_of
from adiw_tune.search.rows import RankedRows, ranked_rows, telling_run
from adiw_tune.tasks import Splits
from adiw_tune.text import counted
from adiw_tune.tracking.rows_page import ShownRow, SuspectRows, shown_row
from adiw_tune.training import TrainingRun, TrialConfig, load_splits

MOST_SHOWN = 200  # on the page, where nobody asks for more
_OF_DATA = ("task", "shift", "reference_size", "select_size", "folds", "fold", "seed")
Warn = Callable[[str], None]


def suspect_rows(
    record: SearchRecord, ranked: RankedRows, splits: Splits, most: int
) -> SuspectRows:
    """What the page shows of the ``most`` most suspicious, read from ``splits``, and all as CSV.

    Raises:
        UserError: a row cannot be read.
    """
    table = pd.concat(row_tables(ranked, most))
    return SuspectRows(
        shown=_shown(table, splits),
        rows=len(ranked),
        otherwise=told_otherwise(ranked),
        by=told_by(ranked),
        command=record.rows_command(),
        csv=partial(csv_pieces, ranked),
    )


def told_by(ranked: RankedRows) -> str:
    """Such as 4 runs of trial t7."""
    return f"{counted(int(np.max(ranked.runs)), 'run')} of trial {ranked.trial}"


def told_otherwise(ranked: RankedRows) -> str:
    """Such as: for 395 of 1,100 rows the predicted class is not the label; "" if unknown."""
    number = ranked.predicted_otherwise()
    if number is None:
        return ""
    several = ranked.label.ndim > 1 and ranked.label[0].size > 1
    what = (
        "at least one predicted label differs"
        if several
        else "the predicted class is not the label"
    )
    return f"for {number:,} of {len(ranked):,} rows {what}"


def suspects_at_end(
    record: SearchRecord, won: TrainingRun | None, warn: Warn
) -> SuspectRows | None:
    """For the pages of a search that is over; None where no run has row scores.

    None, and a line, if the scores cannot be read: that holds up no decision.

    Args:
        record: of the search.
        won: the winner's run, whose rows are in memory, if there is one.
        warn: called with a line of what went wrong.
    """
    try:
        run = telling_run(record)
        if run is None:
            return None
        splits = _at_hand(record, run, won) or splits_of(record, run)
        return suspect_rows(record, ranked_rows(record), splits, MOST_SHOWN)
    except Exception as error:  # also of a user's data set, and our own mistake in a page
        why = str(error) if isinstance(error, UserError) else in_one_line(error)
        warn(f"the ranked rows were not sent to MLflow: {why}")
        return None


def splits_of(record: SearchRecord, run: Run, data_dir: Path | None = None) -> Splits:
    """The rows that ``run`` was trained on.

    Raises:
        UserError: they are gone, or are others now.
    """
    config = _config(record, run)
    splits = load_splits(config, data_dir or record.settings.data_dir)
    trained_on = (run.setup or {}).get("splits", {}).get("train")
    if trained_on is not None and splits.train.digest() != trained_on:
        raise UserError(
            f"the training rows of task '{config.task}' have changed since run {run.trial}: "
            "--format csv still gives the row numbers"
        )
    return splits


def _config(record: SearchRecord, run: Run) -> TrialConfig:
    return TrialConfig.from_mapping(run.config, record.settings.files_from)


def _at_hand(record: SearchRecord, run: Run, won: TrainingRun | None) -> Splits | None:
    """The rows in memory, if they are those of ``run``."""
    if won is None:
        return None
    config = _config(record, run)
    same = all(getattr(won.config, name) == getattr(config, name) for name in _OF_DATA)
    return won.splits if same else None


def _shown(table: pd.DataFrame, splits: Splits) -> list[ShownRow]:
    previews = row_previews(splits, table["row"].tolist())
    texts = [[text_of(cell) for cell in table[column]] for column in ("label", "predicted")]
    cells = table.to_dict("records")
    return [shown_row(*one) for one in zip(cells, *texts, previews, strict=True)]
