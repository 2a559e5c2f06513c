"""Any space that Optuna accepts runs a simulated search to its decision, and resumes from its log.

Runs are made up, all else is what a search does without Ray: proposals, programme, log, pick.
"""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from mlflow.utils.validation import _validate_param
from optuna.trial import TrialState
from ray.tune.search import Searcher
from rich.console import Console

from adiw_tune.errors import UserError
from adiw_tune.record.history import History
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run, end_cut_run, end_run
from adiw_tune.search.importance import importance
from adiw_tune.search.on_ray.searcher import ProgrammeSearcher
from adiw_tune.search.on_ray.shares import Machines
from adiw_tune.search.picking import pick
from adiw_tune.search.programme import Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.sampler import within
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.terminal import front_table, skipped_text
from adiw_tune.tracking.translate import parameters

from . import made_up

TRIALS = 13  # some of which TPE proposes: the first ten are random
_ALONE = Machines(2, 0, 2, 0)
_TOLD = ("trial", "number", "kind", "of", "config", "params", "distributions", "reason")

DIVERGENCES = (
    '    divergence = "mmd"\n',
    '    divergence = trial.suggest_categorical("divergence", ["mmd", "kl", "squared"])\n',
    '    divergence = ("mmd", "kl")[trial.suggest_int("which", 0, 1)]\n',
    '    divergence = trial.suggest_categorical("divergence", np.array(["mmd", "kl"]))\n',
    '    family = trial.suggest_categorical("family", ["old", "new"])\n'
    '    names = ["mmd", "kl"] if family == "old" else ["squared", "energy"]\n'
    '    divergence = trial.suggest_categorical(f"{family} ones", names)\n',
)
INTS = {"steps": (1, 12), "warmup_epochs": (0, 6), "batch_size": (32, 300)}
FLOATS = {"step_size": (0.05, 1.9), "decay": (0.05, 0.95), "learning_rate": (1e-4, 0.1)}
NAMES = ("{field}", "own {field}!", "{field}_of_{{divergence}}")


@st.composite
def int_ranges(draw: st.DrawFn, field: str) -> str:
    least, most = INTS[field]
    low, high = sorted(draw(st.tuples(*[st.integers(least, most)] * 2)))
    if low and draw(st.booleans()):
        return f"{low}, {high}, log=True"
    return f"{low}, {high}, step={draw(st.integers(1, 4))}"


@st.composite
def float_ranges(draw: st.DrawFn, field: str) -> str:
    ends = st.floats(*FLOATS[field]).map(lambda value: round(value, 4))
    low, high = sorted(draw(st.tuples(ends, ends)))
    return f"{low}, {high}" + draw(st.sampled_from(["", ", log=True", ", step=0.07"]))


@st.composite
def fields(draw: st.DrawFn, field: str) -> str:
    """A line that sets the field: from a range, or one for each branch, or choices."""
    # That of a column of the front, too, but of one parameter only.
    names = (*NAMES, "status") if field == "decay" else NAMES
    name = draw(st.sampled_from(names)).format(field=field)
    is_int = field in INTS
    least, most = (INTS if is_int else FLOATS)[field]
    if draw(st.integers(0, 3)) == 0:
        value = f'trial.suggest_categorical(f"{name}", np.array([{least}, {most}]))'
        return f'    values["{field}"] = {value}\n'
    ask, ranges = ("int", int_ranges) if is_int else ("float", float_ranges)
    value = f'trial.suggest_{ask}(f"{name}", {draw(ranges(field))})'
    if draw(st.booleans()):  # the range depends on a branch; whether it is in logs may not
        other = f'trial.suggest_{ask}(f"{name}", {draw(ranges(field))})'
        if ("log=True" in value) == ("log=True" in other):
            value = f'{value} if divergence == "mmd" else {other}'
    return f'    values["{field}"] = {value}\n'


@st.composite
def spaces(draw: st.DrawFn) -> str:
    text = "import numpy as np\nimport optuna\n\n\ndef space(trial):\n"
    text += draw(st.sampled_from(DIVERGENCES))
    text += '    values = {"divergence": str(divergence), "epochs": 2}\n'
    chosen = draw(st.lists(st.sampled_from([*INTS, *FLOATS]), unique=True, max_size=4))
    text += "".join(draw(fields(field)) for field in chosen)
    if "steps" in chosen and draw(st.booleans()):
        text += f'    if values["steps"] > {draw(st.integers(1, 12))}:\n'
        text += '        raise optuna.TrialPruned("too many")\n'
    return text + "    return values\n"


def made(run: Run, history: History) -> None:
    """It runs, or goes on: a function of what it is, so that it is as it would have been."""
    log, chance = history.log, random.Random(run.trial + json.dumps(run.params, sort_keys=True))
    accuracy, ending = 0.5 + chance.random() / 2, chance.random()
    if run.setup is None:
        cost = {"plain_s": 0.01, "ratio": 2.0, "speed": 1.0, "extra_speed": 1.0}
        memory = {"memory_bytes": None, "device_bytes": None}
        log.append("setup", trial=run.trial, device="cpu", splits={}, **cost, **memory)
    cut = run.kind == "search" and 0.2 < ending < 0.4
    last = 1 if cut else run.config["epochs"]
    for epoch in range(len(run.epochs) + 1, last + 1):
        numbers = {"metrics": {"accuracy": accuracy}, "work_s": 1.0 * epoch, "wall_s": 2.0 * epoch}
        log.append("epoch", trial=run.trial, epoch=epoch, loss=1.0, shares={}, **numbers)
        log.append("checkpoint", trial=run.trial, epoch=epoch, path="x")
    if cut:
        log.append("cut", trial=run.trial, rung=1)
    history.refresh()
    if cut:
        end_cut_run(log, run)
    elif run.kind == "search" and ending < 0.2:
        end_run(log, run, "failed", "Oh: no")
    else:
        end_run(log, run, "finished", None)


def go_on(record: SearchRecord) -> History:
    """What is left of the search, one run at a time."""
    fixed = record.settings
    space = SpaceFile(record.space_path, fixed.seed)
    programme = Programme(fixed, Proposer(space, fixed.seed, fixed.trials))
    record.log.append("session", packages={}, code="", commit=None, python="3", machine="m")
    searcher, history, number = ProgrammeSearcher(programme, record, _ALONE), record.history(), 0
    while (given_to := searcher.suggest(str(number))) != Searcher.FINISHED:
        made(history.refresh().runs[given_to["adiw"]["trial"]], history)
        searcher.on_trial_complete(str(number))
        number += 1
    return history.refresh()


def search_in(folder: Path, text: str, log: bytes = b"", **changes: Any) -> SearchRecord:
    folder.mkdir(exist_ok=True)
    (folder / "space.py").write_text(text)
    (folder / "events.jsonl").write_bytes(log)
    chosen = {"trials": TRIALS, "seeds": 0, "policy": "knee", **changes}
    return SearchRecord(folder, made_up.settings(**chosen))


def told(record: SearchRecord) -> list[dict[str, Any]]:
    again = ("session", "checkpoint")  # which a search that was cut off writes anew, or lacks
    events = [event for event in record.log if event["event"] not in again]
    return [{name: event[name] for name in event if name != "time"} for event in events]


def after_each_kind(lines: list[bytes], chance: random.Random) -> list[int]:
    """Where a search may be cut off: after an event of each kind, and before all."""
    after: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        after.setdefault(json.loads(line)["event"], []).append(number)
    return [0, *(chance.choice(numbers) for numbers in after.values())]


def assert_searched(text: str, folder: Path, cuts: int | None = None) -> History:
    """It comes to its decision, whole or cut off; every point is one of its ranges.

    It is cut off so many times, or after an event of each kind.
    """
    record = search_in(folder / "through", text)
    history = go_on(record)
    tried = history.of_kind("search")
    assert len(tried) == TRIALS or history.given_up
    for run in tried:
        for name, distribution in run.distributions.items():
            ranged = optuna.distributions.json_to_distribution(distribution)
            assert within(ranged, run.params[name]) == (run.params[name],)
    decision = pick(record)
    importance(history)
    Console(quiet=True).print(front_table(history.front(), history.varied()))
    for event in record.log:
        for name, value in parameters(event).items():
            _validate_param(name, value)
    lines, chance = record.log.path.read_bytes().splitlines(keepends=True), random.Random(text)
    ends = after_each_kind(lines, chance)
    for end in ends if cuts is None else chance.sample(ends, cuts):
        again = search_in(folder / f"cut-{end}", text, b"".join(lines[:end]))
        go_on(again)
        assert told(again) == told(record)
        assert pick(again) == decision
    return history


def feasible(text: str) -> bool:
    """Whether Optuna itself, which accepts the space, finds a point of it."""
    names: dict[str, Any] = {}
    exec(text, names)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: float(len(names["space"](trial))), n_trials=100)
    return any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))


EVERYTHING = """
import numpy as np
import optuna


def space(trial):
    divergence = trial.suggest_categorical("kind", ["mmd", "kl"])
    exponent = trial.suggest_float("lr_exponent", -3, -1)
    values = {"divergence": divergence, "learning_rate": 10**exponent, "epochs": 2}
    values["representation"] = trial.suggest_categorical(
        f"representation_of_{divergence}", ["loss", "feature"]
    )
    if divergence == "mmd":
        values["steps"] = trial.suggest_int("steps", 2, 10, step=2)
    else:
        values["steps"] = trial.suggest_int("steps", 6, 9)
    values["step_size"] = trial.suggest_float("step_size", 0.1, 0.7, step=0.2)
    values["batch_size"] = trial.suggest_categorical("batch_size", np.array([32, 64]))
    values["decay"] = trial.suggest_float("accuracy", 0.5, 0.5)
    if values["steps"] == 8:
        raise optuna.TrialPruned("eight are too many")
    return values
"""


def test_a_search_of_what_optuna_knows_is_cut_off_after_each_kind_of_event(tmp_path: Path) -> None:
    history = assert_searched(EVERYTHING, tmp_path)
    kinds = {event["event"] for event in history.log}
    assert kinds == {"session", "trial", "skipped", "setup", "epoch", "checkpoint", "cut", "end"}
    assert {run.params["steps"] for run in history.of_kind("search")[:2]} == {6}
    assert Counter(run.arm for run in history.of_kind("search"))["kl"] >= TRIALS // 4


@given(text=spaces())
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_space_that_optuna_accepts_comes_to_its_decision(text: str) -> None:
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.filterwarnings("ignore", ".*The distribution is specified by", UserWarning)
        warnings.filterwarnings("ignore", "Choices for a categorical", UserWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = search_in(Path(folder) / "preflight", text).space_path
        if feasible(text):
            check_space(SpaceFile(space, 0))
            assert_searched(text, Path(folder), cuts=1)
        else:
            with pytest.raises(UserError, match="raised TrialPruned at each"):
                check_space(SpaceFile(space, 0))


def test_a_record_with_values_outside_their_ranges_comes_to_its_decision(tmp_path: Path) -> None:
    """As earlier versions left them: their starting points were taken as they were."""
    text = made_up.SPACE.replace('"steps", 1, 20, log=True', '"steps", 2, 10, step=2')
    through = search_in(tmp_path / "through", text)
    go_on(through)
    lines = through.log.path.read_bytes().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    for event in [event for event in events if event["event"] == "trial"][:2]:
        event["params"] = {**event["params"], "steps": 5}
        event["config"] = {**event["config"], "steps": 5}
    lines = [json.dumps(event).encode() + b"\n" for event in events]
    for end in (len(lines), len(lines) // 3):
        old = search_in(tmp_path / str(end), text, b"".join(lines[:end]))
        history = go_on(old)
        assert len(history.of_kind("search")) == TRIALS
        assert set(importance(history)["parameter"]) <= {"divergence", "steps", "epochs"}
        assert pick(old).trial in history.runs


PRUNES_ALL_BUT_THREE = """
import optuna


def space(trial):
    if trial.number >= 3:
        raise optuna.TrialPruned("the machine is too small")
    return {"divergence": trial.suggest_categorical("divergence", ["mmd", "kl"]), "epochs": 2}
"""


def test_after_many_infeasible_points_in_a_row_it_decides_from_what_ran(tmp_path: Path) -> None:
    record = search_in(tmp_path, PRUNES_ALL_BUT_THREE)
    history = go_on(record)
    assert [run.number for run in history.of_kind("search")] == [0, 1, 2]
    assert [point.number for point in history.skipped] == list(range(1, 101))
    assert pick(record).trial in history.runs
    text = skipped_text(history)
    assert text.splitlines() == [
        "100 points skipped as infeasible; the last: the machine is too small",
        "ended after 3 trials: 100 points in a row infeasible",
    ]
    record.log.append("extended", trials=2 * TRIALS)
    again = go_on(record)
    assert len(again.skipped) == 200  # it was worth another try
    assert pick(record).trial in again.runs


def test_infeasible_points_before_any_trial_end_it_in_one_line(tmp_path: Path) -> None:
    record = search_in(tmp_path, PRUNES_ALL_BUT_THREE.replace("trial.number >= 3", "SEARCHING"))
    with (tmp_path / "space.py").open("a") as file:  # feasible in the first draws only
        file.write("\n\nfrom itertools import count\nDRAWN = count()\n")
    text = record.space_path.read_text().replace("if SEARCHING:", "if next(DRAWN) >= 50:")
    record.space_path.write_text(text)
    with pytest.raises(UserError, match="at 100 points in a row, so that no trial could begin"):
        go_on(record)


def test_one_that_is_hardly_ever_feasible_does_not_take_the_turns_of_others(tmp_path: Path) -> None:
    """kl never is: it has its turns, and then mmd and squared have theirs."""
    text = made_up.SPACE.replace("def space", "import optuna\n\n\ndef space", 1)
    text = text.replace('["mmd", "kl"]', '["mmd", "kl", "squared"]')
    text = text.replace("    return {", "    values = {", 1)
    text += '    if values["divergence"] == "kl" and trial.number > 0:\n'
    text += '        raise optuna.TrialPruned("not now")\n    return values\n'
    history = go_on(search_in(tmp_path, text, trials=18))
    tried = Counter(run.arm for run in history.of_kind("search"))
    assert tried["mmd"] + tried["squared"] == 18
    assert min(tried["mmd"], tried["squared"]) >= 18 // 6
