"""What a search on a cluster loses when something is killed under it, and when it is on again.

    python benchmarks/faults.py faults     # trial, node, driver, head, MLflow, storage: 10 minutes
    python benchmarks/faults.py soak       # 200 short trials, and one thing after another killed
    python benchmarks/faults.py table

A real cluster of ``ray start`` nodes on this machine, a real search by the command line.
``recovery`` is from the fault to the first new epoch of a run that it hit: Ray's noticing, a new
process and its imports included. ``lost`` is what had been recorded and is not there afterwards;
``again`` how many epochs ran again that had been recorded. ``storage`` needs root.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from provenance import commit, machine

from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import serve_ui
from tests.cli.helpers import (
    Running,
    assert_each_trial_ran_once,
    of_kind,
    read_events,
    trials_in,
)
from tests.ray_nodes import Node, Nodes, ray_nodes, wait_until

RESULTS = Path(__file__).with_suffix(".json")
SPACE = """
def space(trial):
    values = {"epochs": trial.suggest_int("epochs", %d, %d), "batch_size": %d}
    return {**values, "divergence": trial.suggest_categorical("divergence", ["mmd", "squared"])}
"""
LONG = (8, 10, 4)  # epochs of about a second, so that each has a checkpoint
SHORT = (2, 4, 64)
TRIALS_OF_THE_SOAK = 200
MLFLOW_GONE_S = 60.0


@contextmanager
def folder_with(space: tuple[int, int, int]) -> Iterator[Path]:
    """A directory to search in."""
    with tempfile.TemporaryDirectory(prefix="faults-") as path:
        folder = Path(path)
        (folder / "space.py").write_text(SPACE % space)
        yield folder


def search(folder: Path, nodes: Nodes, *options: str, trials: int = 3) -> Running:
    """A search of full-length trials on ``nodes``."""
    command = ("search", "space.py", "--name", "s", "--trials", str(trials), "--seeds", "0")
    command = (*command, "--no-early-stopping", "--address", nodes.address, *options)
    return Running(folder, *command, cluster=nodes.environment)


def resume(folder: Path, nodes: Nodes) -> Running:
    """The same, gone on with."""
    command = ("resume", "s", "--address", nodes.address)
    return Running(folder, *command, cluster=nodes.environment)


def running(folder: Path) -> set[str]:
    """Trials with a checkpoint and no end."""
    events = read_events(folder)
    return set(trials_in(events, "checkpoint")) - set(trials_in(events, "end"))


class Fault:
    """One fault, from just before it to the first sign of life after it."""

    def __init__(self, folder: Path, what: str) -> None:
        self.folder = folder
        self.what = what
        self.running = running(folder)
        self.before = read_events(folder)
        self.at = time.time()

    def next_epoch(self, trials: set[str], search: Running) -> float:
        """Seconds until one of ``trials`` has run an epoch that is new, in ``search``."""

        def found() -> bool:
            assert search.process.poll() is None, search.stderr()
            events = read_events(self.folder)[len(self.before) :]
            return any(e["trial"] in trials for e in of_kind(events, "epoch"))

        wait_until(found, 300)
        return time.time() - self.at

    def told(self, recovery_s: float) -> dict[str, Any]:
        """For the table, once the search is over."""
        events = read_events(self.folder)
        assert_each_trial_ran_once(events)
        kept = events[: len(self.before)] == self.before
        return {
            "fault": self.what,
            "running": len(self.running),
            "lost": 0 if kept else None,
            "again": again(events),
            "recovery_s": round(recovery_s, 1),
        }


def again(events: list[dict[str, Any]]) -> int:
    """Epochs that ran again: they had been recorded, and lay beyond their run's last checkpoint.

    A run goes back to that where it is lost, and where a session begins before its end. What it
    goes back by counts when it next trains, so once if it is lost and its driver is killed too.
    """
    total = 0
    reached: Counter[str] = Counter()  # epochs recorded of each run that has not ended
    saved: Counter[str] = Counter()  # those of them in its last checkpoint
    behind: Counter[str] = Counter()  # those that it is to run again
    for event in events:
        kind, trial = event["event"], event.get("trial")
        if kind == "session":
            behind = reached - saved
        elif kind == "lost":
            behind[trial] = reached[trial] - saved[trial]
        elif kind in ("epoch", "checkpoint"):
            total += behind.pop(trial, 0)
            (reached if kind == "epoch" else saved)[trial] = event["epoch"]
        elif kind == "end":
            del reached[trial], behind[trial]  # a Counter lets go of what it does not have, too
    return total


@contextmanager
def at_work(*options: str) -> Iterator[tuple[Path, Nodes, list[Node], Running]]:
    """A search in its folder, with a trial on each of the two nodes beside the head."""
    with folder_with(LONG) as folder, searched(folder, *options) as (nodes, workers, one):
        yield folder, nodes, workers, one


@contextmanager
def searched(folder: Path, *options: str) -> Iterator[tuple[Nodes, list[Node], Running]]:
    """The same in a folder that there is."""
    with ray_nodes() as nodes:
        workers = two_nodes(nodes)
        with search(folder, nodes, *options) as one:
            one.wait_until(lambda: len(running(folder)) == 2)
            yield nodes, workers, one


def two_nodes(nodes: Nodes) -> list[Node]:
    """A head that runs no trials, and two that do."""
    nodes.start_head(0)
    return [nodes.start(1), nodes.start(1)]


def trial_killed() -> dict[str, Any]:
    """SIGKILL to the process of one of two trials."""
    with at_work() as (folder, _, workers, one):
        fault = Fault(folder, "trial's process")
        workers[0].trials()[0].kill()
        recovery_s = after_a_loss(fault, one)
        assert one.ended() == 0, one.stderr()
        return fault.told(recovery_s)


def node_killed() -> dict[str, Any]:
    """SIGKILL to everything of one of two nodes; a new one comes in its place."""
    with at_work() as (folder, nodes, workers, one):
        fault = Fault(folder, "worker node")
        workers[0].kill()
        nodes.start(1)
        recovery_s = after_a_loss(fault, one)
        assert one.ended() == 0, one.stderr()
        return fault.told(recovery_s)


def after_a_loss(fault: Fault, search: Running) -> float:
    """Seconds until the run that was lost has a new epoch."""
    wait_until(lambda: bool(of_kind(read_events(fault.folder), "lost")), 300)
    (lost,) = of_kind(read_events(fault.folder), "lost")
    return fault.next_epoch({lost["trial"]}, search)


def resumed(fault: Fault, nodes: Nodes) -> dict[str, Any]:
    """The search gone on with to its end."""
    with resume(fault.folder, nodes) as one:
        recovery_s = fault.next_epoch(fault.running, one)
        assert one.ended() == 0, one.stderr()
    return fault.told(recovery_s)


def driver_killed() -> dict[str, Any]:
    """SIGKILL to the search's own process; it is resumed at once."""
    with at_work() as (folder, nodes, _, one):
        fault = Fault(folder, "driver")
        one.send(signal.SIGKILL)
        return resumed(fault, nodes)


def head_killed() -> dict[str, Any]:
    """SIGKILL to the head; the search ends, and is resumed on a new cluster."""
    with folder_with(LONG) as folder:
        with searched(folder) as (nodes, _, one):
            fault = Fault(folder, "head")
            nodes.nodes[0].kill()
            assert one.ended() == 1, one.stderr()
        with ray_nodes() as others:
            two_nodes(others)
            return resumed(fault, others)


def tracking_gone() -> dict[str, Any]:
    """MLflow's server killed for a minute: the search does not notice, and all arrives."""
    with folder_with(LONG) as folder:
        store = f"sqlite:///{folder / 'server.db'}"
        SearchRuns.open(store, "made", {}, "0")  # the tables
        server = serve_ui(store)
        port = urlsplit(server.base_url).port
        with searched(folder, "--tracking-uri", server.base_url) as (_, _, one):
            fault = Fault(folder, "MLflow's server, for a minute")
            server.stop()
            recovery_s = fault.next_epoch(fault.running, one)
            time.sleep(max(0.0, MLFLOW_GONE_S - (time.time() - fault.at)))
            server = serve_ui(store, port=port)
            assert one.ended() == 0, one.stderr()
        try:
            assert_has(server.base_url, read_events(folder))
        finally:
            server.stop()
        return fault.told(recovery_s)


def assert_has(uri: str, events: list[dict[str, Any]]) -> None:
    """MLflow has every epoch, once."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (found,) = [e for e in client.search_experiments() if e.name == "adiw-tune"]
    runs = client.search_runs([found.experiment_id], max_results=1000)
    by_trial = {r.data.tags["adiw.trial"]: r for r in runs if "adiw.trial" in r.data.tags}
    for trial in trials_in(events, "trial"):
        points = client.get_metric_history(by_trial[trial].info.run_id, "accuracy")
        told = [e["epoch"] for e in of_kind(events, "epoch") if e["trial"] == trial]
        assert sorted(point.step for point in points) == told, trial


def storage_full() -> dict[str, Any]:
    """The disk that holds the record has no byte left; the search ends, and is resumed."""
    with (
        folder_with(LONG) as folder,
        small_disk(folder) as disk,
        searched(folder) as (nodes, _, one),
    ):
        fault = Fault(folder, "storage full")
        fill(disk)
        assert one.ended() == 2, one.stderr()
        (disk / "ballast").unlink()
        # How long somebody takes to make room is not the search's time; a torn line is none.
        fault.at, fault.before = time.time(), read_events(folder)
        return resumed(fault, nodes)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 30 MB where the record will be."""
    disk = folder / "adiw-searches"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**16, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def soak() -> dict[str, Any]:
    """200 short trials on two nodes, while trials, nodes and the driver are killed at random."""
    draw = random.Random(0)
    kills = dict.fromkeys(("trial", "node", "driver"), 0)
    start = time.time()
    with ray_nodes() as nodes, folder_with(SHORT) as folder:
        workers = two_nodes(nodes)
        one = search(folder, nodes, trials=TRIALS_OF_THE_SOAK)
        with one:
            while one.process.poll() is None:
                time.sleep(draw.uniform(5, 15))
                what = draw.choices(list(kills), weights=(8, 2, 1))[0]
                if not killed(what, workers, nodes, one, draw):
                    continue
                kills[what] += 1
                if what == "driver":
                    one.__exit__()
                    one = resume(folder, nodes)
                ended = len(trials_in(read_events(folder), "end"))
                print(f"{time.time() - start:5.0f} s: {ended} ended, killed {kills}", flush=True)
            assert one.process.returncode == 0, one.stderr()
        events = read_events(folder)
        assert_each_trial_ran_once(events)
        ends = of_kind(events, "end")
        return {
            "trials": len([e for e in of_kind(events, "trial") if e["kind"] == "search"]),
            "ended": {s: sum(e["status"] == s for e in ends) for s in {e["status"] for e in ends}},
            "reasons": sorted({e["reason"] for e in ends if e["status"] == "failed"}),
            "killed": kills,
            "lost": len(of_kind(events, "lost")),
            "again": again(events),
            "seconds": round(time.time() - start),
        }


def killed(
    what: str, workers: list[Node], nodes: Nodes, search: Running, draw: random.Random
) -> bool:
    """Whether there was something of the kind to kill."""
    place = draw.randrange(len(workers))
    if what == "driver":
        search.process.kill()
        search.process.wait()
    elif what == "node":
        workers[place].kill()
        workers[place] = nodes.start(1)
    else:
        trials = workers[place].trials()
        for trial in trials[:1]:
            trial.kill()
        return bool(trials)
    return True


FAULTS: tuple[Callable[[], dict[str, Any]], ...] = (
    trial_killed,
    node_killed,
    driver_killed,
    head_killed,
    tracking_gone,
    storage_full,
)


def record(what: str, result: Any) -> None:
    """Keep it, with where it was measured."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[what] = {"commit": commit(), "machine": machine(), "result": result}
    RESULTS.write_text(json.dumps(known, indent=2) + "\n")


def table() -> None:
    """As docs/results.md has it."""
    known = json.loads(RESULTS.read_text())
    print("| what was killed | running | recorded and lost | epochs run again | on again after |")
    print("|---|---|---|---|---|")
    for row in known["faults"]["result"]:
        cells = (row["fault"], row["running"], row["lost"], row["again"], f"{row['recovery_s']} s")
        print(f"| {' | '.join(map(str, cells))} |")
    print(json.dumps(known.get("soak"), indent=2))


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "faults":
        rows = []
        for fault in FAULTS:
            rows.append(fault())
            print(json.dumps(rows[-1]), flush=True)
        record("faults", rows)
    elif command == "soak":
        record("soak", soak())
        table()
    elif command == "table":
        table()
    else:
        sys.exit(__doc__)
