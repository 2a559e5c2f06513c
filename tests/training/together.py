"""The same runs by one process and by two, for ``test_parallel``: ``python -m`` this FOLDER.

Processes are forked once everything has been imported, since that is what takes long.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import sklearn.svm  # noqa: F401  (giw's, imported once for all)
import torch
import torch._dynamo  # the optimisers', imported once for all
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Data, Split
from adiw_tune.tasks.streamed import stream
from adiw_tune.training import METHODS, Peers, TrainingDivergedError, TrainingRun, TrialConfig

from . import small

Values = dict[str, Any]

FEATURES = {"representation": "feature"}
APART = {"task": "small-apart", "shift": "group-prior:inf"}
ONE_ROW = {"batch_size": 1, "reference_batch_size": 1, "select_size": 140}  # 23 to train on
# 123 training rows: three mini-batches of 32 and one of 27, with weights in the second epoch.
SAME_NUMBERS: dict[str, Values] = {
    **{name: {"divergence": name} for name in (*DIVERGENCES, "auto")},
    **{f"{name}, features": {"divergence": name, **FEATURES} for name in (*DIVERGENCES, "auto")},
    **{method: {"method": method} for method in METHODS if method not in ("adiw", "random")},
    "mmd, trained on": {"reference_weight": 3.0},
    "l2rw, trained on": {"method": "l2rw", "reference_weight": 3.0},
    "static, features": {"method": "static", **FEATURES},
    "diw, features": {"method": "diw", **FEATURES},
    "giw, some rows out of support": {
        "method": "giw",
        "task": "small-apart",
        "shift": "group-prior:inf",
    },
    "memory": {"warm_start": "memory"},
    # The wide kernel hardly sees the last digit of a feature, which is 1 in 256 here; a network
    # that is trained on shares of few reference rows would.
    "bfloat16": {
        "precision": "bfloat16",
        "bandwidth": 1.0,
        "reference_weight": 0.0,
        **FEATURES,
    },
    "streamed": {"task": "small-streamed"},
    "real targets": {"task": "small-real", "shift": "none"},
    "real targets, features": {"task": "small-real", "shift": "none", **FEATURES},
    "real targets, l2rw": {"task": "small-real", "shift": "none", "method": "l2rw"},
    "last batch of one row": {"batch_size": 61},
    "batches of one row": {**ONE_ROW, **FEATURES},
    "l2rw, batches of one row": {**ONE_ROW, "method": "l2rw"},
    "giw, batches of one row": {**ONE_ROW, "method": "giw"},
    "one row to select on": {"select_size": 1},
}
GONE_ON: dict[str, Values] = {
    "memory": {"warm_start": "memory"},
    "auto": {"divergence": "auto", **FEATURES},
    "giw": {"method": "giw", **APART},
    "static": {"method": "static"},
}
DRAWING: dict[str, Values] = {
    "dropout": {"network": "dropout", "divergence": "auto"},
    "augmentation": {"task": "small-jitter", "warm_start": "memory"},
    "random": {"method": "random"},
}


def make_run(values: Values, peers: Peers) -> TrainingRun:
    defaults = {"task": "small", "shift": "symmetric:0.4", "batch_size": 32, "epochs": 2}
    config = TrialConfig.from_mapping({**defaults, **values})
    return TrainingRun(config, peers=peers, scored=True)


def finished(run: TrainingRun) -> Values:
    """What the rest of the run comes to: reports, every mini-batch's weights, and what is left."""
    weights: list[Tensor] = []
    weigh = run.method.weigh

    def recorded(step: Any) -> Tensor | None:
        w = weigh(step)
        if w is not None:
            weights.append(w)
        return w

    run.method.weigh = recorded  # type: ignore[method-assign]
    reports = []
    while not run.finished:
        reports.append(run.run_epoch())
    scored = run.scored_rows()
    return {
        "rows": [] if scored is None else [scored.weight, scored.fit],
        "losses": [report.loss for report in reports],
        "metrics": [value for one in reports for value in one.metrics.values()],
        "weights": weights,
        "network": run.network.state_dict(),
        "method": run.method.state_dict(),
    }


def stopped(values: Values, peers: Peers, saved: Path) -> Values:
    """A run never stopped, what was saved of it on the way, and one that goes on from that."""
    run = make_run(values, peers)
    run.run_epoch()
    state = run.state_dict()
    if peers.rank == 0:
        torch.save(state, saved)
    whole = finished(run)  # and so it has been saved
    return {"state": state, "whole": whole, "resumed": resumed(values, peers, saved)}


def resumed(values: Values, peers: Peers, saved: Path) -> Values:
    run = make_run(values, peers)
    torch.rand(7)  # what else drew from the global generator must not matter
    run.load_state_dict(torch.load(saved, weights_only=True))
    return finished(run)


def calibrated(peers: Peers) -> Values:
    """A run that was measured before it began, and again when static's weights were there."""
    run = make_run({"method": "static"}, peers)
    cost = run.calibrate()
    return {"run": finished(run), "cost": cost.as_dict(), "work_s": run.work_s}


def raised(values: Values, peers: Peers) -> str:
    try:
        finished(make_run(values, peers))
    except (UserError, TrainingDivergedError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


class Watched(Dataset[Any]):
    """Items that tell which of them have been read."""

    def __init__(self, rows: Split) -> None:
        self.rows = rows
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        self.read.append(item)
        return self.rows.inputs[item], self.rows.labels[item]


WATCHED = Watched(small.rows(203, seed=0))


def load_streamed(data_dir: Path | None) -> Data:
    data = small.load(data_dir)
    return replace(data, rows=stream(WATCHED, WATCHED.rows.labels))


def load_apart(data_dir: Path | None) -> Data:
    """Classes in tight clusters, of which group 1 has others than group 0."""
    data = small.load(data_dir)
    return replace(data, rows=apart(data.rows), test=apart(data.test))


def apart(rows: Any) -> Split:
    centres = functional.one_hot(rows.labels, small.WIDTH) * (1 - 2 * rows.groups[:, None])
    return replace(rows, inputs=centres + 0.02 * rows.inputs)


def read_in_an_epoch(peers: Peers) -> list[int]:
    run = make_run({"task": "small-streamed", "method": "erm"}, peers)
    WATCHED.read.clear()
    run._train_epoch(None)
    return list(WATCHED.read)


def runs(peers: Peers, folder: Path) -> Values:
    """What a process does on its own, or with another."""
    saved = {name: folder / f"{name}-{peers.size}.pt" for name in (*GONE_ON, *DRAWING)}
    refused = ({"network": "batch-norm", "method": method} for method in ("adiw", "l2rw"))
    return {
        "same": {name: finished(make_run(v, peers)) for name, v in SAME_NUMBERS.items()},
        "stopped": {
            name: stopped(values, peers, saved[name])
            for name, values in {**GONE_ON, **DRAWING}.items()
        },
        "calibrated": calibrated(peers),
        "read": read_in_an_epoch(peers),
        "batch norm": [raised(values, peers) for values in refused],
        "diverged": raised({"learning_rate": 1e37}, peers),
    }


def gone_on(peers: Peers, folder: Path) -> Values:
    """Runs that go on from what one process has saved if these are two, or two if it is one."""
    others = 3 - peers.size
    return {
        name: resumed(values, peers, folder / f"{name}-{others}.pt")
        for name, values in GONE_ON.items()
    }


def exchanged(peers: Peers, folder: Path) -> Values:
    """What comes of each operation, for the numbers of rows that there may be."""
    numbers = range(1, 9)
    dtypes = (torch.float32, torch.int64, torch.bool, torch.bfloat16)
    rows = [(torch.arange(2 * n).reshape(n, 2) % 5).to(dtype) for n in numbers for dtype in dtypes]
    mixed = [torch.ones(2, 3) * peers.rank, torch.ones((), dtype=torch.float64)]
    own = torch.arange(3) + peers.rank
    return {
        "rows": rows,
        "gathered": [peers.gathered(some[peers.share(len(some))], len(some)) for some in rows],
        "shares": [torch.arange(n)[peers.share(n)] for n in numbers],
        "own": [peers.own(torch.arange(n)[peers.share(n)], n) for n in numbers],
        "summed": peers.summed(mixed),
        "once": peers.once(lambda: own, like=own),
        "agreed": [peers.agreed(peers.rank == 0), peers.agreed(peers.rank != 0)],
    }


def one_of(size: int, rank: int, folder: Path, call: Callable[[Peers, Path], Values]) -> None:
    peers = Peers()
    if size > 1:
        meeting = f"file://{folder}/{call.__name__}-{size}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
        peers = Peers.joined()
    torch.save(call(peers, folder), folder / f"{call.__name__}-{size}-{rank}.pt")


def together(size: int, folder: Path, call: Callable[[Peers, Path], Values]) -> None:
    fork = multiprocessing.get_context("fork")
    start = partial(fork.Process, target=one_of)
    processes = [start(args=(size, rank, folder, call)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit(f"{call.__name__} of {size} failed")


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ |= {"ADIW_WORKERS": "0", "GLOO_SOCKET_IFNAME": "lo"}
    TASKS["small"] = small.task()
    TASKS["small-jitter"] = small.task(small.jitter)
    TASKS["small-real"] = small.task(load=small.load_real)
    TASKS["small-streamed"] = replace(small.task(), load=load_streamed)
    TASKS["small-apart"] = replace(small.task(), load=load_apart)
    for size, call in ((3, exchanged), (1, runs), (2, runs), (1, gone_on), (2, gone_on)):
        together(size, Path(sys.argv[1]), call)
