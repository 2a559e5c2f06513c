"""A dial turned from its lowest point to its highest, and recorded beside the search's trials."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from adiw_tune.cores import usable_cores
from adiw_tune.errors import UnsentError, UserError
from adiw_tune.metrics import find_metric
from adiw_tune.ranges import check_whole
from adiw_tune.record.files import claimed
from adiw_tune.record.provenance import provenance
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.scaling.curve import curve
from adiw_tune.scaling.dial import Dial, Point, Room, find_dial
from adiw_tune.scaling.point import Failed, measure_point
from adiw_tune.scaling.unfinished import Unfinished
from adiw_tune.scaling.worker import Measured
from adiw_tune.search.picking import pick
from adiw_tune.search.preflight import check_record
from adiw_tune.search.rerun import named_run
from adiw_tune.tracking.retry import until_accepted
from adiw_tune.tracking.scaling import Scale, ScaleRun
from adiw_tune.tracking.translate import run_name
from adiw_tune.training import TrialConfig, load_splits

Outcomes = list[tuple[Point, Measured | Failed]]

_MOST_SEEDS = 1000
_PATIENCE_S = 120.0  # with a server that has gone away


@dataclass(frozen=True)
class ScaleRequest:
    """What a user asks for.

    Args:
        dial: a name of :data:`adiw_tune.scaling.dial.DIALS`.
        values: its points, as :meth:`Dial.points` reads them; None for the dial's own choice.
        policy: of the pick whose configuration is turned; None for the search's own.
        trial: whose configuration is turned instead of the pick's, such as 7 or t7.
        seeds: over how many each point runs, from the configuration's own, at least 1.
        data_dir: where to look for data first; None for where the search did.
    """

    dial: str
    values: str | None
    policy: str | None
    trial: str | None
    seeds: int
    data_dir: Path | None


@dataclass(frozen=True)
class _Turned:
    """What is measured: the points, what they share, and where their data is looked for."""

    points: list[Point]
    scale: Scale
    data_dir: Path | None

    def all_that_counts(self) -> dict[str, Any]:
        """What the numbers depend on, for JSON."""
        here = provenance()
        points = [asdict(point) for point in self.points]
        data = str(self.data_dir) if self.data_dir else None
        code = {"code": here["code"], "packages": here["packages"], "python": here["python"]}
        return {**asdict(self.scale), **code, "points": points, "data_dir": data}


def scale(
    record: SearchRecord,
    request: ScaleRequest,
    console: Console,
    show: Callable[[pd.DataFrame], None],
) -> str:
    """Measure a configuration of a search at each point of a dial, one after another.

    A point that fails is told in its row, and the others go on. What there is is shown and
    recorded at the end, also where Ctrl-C is the end. Killed, and begun again as it was, it goes
    on with the points that are left.

    Args:
        record: of the search.
        request: what to turn.
        console: where progress is told.
        show: called once with the curve, before MLflow has all of it.

    Returns:
        The name of its run in MLflow.

    Raises:
        UserError: something asked for is not right, and nothing was written; or no point
            finished.
        UnsentError: MLflow did not take the curve, which has been shown.
        KeyboardInterrupt: Ctrl-C, after what there is was shown and recorded.
    """
    turned = _checked(record, request)
    file = record.folder / f"scale-{request.dial}"
    with claimed(file.with_suffix(".lock"), f"dial {request.dial} is being turned already"):
        check_record(record)
        unfinished = Unfinished(file.with_suffix(".json"), turned.all_that_counts())
        run = _begun(record, turned.scale, unfinished)
        table, status = _turn(turned, unfinished, run, console)
        show(table)
        _send(run, table, status)
        unfinished.over()
    if status == "KILLED":
        raise KeyboardInterrupt
    if status == "FAILED":
        raise UserError(f"no point of dial {request.dial} finished")
    return turned.scale.run_name


def _send(run: ScaleRun, table: pd.DataFrame, status: str) -> None:
    try:
        until_accepted(partial(run.finish, table, status), _PATIENCE_S)
    except UserError as error:
        raise UnsentError(
            f"MLflow did not accept the curve ({error}), which is kept: run the same command "
            "again later to send it"
        ) from error


def _turn(
    turned: _Turned, unfinished: Unfinished, run: ScaleRun, console: Console
) -> tuple[pd.DataFrame, str]:
    """The curve, and what became of it, in MLflow's words."""
    dial, metric, outcomes = turned.scale.dial, turned.scale.metric, Outcomes()
    try:
        for point in turned.points:
            outcome = unfinished.outcomes.get(point.value)
            if outcome is None:
                outcome = _measured(point, turned, _plain_s(point, outcomes), console)
                unfinished.add(point.value, outcome)
            outcomes.append((point, outcome))
            with suppress(UserError):  # it is sent again at the end
                until_accepted(partial(run.record, curve(dial, outcomes, metric)), 0)
    except KeyboardInterrupt:
        return curve(dial, outcomes, metric), "KILLED"
    table = curve(dial, outcomes, metric)
    return table, "FINISHED" if table[metric].notna().any() else "FAILED"


def _checked(record: SearchRecord, request: ScaleRequest) -> _Turned:
    """What is to be measured, once it is known that it can be."""
    dial = find_dial(request.dial)
    check_whole("--seeds", request.seeds, 1, _MOST_SEEDS)
    run = _chosen(record, request)
    config = TrialConfig.from_mapping(run.as_far, record.settings.files_from)
    data_dir = request.data_dir or record.settings.data_dir
    points = dial.points(config, _room(config, data_dir), request.values)
    metric = record.settings.metric
    return _Turned(points, _scale(dial, run, points, request.seeds, metric), data_dir)


def _chosen(record: SearchRecord, request: ScaleRequest) -> Run:
    """The run whose configuration is turned; of one that was cut, as far as it came."""
    if request.trial is None:
        return named_run(record.history(), pick(record, request.policy).trial)
    if request.policy is not None:
        raise UserError("--policy picks a trial and --trial names one: give one of them")
    return named_run(record.history(), request.trial)


def _room(config: TrialConfig, data_dir: Path | None) -> Room:
    splits = load_splits(config, data_dir)
    devices = torch.cuda.device_count() or usable_cores()
    return Room(len(splits.train), len(splits.reference), devices)


def _scale(dial: Dial, run: Run, points: list[Point], seeds: int, metric: str) -> Scale:
    configs = [point.config.as_dict() for point in points]
    shared: dict[str, Any] = {
        name: value
        for name, value in configs[0].items()
        if all(config[name] == value for config in configs)
    }
    here = provenance()
    return Scale(
        dial=dial.name,
        axis=dial.axis,
        trial=run.trial,
        name=run_name(run.trial, {"number": run.number, "config": run.config, "of": run.of}),
        config=shared,
        device="cuda" if torch.cuda.is_available() else "cpu",
        seeds=seeds,
        metric=metric,
        machine=here["machine"],
        commit=here["commit"],
    )


def _begun(record: SearchRecord, scale: Scale, unfinished: Unfinished) -> ScaleRun:
    """That of the curve if it was killed, or a new run: no curve is put to another one."""
    settings = record.settings

    def begin() -> ScaleRun | None:
        uri = settings.tracking_uri
        if unfinished.left_run_id:
            ScaleRun.leave(uri, unfinished.left_run_id)
        killed = unfinished.run_id and ScaleRun.go_on(uri, unfinished.run_id, scale)
        return killed or ScaleRun.start(uri, settings.search_id, scale)

    run = until_accepted(begin, 0)
    if run is None:
        raise UserError(
            f"search '{settings.name}' is not in MLflow yet: {record.resume_command()} sends it"
        )
    unfinished.began(run.run_id)
    return run


def _plain_s(point: Point, outcomes: Outcomes) -> float | None:
    """As the first point with plain steps like those of ``point`` measured them."""
    known = (
        outcome.plain_s
        for other, outcome in outcomes
        if isinstance(outcome, Measured) and other.plain_step == point.plain_step
    )
    return next(known, None)


def _measured(
    point: Point, turned: _Turned, plain_s: float | None, console: Console
) -> Measured | Failed:
    """Measure a point, in the unit of those before it, and tell how far it is."""
    scale = turned.scale
    place = f"{scale.dial} {point.value}"

    def tell(message: dict[str, Any]) -> None:
        console.print(
            f"{place}, seed {message['seed']}: epoch {message['epoch']}/{point.config.epochs}, "
            f"select {scale.metric} {find_metric(scale.metric).text(message['value'])}",
            style="dim",
        )

    asked = (scale.seeds, scale.metric, scale.device, turned.data_dir, plain_s)
    outcome = measure_point(point, *asked, tell)
    if isinstance(outcome, Failed):
        console.print(f"{place} failed: {outcome.reason}", markup=False)
    else:
        rows = f"{outcome.rows_per_s:.0f} rows a second of wall time, {outcome.rows_per_work_s:.0f}"
        console.print(f"{place}: {rows} of work", markup=False)
    return outcome
