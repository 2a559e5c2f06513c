"""Events, read into what is asked of them: runs, tables, time spent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adiw_tune.arms import BASELINES
from adiw_tune.decide import mark_front, pareto_front
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.record.events import DamagedError, Event, check_whole
from adiw_tune.record.log import EventLog
from adiw_tune.record.runs import MOST_SKIPPED, Run, Skipped
from adiw_tune.tracking.translate import settings_of

_NUMBERS = ["work_s", "wall_s", "retimed_s", "epochs", "rung"]
_GIVEN = ("trial", "number", "kind", "of", "config", "params", "distributions")
# Fields that a plain step's seconds depend on. Whether gradients are clipped is added to them.
_PLAIN = ("task", "network", "model", "precision", "batch_size", "optimizer")
_CLEARLY_MORE = 1.05  # plain steps that one takes: with fewer, timings tell nothing of the rest
_BETWEEN_SESSIONS = ("extended", "test_read")
# What the configurations of earlier versions mean by leaving a field out.
_OF_EARLIER_VERSIONS = {"reference_weight": 0.0}


@dataclass
class _Session:
    began: Event
    last_heard: float


class History:
    """The runs of a search by their id, in the order in which they began.

    ``refresh`` reads what the log holds beyond what was read: it is cheap, and asked often.

    Args:
        log: of the search.
        metric: what the search chooses by. Tables have its values in a column of its name.
    """

    def __init__(self, log: EventLog, metric: Metric = ACCURACY) -> None:
        self.log = log
        self.metric = metric
        self.runs: dict[str, Run] = {}
        self.proposed: list[Run | Skipped] = []  # search trials and infeasible points
        self.skipped_in_a_row = 0  # since a trial began, or the search was extended
        self.readings: list[Event] = []  # of the test split
        self.in_finale = False  # since the search was last extended by trials or budget
        self.finished_when_extended = 0
        self._sessions: list[_Session] = []
        self.offset = 0  # up to which the log has been read
        self.refresh()

    def refresh(self) -> "History":
        """Take in what has been written since.

        Raises:
            UserError: an event is damaged, or is of a run whose beginning is not there.
        """
        for event, offset in self.log.after(self.offset):
            try:
                check_whole(event)
                self._take(event)
            except DamagedError as error:
                raise self.log.damaged(offset, error) from None
            self.offset = offset
        return self

    def _take(self, event: Event) -> None:
        kind = event["event"]
        if kind == "session":
            self._sessions.append(_Session(event, event["time"]))
        elif self._sessions and kind not in _BETWEEN_SESSIONS:
            self._sessions[-1].last_heard = event["time"]
        if kind == "extended":
            self._go_on_with_the_finale()
            if "trials" in event:  # else the search before the finale stays as it ended
                self.in_finale = False
                self.finished_when_extended = len(self.finished_in_order())
                self.skipped_in_a_row = 0
        elif kind == "trial":
            self._begin(event)
        elif kind == "skipped":
            fields = {name: event[name] for name in ("number", "params", "distributions", "reason")}
            self.proposed.append(Skipped(**fields, ended_at=event["time"]))
            self.skipped_in_a_row += 1
        elif kind == "test_read":
            self.readings.append(event)
        elif kind != "session":
            self._begun(event["trial"]).take(event)

    def _begin(self, event: Event) -> None:
        if event["kind"] != "search":
            self._begun(event["of"])
        fields = {name: event[name] for name in _GIVEN}
        fields["config"] = {**_OF_EARLIER_VERSIONS, **fields["config"]}
        run = Run(**fields, session=len(self._sessions) - 1)
        if self.runs.setdefault(event["trial"], run) is not run:
            return
        if run.kind == "search":
            self.proposed.append(run)
            self.skipped_in_a_row = 0
        else:
            self.in_finale = True

    def _begun(self, trial: str) -> Run:
        if trial not in self.runs:
            raise DamagedError(f"trial '{trial}' has not begun")
        return self.runs[trial]

    def _go_on_with_the_finale(self) -> None:
        """Its runs that the budget stopped: what they were for is still wanted."""
        for run in self.runs.values():
            if run.kind != "search" and run.status == "stopped":
                run.status, run.reason, run.ended_at = "running", None, None

    def of_kind(self, kind: str) -> list[Run]:
        """Runs of one kind."""
        return [run for run in self.runs.values() if run.kind == kind]

    @property
    def skipped(self) -> list[Skipped]:
        """Points that the space called infeasible."""
        return [one for one in self.proposed if isinstance(one, Skipped)]

    @property
    def given_up(self) -> bool:
        """Whether so many points in a row were infeasible that no more are looked for."""
        return self.skipped_in_a_row >= MOST_SKIPPED

    @property
    def has_run(self) -> bool:
        """Whether any run came so far that there is something to keep."""
        return any(run.setup or run.epochs or run.ended for run in self.runs.values())

    @property
    def unfinished(self) -> list[Run]:
        """Runs without an end."""
        return [run for run in self.runs.values() if not run.ended]

    def plain_s(self, config: dict[str, Any]) -> float | None:
        """Seconds of a plain step of runs whose ``_kind_of_step`` is that of ``config``.

        As the first run of that kind measured it, told in seconds of the search's first kind of
        device, so that all count in one unit; None if none has.
        """
        return next((setup["plain_s"] for setup in self._setups_alike(config)), None)

    def peak_memory(self, config: dict[str, Any]) -> tuple[int, int] | None:
        """Bytes that a run of this kind was seen to need of a GPU, and bytes that GPU has, or None.

        Of several runs, the one whose share of its GPU was the largest.
        """
        needs = [
            (setup["memory_bytes"], setup["device_bytes"])
            for setup in self._setups_alike(config)
            if setup.get("memory_bytes") and setup.get("device_bytes")
        ]
        return max(needs, key=lambda need: need[0] / need[1], default=None)

    def context_bytes(self) -> int:
        """What a process was seen to take of a GPU beside what torch reserves there; 0: none was.

        The least of each kind of GPU, as others who use it can only add to that; the most of these.
        """
        least: dict[str, int] = {}
        for run in self.runs.values():
            if run.setup and (seen := run.setup.get("context_bytes")) is not None:
                kind = run.setup["device"]
                least[kind] = min(seen, least.get(kind, seen))
        return max(least.values(), default=0)

    def _setups_alike(self, config: dict[str, Any]) -> Iterator[Event]:
        for run in self.runs.values():
            if run.setup and _kind_of_step(run.config) == _kind_of_step(config):
                yield run.setup

    def cost(self, run: Run) -> dict[str, float] | None:
        """What a step of ``run`` costs, if it or what it repeats measured that."""
        return self._measured(run) or (self._measured(self.runs[run.of]) if run.of else None)

    @staticmethod
    def _measured(run: Run) -> dict[str, float] | None:
        if run.setup is None:
            return None
        warm_up = run.setup.get("warm_up_ratio", 1.0)  # not told by earlier versions
        return {
            "plain_s": run.setup["plain_s"],
            "ratio": run.setup["ratio"],
            "warm_up_ratio": warm_up,
        }

    def speeds(self) -> dict[str, tuple[float, float | None]]:
        """Kind of device -> its speeds, in units of the search's first kind of device.

        For a plain step, and for what a configuration's own takes beyond it; None for the latter
        if only plain steps have been compared.
        """
        known: dict[str, tuple[float, float | None]] = {}
        for run in self.runs.values():
            if run.setup and known.get(run.setup["device"], (0, None))[1] is None:
                known[run.setup["device"]] = _speeds(run.setup)
        return known

    def yardstick(self) -> tuple[dict[str, Any], dict[str, float]] | None:
        """Configuration of the first run that was set up, and what a step of it costs.

        The first whose own steps take clearly more than plain ones. Until there is one, the first
        of all, by its plain steps alone: with ratio 1. What a device of another kind takes for the
        same steps tells its speeds.
        """
        set_up = [(run.config, cost) for run in self.runs.values() if (cost := self._measured(run))]
        for config, cost in set_up:
            if cost["ratio"] > _CLEARLY_MORE:
                return config, cost
        return next(((config, {**cost, "ratio": 1.0}) for config, cost in set_up), None)

    def spent_s(self, now: float | None = None) -> float:
        """Wall seconds that sessions lasted, each up to the last event it wrote.

        The last one up to ``now``, if it is given: that of a search that is running.
        """
        spent = sum(one.last_heard - one.began["time"] for one in self._sessions)
        if now is not None and self._sessions:
            spent += now - self._sessions[-1].last_heard
        return float(spent)

    def session_of(self, run: Run) -> Event:
        """What was true of code and machine when ``run`` began: the session's event."""
        if run.session < 0:
            raise UserError(f"'{self.log.path}' is damaged: no session before trial {run.trial}")
        return self._sessions[run.session].began

    def trials(self) -> pd.DataFrame:
        """One row for each search trial: its last epoch, its status and its configuration.

        Columns trial, number, divergence, status (running, finished, pruned, stopped or failed),
        of the metric's name, work_s, wall_s, retimed_s (NaN unless it was timed alone), epochs,
        rung (NaN unless pruned), reason, ``params`` and ``config``: what was suggested and what the
        space made of it, dicts.
        """
        retimed = {run.of: _whole_seconds(run, self.runs) for run in self.of_kind("retime")}
        rows = [_row(run, self.metric, retimed.get(run.trial)) for run in self.of_kind("search")]
        table = pd.DataFrame(rows, columns=self._columns)
        numbers = [self.metric.name, "work_s", "wall_s", "retimed_s", "rung"]
        return table.astype(dict.fromkeys(numbers, "float64"))

    @property
    def _columns(self) -> list[str]:
        head = ["trial", "number", "divergence", "status", self.metric.name]
        return [*head, *_NUMBERS, "reason", "params", "config"]

    def finished_in_order(self) -> pd.DataFrame:
        """The finished trials in the order in which they ended, as ``trials`` gives them."""
        ended = sorted(
            (run.ended_at or 0.0, run.trial)
            for run in self.of_kind("search")
            if run.status == "finished"
        )
        return self.trials().set_index("trial", drop=False).loc[[trial for _, trial in ended]]

    def reruns(self) -> pd.DataFrame:
        """One row for each run of a search trial over another seed; NaN where it diverged."""
        rows = [
            (run.of, run.arm, run.config["seed"], value, run.last("work_s"))
            for run in self.of_kind("seed")
            if (value := run.value_over_seed(self.metric)) is not None
        ]
        columns = ["trial", "divergence", "seed", self.metric.name, "work_s"]
        return pd.DataFrame(rows, columns=columns)

    def metrics_of(self, trial: str) -> dict[str, float | None]:
        """All metrics of a trial: the mean over its finished reruns, or if there are none its own.

        None of one that has no value in a run.
        """
        again = [run for run in self.of_kind("seed") if run.of == trial]
        finished = [run for run in again if run.status == "finished"] or [self.runs[trial]]
        values = pd.DataFrame([run.last("metrics") or {} for run in finished])
        means = values.astype("float64").mean(skipna=False)
        return {str(name): None if pd.isna(mean) else float(mean) for name, mean in means.items()}

    def curves(self) -> pd.DataFrame:
        """One row for each epoch of each search trial."""
        name = self.metric.name
        rows = [
            (run.trial, run.arm, run.status, one["epoch"], one["metrics"].get(name), one["work_s"])
            for run in self.of_kind("search")
            for one in run.epochs
        ]
        table = pd.DataFrame(
            rows, columns=["trial", "divergence", "status", "epoch", name, "work_s"]
        )
        return table.astype({name: "float64"})

    def front(self) -> pd.DataFrame:
        """The Pareto front of the finished trials, with a column for each setting."""
        front = pareto_front(self.trials(), self.metric)
        return self._with_settings(front).drop(columns=["reason", "on_front"])

    def varied(self) -> list[str]:
        """The columns of ``front`` and ``marked`` for the settings that the search varies.

        First settings that differ among weighted trials, or among trials of one baseline; then
        suggested values that are no settings.
        """
        alike: dict[str | None, list[dict[str, Any]]] = {}
        for run in self.of_kind("search"):
            baseline = run.arm if run.arm in BASELINES else None
            alike.setdefault(baseline, []).append(settings_of(run.config))
        differing = (name for some in alike.values() for name in _differing(some))
        shown = (self._shown(run.params, run.config) for run in self.of_kind("search"))
        suggested = (name for one in shown for name in one)
        # The arm is a column, and so are the epochs that a trial ran.
        names = [*(name for name in differing if name != "method"), *suggested]
        return [name for name in dict.fromkeys(names) if name not in self._columns]

    def marked(self) -> pd.DataFrame:
        """All trials as they ended, with a column for each setting, and ``on_front``."""
        ended = {run.trial: run.ended_at or float("inf") for run in self.of_kind("search")}
        in_order = self.trials().sort_values("trial", key=lambda trials: trials.map(ended))
        return mark_front(self._with_settings(in_order.reset_index(drop=True)), self.metric)

    def _with_settings(self, trials: pd.DataFrame) -> pd.DataFrame:
        """``trials`` with a column for each setting, and for what else was suggested."""
        dicts = zip(trials["config"], trials["params"], strict=True)
        settings = pd.DataFrame(
            [self._shown(params, own) | settings_of(own) for own, params in dicts]
        )
        settings.index = trials.index
        known = [name for name in settings if name in trials]
        rest = trials.drop(columns=["config", "params"])
        return pd.concat([rest, settings.drop(columns=known)], axis=1)

    def _shown(self, params: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
        """What was suggested by names that are no settings, by names that are no columns either."""
        own = {name: value for name, value in params.items() if name not in config}
        taken = self._columns
        return {f"suggested {n}" if n in taken else n: value for n, value in own.items()}


def _row(run: Run, metric: Metric, retimed_s: float | None) -> tuple[Any, ...]:
    last = (run.value(metric), run.last("work_s"), run.last("wall_s"))
    place = (run.trial, run.number, run.arm, run.status)
    numbers = (*last, retimed_s, len(run.epochs), run.rung)
    return *place, *numbers, run.reason, run.params, run.config


def _differing(settings: list[dict[str, Any]]) -> list[str]:
    """The names whose values are not the same in all, in their order."""
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if len({repr(one.get(name)) for one in settings}) > 1]


def _kind_of_step(config: dict[str, Any]) -> tuple[Any, ...]:
    config = {"optimizer": "adam", **config}  # earlier versions had no other, and did not say so
    return *(config.get(name) for name in _PLAIN), config.get("clip_norm") is None


def _speeds(setup: Event) -> tuple[float, float | None]:
    return setup.get("speed", 1.0), setup.get("extra_speed", 1.0)


def _whole_seconds(retime: Run, runs: dict[str, Run]) -> float | None:
    """Of the run that ``retime`` ran the first epochs of, alone; its last stands for the rest.

    Told in seconds of the search's first kind of device, as work is.
    """
    if retime.status != "finished" or retime.of not in runs:
        return None
    setup = retime.setup or {}
    (speed, extra_speed), ratio = _speeds(setup), setup.get("ratio", 1.0)
    speed = ratio / (1 / speed + (ratio - 1) / (extra_speed or speed))  # of one of its steps
    wall = [0.0, *(one["wall_s"] for one in retime.epochs)]
    rest = runs[retime.of].config["epochs"] - len(retime.epochs)
    return float(speed * (wall[-1] + rest * (wall[-1] - wall[-2])))
