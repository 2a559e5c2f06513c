"""``adiw_tune.search.on_ray.trainable`` in somebody's own Tune script."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .scripts import run_script

# Three studies in one script, since it is Ray's start that takes long. In the second, a trial is
# lost twice: its process is killed in epoch 3, and later it fails just after its last epoch.
SCRIPT = """
import json
import os
import signal
import sys
from pathlib import Path

import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from adiw_tune.search import trainable

HERE = Path(sys.argv[1])
CONFIG = {"epochs": 4, "batch_size": 64, "warm_start": "memory"}


def fragile(config):
    sys.modules["adiw_tune.search.on_ray.trainable"]._SECONDS_BETWEEN_CHECKPOINTS = 0.0
    trainable(config)
    if not (HERE / "failed").exists():
        (HERE / "failed").touch()
        raise RuntimeError("the node went away")


class Tell(tune.Callback):
    def __init__(self, kill_in_epoch=None):
        self.kill_in_epoch = kill_in_epoch
        self.reports = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        names = ("epoch", "accuracy", "work_s", "loss", "shares")
        self.reports.append([trial.config["divergence"], *(result[name] for name in names)])
        if result["epoch"] == self.kill_in_epoch:
            self.kill_in_epoch = None
            os.kill(result["pid"], signal.SIGKILL)


def study(runnable, space, failures, tell, **options):
    tuner = tune.Tuner(
        runnable,
        param_space={**CONFIG, **space},
        tune_config=tune.TuneConfig(metric="accuracy", mode="max", **options),
        run_config=tune.RunConfig(
            storage_path=str(HERE / "ray"),
            callbacks=[tell],
            failure_config=tune.FailureConfig(max_failures=failures),
            verbose=0,
        ),
    )
    results = tuner.fit()
    best = results.get_best_result()
    return {
        "reports": tell.reports,
        "errors": len(results.errors),
        "best": best.metrics["accuracy"],
        "checkpoint": best.checkpoint is not None,
    }


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
searcher = BasicVariantGenerator(random_state=1)
space = {"divergence": tune.choice(["mmd", "kl"])}
plain = study(trainable, space, 0, Tell(), num_samples=2, search_alg=searcher)
lost = study(fragile, {"divergence": "mmd"}, 2, Tell(kill_in_epoch=3))
auto = study(trainable, {"divergence": "auto"}, 0, Tell())
(HERE / "told.json").write_text(json.dumps({"plain": plain, "lost": lost, "auto": auto}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("script")
    run_script(SCRIPT, folder)
    answer: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return answer


def test_it_reports_every_epoch_to_a_tuner_of_ones_own(told: dict[str, Any]) -> None:
    plain = told["plain"]
    assert plain["errors"] == 0
    assert [report[1] for report in plain["reports"]] == [1, 2, 3, 4] * 2
    for divergence, _, accuracy, work_s, loss, shares in plain["reports"]:
        assert divergence in ("mmd", "kl")
        assert 0 <= accuracy <= 1
        assert work_s > 0
        assert loss > 0
        assert shares == {}
    assert plain["best"] == max(plain["reports"][3][2], plain["reports"][7][2])
    assert plain["checkpoint"]


def test_it_reports_the_shares_of_what_auto_mixes(told: dict[str, Any]) -> None:
    reports = told["auto"]["reports"]
    assert [report[1] for report in reports] == [1, 2, 3, 4]
    for report in reports:
        assert {"mmd", "pearson"} <= set(report[5])
        assert sum(report[5].values()) == pytest.approx(1, abs=1e-6)
    assert reports[0][5] != reports[1][5] != reports[3][5]


def test_a_trial_whose_process_was_killed_goes_on_from_its_checkpoint(told: dict[str, Any]) -> None:
    epochs = [report[1] for report in told["lost"]["reports"]]
    resumed = epochs.index(4)
    assert epochs[:3] == [1, 2, 3]
    # The first epoch has a checkpoint, and later ones unless that would take too much of the time.
    assert epochs[3:resumed] in ([], [3], [2, 3]), "no epoch before the last checkpoint ran again"
    assert told["lost"]["errors"] == 0


def test_a_trial_that_had_finished_reports_again_without_training(told: dict[str, Any]) -> None:
    last, again = told["lost"]["reports"][-2:]
    assert last[1] == 4
    assert again == last


def test_what_a_killed_trial_reports_is_what_one_run_through_does(told: dict[str, Any]) -> None:
    numbers = {}
    for divergence, epoch, accuracy, _, loss, _ in told["plain"]["reports"]:
        numbers[divergence, epoch] = (accuracy, loss)
    if ("mmd", 1) not in numbers:
        pytest.fail("choose another seed: no plain trial drew mmd")
    for divergence, epoch, accuracy, _, loss, _ in told["lost"]["reports"]:
        assert (accuracy, loss) == numbers[divergence, epoch]
