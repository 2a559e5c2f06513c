"""What a trial costs besides its training: Ray Tune's part, and what setting it up takes.

    python benchmarks/overhead.py run      # some 5 minutes; writes overhead.json
    python benchmarks/overhead.py table

``trial``: searches whose trials train nothing, one trial after the other, by the tuner that a
search has; with actors that are used again, and without, in turns. Seconds from the end of one
trial to the end of the next, and the CPU seconds of the driver's main thread for each.

``rows``: a trial's Fashion-MNIST and all else until its first step, in a process that has run a
trial before; read from the files, and mapped from the object store, in turns. Then the memory of
two such processes that hold their rows at once: USS is what each has for itself alone.
"""

import argparse
import itertools
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import ray
import torch
from provenance import commit, machine
from ray import tune

from adiw_tune.record.record import SearchRecord
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.on_ray import connection, tuning
from adiw_tune.search.on_ray.rows import RowsKeeper
from adiw_tune.search.programme import Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile
from adiw_tune.training import TrainingRun, TrialConfig, load_splits

RESULTS = Path(__file__).with_suffix(".json")
CONFIG = TrialConfig(task="fashion-mnist")
SPACE = """
def space(trial):
    return {"epochs": 1, "steps": trial.suggest_int("steps", 1, 20)}
"""


def empty(config: dict[str, Any], **bound: Any) -> None:
    """In place of a run: says what a run says, and does nothing."""
    cost = {"plain_s": 1.0, "ratio": 1.0, "speed": 1.0, "extra_speed": 1.0}
    device = {"device": "cpu", "memory_bytes": None, "device_bytes": None}
    tune.report({"epoch": 0, "splits": {}, **cost, **device})
    reached = {"accuracy": 0.5, "work_s": 1.0, "wall_s": 1.0, "loss": 1.0, "shares": {}}
    tune.report({"epoch": 1, **reached, "unweighed": 0})


def search(folder: Path, name: str, trials: int, reuse: bool) -> dict[str, float]:
    """Medians over the trials but the first, which starts what all need."""
    settings = SearchSettings(
        name=name, search_id="0", trials=trials, seed=0, concurrency=1, cpus_per_trial=1,
        gpus_per_trial=0.0, workers_per_trial=1, devices=1, checkpoints=None,
        policy="best-under=1000", seeds=0, early_stopping=True, patience=None, budget=None,
        price=None, folder=folder, folds=1, tracking_uri="", data_dir=None, address=None,
        version="0",
    )  # fmt: skip
    (folder / "space.py").write_text(SPACE)
    record = SearchRecord.create(folder, settings, folder / "space.py")
    record.log.append("session", packages={}, code="", commit=None, python="", machine="")
    programme = Programme(settings, Proposer(SpaceFile(record.space_path, 0, folder), 0, trials))
    tuner = tuning._make_tuner(record, programme)
    tuner._local_tuner._tune_config.reuse_actors = reuse
    start = time.thread_time()
    tuner.fit()
    used = time.thread_time() - start
    ends = [event["time"] for event in record.log if event["event"] == "end"]
    return {
        "seconds": median(later - one for one, later in itertools.pairwise(ends)),
        "driver CPU s": used / len(ends),
    }


def trial(rounds: int, trials: int, folder: Path) -> dict[str, Any]:
    tuning.run_of_search = empty  # type: ignore[assignment]
    found: dict[str, list[dict[str, float]]] = {"used again": [], "new": []}
    for number in range(rounds):
        for how, reuse in (("used again", True), ("new", False)):
            found[how].append(search(folder, f"{number}-{reuse}", trials, reuse))
            print(how, found[how][-1], flush=True)
    medians = {
        how: {name: median(one[name] for one in searches) for name in searches[0]}
        for how, searches in found.items()
    }
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(*found.values(), strict=True)]
    return {**medians, "ratio": median(ratios), "trials": rounds * trials}


@ray.remote(num_cpus=1)
class TrialProcess:
    """A process in which trials are set up."""

    def __init__(self, keeper: RowsKeeper) -> None:
        torch.set_num_threads(1)
        self.keeper = keeper

    def set_up(self, shared: bool) -> float:
        """Seconds of all that comes before the first step, but for measuring what a step costs."""
        self.run = None
        start = time.perf_counter()
        splits = self.keeper.splits(CONFIG) if shared else load_splits(CONFIG)
        self.run = TrainingRun(CONFIG, splits=splits)
        self.run.splits.digests()
        return time.perf_counter() - start

    def memory(self) -> dict[str, float]:
        """MB, the rows having been gone through."""
        assert self.run is not None
        self.run.splits.digests()
        for rows in (self.run.splits.train, self.run.splits.test):
            rows.digest()
        told = psutil.Process().memory_full_info()
        return {"USS": told.uss / 1e6, "PSS": told.pss / 1e6}


def rows(rounds: int) -> dict[str, Any]:
    keeper = RowsKeeper(None)
    one, other = TrialProcess.remote(keeper), TrialProcess.remote(keeper)
    first = [ray.get(one.set_up.remote(shared)) for shared in (False, True)]
    pairs = [
        [ray.get(one.set_up.remote(shared)) for shared in (False, True)] for _ in range(rounds)
    ]
    memory = {}
    for how, shared in (("from files", False), ("from the store", True)):
        processes = [TrialProcess.remote(keeper) for _ in range(2)] if shared else [one, other]
        ray.get([process.set_up.remote(shared) for process in processes])
        memory[how] = ray.get([process.memory.remote() for process in processes])
        for process in processes:
            ray.kill(process)
    return {
        "from files, s": median(pair[0] for pair in pairs),
        "from the store, s": median(pair[1] for pair in pairs),
        "ratio": median(pair[0] / pair[1] for pair in pairs),
        "the first of all, s": first[1],
        "MB of two processes": memory,
    }


def run(rounds: int, trials: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with connection.connected(None):
            found = {"rows": rows(5 * rounds)}
            print(found, flush=True)
            found["trial"] = trial(rounds, trials, folder)
    finally:
        shutil.rmtree(folder)
    about = {"commit": commit(), "machine": machine()}
    RESULTS.write_text(json.dumps({**about, **found}, indent=1) + "\n")


def table() -> None:
    found = json.loads(RESULTS.read_text())
    print("| a trial's | seconds | driver's CPU seconds |\n|---|---|---|")
    for how in ("new", "used again"):
        one = found["trial"][how]
        print(f"| process {how} | {one['seconds']:.2f} | {one['driver CPU s']:.3f} |")
    of = found["rows"]
    for how in ("from files", "from the store"):
        mb = median(one["USS"] for one in of["MB of two processes"][how])
        print(f"| rows {how} | {of[how + ', s']:.3f} ({mb:.0f} MB of its own) | |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.rounds, asked.trials)
    else:
        table()
