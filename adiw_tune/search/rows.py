"""Training rows ranked by how suspicious their labels are: the row scores of a finale's runs."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.search.picking import pick
from adiw_tune.training.config.weights import FITTING_THEM_ANYWAY
from adiw_tune.training.row_scores import ScoredRows

FILE = "rows.pt"  # beside a run's last checkpoint
_AT_ONCE = 20_000  # rows compared at a time, so that no array is as long as the data set
SCORED = ("seed", "winner", "rows")  # kinds of runs that leave one
Array = NDArray[Any]


@dataclass(frozen=True)
class RankedRows:
    """Training rows, the most suspicious first.

    Args:
        trial: whose runs say it.
        runs: how many runs said something of each row: [n]. Seeds may deal rows to other roles, or
            change other labels; a run counts for the rows that it had with the same label.
        number, label, weight, fit, predicted, confidence: as of
            :class:`adiw_tune.training.row_scores.ScoredRows`, means over runs; ``predicted`` is
            what most runs say, of real targets their mean.
        names: of the classes, where labels came as names.
    """

    trial: str
    number: Array
    label: Array
    weight: Array
    fit: Array
    predicted: Array | None
    confidence: Array | None
    runs: Array
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.number)

    def predicted_otherwise(self) -> int | None:
        """For how many rows the predicted class is not the label, or any predicted label differs.

        None of real and own targets, where no two values are the same class.
        """
        if self.predicted is None or self.predicted.dtype.kind == "f":
            return None
        pieces = (slice(start, start + _AT_ONCE) for start in range(0, len(self), _AT_ONCE))
        return sum(_count_different(self.label[some], self.predicted[some]) for some in pieces)

    def take(self, rows: slice) -> "RankedRows":
        """Some of them, in their order."""
        arrays = {n: value for n, value in vars(self).items() if isinstance(value, np.ndarray)}
        parts: dict[str, Any] = {name: value[rows] for name, value in arrays.items()}
        return replace(self, **parts)


def ranked_rows(record: SearchRecord) -> RankedRows:
    """By the pick of a search; where that is a baseline, by its best weighted finalist.

    Rows are ranked by their mean fit, see :class:`ScoredRows`, the lowest first.

    Raises:
        UserError: the search has no run with row scores, or not yet.
    """
    run = telling_run(record)
    if run is None:
        raise UserError(_why_none(record))
    assert run.of is not None  # a search trial leaves no row scores
    found = _scored(record, run.of)
    return _together(run.of, next(found), found)


def _why_none(record: SearchRecord) -> str:
    """Why no run of a search tells of its rows, and what to do."""
    search = f"search '{record.settings.name}'"
    if not record.finished:
        rest = "is still running: wait for its end"
        if not record.running:
            rest = f"is not over: run '{record.resume_command()}' first"
        return f"{search} {rest}; rows are ranked by the runs of its finale"
    trial, runs = pick(record).weighted_trial, record.history().runs
    if trial is None:
        return (
            f"{search} has no weighted trial to rank the rows by; "
            f"'{_train_command(record)}' trains one and ranks them"
        )
    if not ranks_rows(runs[trial].config):
        return (
            f"trial {trial} of {search} is diw-published, which merges the reference rows with the "
            "training rows and does not rank them; "
            f"'{_train_command(record)}' trains by another method and ranks them"
        )
    return (
        f"{search} has no finished run of trial {trial} with row scores: the budget was spent "
        "before such a run finished, the run failed, or an earlier version ran it; "
        f"'{_train_command(record)}' ranks the rows"
    )


def _train_command(record: SearchRecord) -> str:
    """The command line that trains the pick, as a weighted run if need be, to rank the rows."""
    config = record.history().runs[pick(record).trial].config
    method = "" if ranks_rows(config) else " --method adiw"
    return f"{record.train_command()}{method} --rows FILE"


def ranks_rows(config: Mapping[str, Any]) -> bool:
    """Whether a run of ``config`` ranks the training rows.

    clean-only and diw-published do not: their rows are not the training rows alone.
    """
    return config.get("method") not in FITTING_THEM_ANYWAY


def telling_run(record: SearchRecord) -> Run | None:
    """The run whose rows :func:`ranked_rows` ranks; None if no run has row scores."""
    try:
        trial = pick(record).weighted_trial
    except UserError:  # there is nothing to pick from
        return None
    runs = [] if trial is None else _runs_of(record, trial)
    return next((run for run in runs if _file(record, run) is not None), None)


def ranked(trial: str, scored: ScoredRows) -> RankedRows:
    """By one run alone."""
    return _together(trial, scored, iter(()))


def _scored(record: SearchRecord, trial: str) -> Iterator[ScoredRows]:
    """Of the runs of a trial, one at a time in memory."""
    for run in _runs_of(record, trial):
        if (file := _file(record, run)) is not None:
            yield _saved(record, file)


def _runs_of(record: SearchRecord, trial: str) -> list[Run]:
    """That with the search's own seed first."""
    runs = record.history().runs
    own = [runs[name] for name in (f"{trial}-winner", f"{trial}-rows") if name in runs]
    return [*own, *(run for run in runs.values() if run.of == trial and run.kind == "seed")]


def _file(record: SearchRecord, run: Run) -> str | None:
    """What a whole run left of its rows; None if it left nothing."""
    if run.status != "finished":
        return None
    files = (f"{path}/{FILE}" for path in run.checkpoints)
    return next((file for file in files if record.checkpoints.exists(file)), None)


def _saved(record: SearchRecord, file: str) -> ScoredRows:
    store = record.checkpoints
    try:
        return ScoredRows.of(torch.load(io.BytesIO(store.read(file)), "cpu", weights_only=True))
    except Exception as error:  # whatever unpickling raises
        raise UserError(
            f"'{store.absolute(file)}' is damaged: '{_train_command(record)}' ranks the rows by "
            "a new run"
        ) from error


def _together(trial: str, base: ScoredRows, others: Iterator[ScoredRows]) -> RankedRows:
    sums = _Sums(base)
    for one in others:
        sums.add(one)
    order = np.argsort(sums.fit / sums.runs, kind="stable")
    predicted, confidence = sums.prediction()
    return RankedRows(
        trial=trial,
        number=base.number.numpy()[order],
        label=base.label.numpy()[order],
        weight=(sums.weight / sums.runs)[order],
        fit=(sums.fit / sums.runs)[order],
        predicted=None if predicted is None else predicted[order],
        confidence=None if confidence is None else confidence[order],
        runs=sums.runs[order],
        names=base.names,
    )


class _Sums:
    """Over runs, for the rows of the first. Predictions of all runs are kept, 4 bytes a row."""

    def __init__(self, base: ScoredRows) -> None:
        self._base = base
        self.runs = np.ones(len(base.number), dtype=np.int64)
        self.weight = base.weight.double().numpy()  # a copy, as files hold float32
        self.fit = base.fit.double().numpy()
        self._confidence = None if base.confidence is None else base.confidence.double().numpy()
        self._mean = base.predicted is not None and base.predicted.is_floating_point()
        self._said = [] if base.predicted is None else [_compact(base.predicted)]

    def add(self, one: ScoredRows) -> None:
        """What another run says of the rows that it had with the same label."""
        mine, theirs = _same_rows(self._base, one)
        self.runs[mine] += 1
        self.weight[mine] += one.weight.numpy()[theirs]
        self.fit[mine] += one.fit.numpy()[theirs]
        if one.predicted is not None and self._said:
            said = _compact(one.predicted)[theirs]
            if self._mean:
                self._said[0][mine] += said
            else:
                self._said.append(np.full_like(self._said[0], _NOTHING))
                self._said[-1][mine] = said
        if one.confidence is not None and self._confidence is not None:
            self._confidence[mine] += one.confidence.numpy()[theirs]

    def prediction(self) -> tuple[Array | None, Array | None]:
        """What most runs say, of values the mean; and their mean confidence."""
        confidence = None if self._confidence is None else self._confidence / self.runs
        if not self._said:
            return None, None
        first = self._said[0]
        if self._mean:
            mean = first / self.runs.reshape(-1, *[1] * (first.ndim - 1))
            return mean.astype(np.float32), confidence
        best, most = first.copy(), np.zeros(first.shape, dtype=np.int16)
        for one in self._said:  # of those that as many say, the first run's
            agree = np.zeros_like(most)
            for other in self._said:
                agree += one == other
            more = (one != _NOTHING) & (agree > most)
            best[more], most[more] = one[more], agree[more]
        return best, confidence


def _count_different(label: Array, predicted: Array) -> int:
    """In how many rows any value differs."""
    same = label.reshape(len(label), -1) == predicted.reshape(len(predicted), -1)
    return int(len(label) - same.all(1).sum())


_NOTHING = -1  # what a run says of a row that it did not have


def _compact(predicted: Tensor) -> Array:
    """A copy in which a class takes 4 bytes, and 0 or 1 of binary targets one; values double."""
    if predicted.is_floating_point():
        return predicted.double().numpy().copy()
    return predicted.numpy().astype(np.int8 if predicted.dtype == torch.uint8 else np.int32)


def _same_rows(base: ScoredRows, one: ScoredRows) -> tuple[Array, Array]:
    """Positions in either of the rows that both have, with one label."""
    number, mine, theirs = np.intersect1d(
        base.number.numpy(), one.number.numpy(), assume_unique=True, return_indices=True
    )
    label, other = base.label.numpy()[mine], one.label.numpy()[theirs]
    same = (label == other).reshape(len(number), -1).all(1)
    return mine[same], theirs[same]
