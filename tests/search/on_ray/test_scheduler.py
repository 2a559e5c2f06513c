"""``ParetoScheduler`` in a real search, and after it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from adiw_tune.metrics import METRICS
from adiw_tune.search.on_ray.scheduler import ParetoScheduler
from adiw_tune.search.rungs import ETA, FIRST_RUNG, Rungs

from .scripts import run_script

# One trial after the other, and work counted in weight steps: the search is the same each time.
SCRIPT = """
import json
import sys
from pathlib import Path

import ray
from ray import tune
from ray.tune.search import Searcher

from adiw_tune.record.log import EventLog
from adiw_tune.metrics import METRICS
from adiw_tune.search.on_ray.scheduler import ParetoScheduler
from adiw_tune.training import TrainingRun, TrialConfig

HERE = Path(sys.argv[1])
LOG = EventLog(HERE / "events.jsonl")


def train(config):
    run = TrainingRun(TrialConfig.from_mapping(config["config"]))
    while not run.finished:
        report = run.run_epoch()
        work_s = report.epoch * (1.0 + config["config"]["steps"])
        reached = {**report.metrics, "metrics": report.metrics, "work_s": work_s}
        tune.report({"epoch": report.epoch, **reached})


class Listed(Searcher):
    def __init__(self, configs):
        super().__init__()
        self.left = list(configs)

    def suggest(self, trial_id):
        return self.left.pop(0) if self.left else Searcher.FINISHED

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass


class Write(tune.Callback):
    def on_trial_start(self, iteration, trials, trial, **info):
        LOG.append("trial", **trial.config["adiw"], config=trial.config["config"])

    def on_trial_result(self, iteration, trials, trial, result, **info):
        reported = {name: result[name] for name in ("epoch", "metrics", "work_s")}
        LOG.append("epoch", trial=trial.config["adiw"]["trial"], **reported)

    def on_trial_complete(self, iteration, trials, trial, **info):
        name = trial.config["adiw"]["trial"]
        rung = cut().get(name)
        LOG.append("end", trial=name, status="pruned" if rung else "finished", rung=rung)


def cut():
    return {event["trial"]: event["rung"] for event in LOG if event["event"] == "cut"}


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
tune.Tuner(
    train,
    tune_config=tune.TuneConfig(
        search_alg=Listed(json.loads((HERE / "configs.json").read_text())),
        num_samples=-1,
        scheduler=ParetoScheduler(LOG.path),
        max_concurrent_trials=1,
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(storage_path=str(HERE / "ray"), callbacks=[Write()], verbose=0),
).fit()
(HERE / "cut.json").write_text(json.dumps(cut()))
"""

EPOCHS = 7
LEARNS, HARDLY = 3e-3, 1e-6


def configs() -> list[dict[str, Any]]:
    """Trials that learn and trials that hardly do, which cost more; and reruns of the latter."""
    listed = []
    for number in range(11):
        rerun = number >= 9
        learns = number < 2
        about = {
            "trial": f"t2-seed{number}" if rerun else f"t{number}",
            "kind": "seed" if rerun else "search",
            "number": 2 if rerun else number,
        }
        config = {
            "divergence": "squared",
            "epochs": EPOCHS,
            "batch_size": 64,
            "learning_rate": LEARNS if learns else HARDLY,
            "steps": 1 if learns else 3 + number,
        }
        listed.append({"adiw": about, "config": config})
    return listed


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    (folder / "configs.json").write_text(json.dumps(configs()))
    run_script(SCRIPT, folder)
    return folder


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_real_search_cuts_poor_trials_at_rungs_and_lets_reruns_be(searched: Path) -> None:
    ends = {e["trial"]: e for e in events_of(searched) if e["event"] == "end"}
    last = {e["trial"]: e["epoch"] for e in events_of(searched) if e["event"] == "epoch"}
    assert len(ends) == 11
    for trial, end in ends.items():
        assert last[trial] == (EPOCHS if end["status"] == "finished" else end["rung"])
    pruned = {trial for trial, end in ends.items() if end["status"] == "pruned"}
    assert pruned
    assert pruned.isdisjoint({"t0", "t1"})
    assert not any("seed" in trial for trial in pruned)
    assert {end["rung"] for end in ends.values() if end["rung"]} <= {FIRST_RUNG, FIRST_RUNG * ETA}


def test_its_cuts_are_those_that_the_log_brings_back(searched: Path) -> None:
    cut = json.loads((searched / "cut.json").read_text())
    assert cut
    assert cut == Rungs.replayed(events_of(searched)).cut


def test_of_a_loss_those_are_cut_that_have_more_of_it(tmp_path: Path) -> None:
    made = ParetoScheduler(tmp_path / "events.jsonl", METRICS["log_loss"])
    scheduler = pickle.loads(pickle.dumps(made))
    config = {"divergence": "mmd", "epochs": 9}
    answers = []
    for number, loss in enumerate((0.5, 0.3, 0.2, 0.9, 0.1)):
        trial = SimpleNamespace(
            config={"adiw": {"trial": f"t{number}", "kind": "search"}, "config": config}
        )
        result = {"epoch": FIRST_RUNG, "log_loss": loss, "accuracy": 0.5, "work_s": 1.0}
        answers.append(scheduler.on_trial_result(None, trial, result))
    go, stop = TrialScheduler.CONTINUE, TrialScheduler.STOP
    assert answers == [go, go, go, stop, go]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 0.9])
def test_after_a_kill_the_unpickled_scheduler_goes_on_identically(
    searched: Path, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "events.jsonl"
    pickled = pickle.dumps(ParetoScheduler(path))  # as Ray does, before the search begins
    events = events_of(searched)
    before = events[: int(share * len(events))]
    path.write_text("".join(json.dumps(event) + "\n" for event in before))
    scheduler = pickle.loads(pickled)
    cut = json.loads((searched / "cut.json").read_text())
    given = {config["adiw"]["trial"]: config for config in configs()}
    for event in events[len(before) :]:
        if event["event"] == "epoch":
            trial = SimpleNamespace(config=given[event["trial"]])
            stops = cut.get(event["trial"]) == event["epoch"]
            answer = TrialScheduler.STOP if stops else TrialScheduler.CONTINUE
            result = {**event, **event["metrics"]}  # as Tune flattens it
            assert scheduler.on_trial_result(None, trial, result) == answer
    assert cut == {e["trial"]: e["rung"] for e in events_of(tmp_path) if e["event"] == "cut"}
