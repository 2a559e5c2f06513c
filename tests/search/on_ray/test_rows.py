"""``RowsKeeper`` in a real Ray: what trials are given, and that they share it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from adiw_tune.search.on_ray.rows import _Shared
from adiw_tune.tasks import Split, Splits

from .scripts import run_script

TASK = """
from pathlib import Path

import torch
from torch import nn


def train():
    with (Path(__file__).parent / "loads").open("a") as file:
        file.write("once\\n")
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 5, generator=draw)
    return inputs, (inputs[:, 0] > 0).long(), torch.arange(300) % 3


def test():
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 5, generator=draw)
    return inputs, (inputs[:, 0] > 0).long()


def model():
    return nn.Linear(5, 2)


REFERENCE_SIZE = SELECT_SIZE = 20
"""
STREAMED = """
import torch
from torch import nn
from torch.utils.data import Dataset


class Rows(Dataset):
    def __init__(self, seed):
        self.inputs = torch.randn(90, 3, generator=torch.Generator().manual_seed(seed))

    def __len__(self):
        return 90

    def __getitem__(self, item):
        return self.inputs[item], item % 2


def train():
    return Rows(0)


def test():
    return Rows(1)


def model():
    return nn.Linear(3, 2)


REFERENCE_SIZE = SELECT_SIZE = 10
"""
BROKEN = TASK.replace("draw = torch", "raise KeyError('no such column')  # ", 1)

SCRIPT = """
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import ray
import torch

from adiw_tune.search.on_ray.rows import RowsKeeper
from adiw_tune.tasks import StreamedSplit
from adiw_tune.training import METHODS, TrainingRun, TrialConfig, load_splits

HERE = Path(sys.argv[1])
DIGITS = TrialConfig(epochs=2)
torch.set_num_threads(1)


def place(tensor):
    "Of a tensor in memory: how it is mapped, the file behind it, and where in that file it lies."
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, how, offset, device, inode, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= tensor.data_ptr() < end:
            return [how, device, inode, int(offset, 16) + tensor.data_ptr() - start]


def given_rows(keeper):
    rows = keeper.splits(DIGITS).train
    return os.getpid(), place(rows.inputs), place(rows.labels)


def own(name, **settings):
    return TrialConfig(task=str(HERE / name), **settings)


def loads():
    return len((HERE / "loads").read_text().splitlines())


def outcome(get, config):
    try:
        get(config)
    except Exception as error:
        return [type(error).__name__, str(error)]


def content(splits):
    roles = (splits.train, splits.reference, splits.select, splits.test)
    tensors = [(rows.inputs, rows.labels, rows.groups) for rows in roles]
    return splits.classes, [[None if x is None else x.tolist() for x in of] for of in tensors]


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
keeper = RowsKeeper(None)
elsewhere = ray.remote(given_rows).remote(keeper)
told = {"processes": [given_rows(keeper), ray.get(elsewhere)]}

for seed in (0, 0, 1, 0, 1):
    given = keeper.splits(own("task.py", seed=seed))
told["loads"] = [loads()]
for seed in range(2, 8):
    keeper.splits(own("task.py", seed=seed))
told["loads"].append(loads())
keeper.splits(own("task.py", seed=0))
told["loads"].append(loads())

alone = load_splits(own("task.py", seed=1))
told["same"] = [content(given) == content(alone), given.digests() == alone.digests()]
told["groups"] = given.train.groups is not None
told["streamed"] = isinstance(keeper.splits(own("streamed.py")).train, StreamedSplit)
told["broken"] = [outcome(get, own("broken.py")) for get in (keeper.splits, load_splits)]

shared, before = keeper.splits(DIGITS), load_splits(DIGITS).digests()
os.kill(ray.get(keeper._shelf.__ray_call__.remote(lambda shelf: os.getpid())), signal.SIGKILL)
told["after a kill"] = keeper.splits(DIGITS).digests() == before

told["written"] = []  # into rows that were given before the kill, and are there still
for method in METHODS:
    run = TrainingRun(replace(DIGITS, method=method), splits=shared)
    while not run.finished:
        run.run_epoch()
    if replace(shared, told=None).digests() != before:
        told["written"].append(method)

deadline = time.monotonic() + 240
while place(keeper.splits(DIGITS).train.inputs)[0] != "rw-s" and time.monotonic() < deadline:
    time.sleep(0.1)
told["shared again"] = place(keeper.splits(DIGITS).train.inputs)[0]
(HERE / "told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rows")
    files = {"task.py": TASK, "streamed.py": STREAMED, "broken.py": BROKEN}
    for name, text in files.items():
        (folder / name).write_text(text)
    run_script(SCRIPT, folder, "-W", "error::UserWarning")
    answer: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return answer


def test_processes_of_a_node_have_their_rows_in_the_same_memory(told: dict[str, Any]) -> None:
    (one, *places), (other, *others) = told["processes"]
    assert one != other
    assert places == others
    assert {how for how, *_ in places} == {"rw-s"}, "shared, and of no process alone"


def test_they_are_the_rows_that_a_trial_would_have_loaded(told: dict[str, Any]) -> None:
    assert told["same"] == [True, True]
    assert told["groups"]


def test_a_data_set_is_loaded_once_while_it_is_among_the_last_few(told: dict[str, Any]) -> None:
    two_seeds, eight_seeds, the_first_again = told["loads"]
    assert two_seeds == 2
    assert eight_seeds == 8
    assert the_first_again == 9


def test_rows_that_are_streamed_are_read_by_the_trial(told: dict[str, Any]) -> None:
    assert told["streamed"]


def test_a_trial_meets_the_error_that_it_would_meet_alone(told: dict[str, Any]) -> None:
    kept, alone = told["broken"]
    assert kept == alone
    assert kept[0] == "UserError"
    assert "broken.py' fails: KeyError: 'no such column'" in kept[1]
    assert "\n" not in kept[1]


def test_no_method_writes_into_rows_that_others_read(told: dict[str, Any]) -> None:
    assert told["written"] == []


def test_a_keeper_that_died_costs_no_trial_its_rows(told: dict[str, Any]) -> None:
    assert told["after a kill"]
    assert told["shared again"] == "rw-s"


def test_shared_splits_are_the_splits_again() -> None:
    """Nests, dtypes that numpy has not, and what else there is of splits."""
    inputs = {"words": torch.arange(6).view(3, 2), "more": (torch.rand(3, 2).bfloat16(),)}
    rows = Split(inputs, torch.rand(3), torch.arange(3))
    splits = Splits(rows, rows.take(torch.tensor([1])), rows, rows, 1, targets="real")
    again = _Shared.of(splits).splits()
    assert replace(again, told=None).digests() == splits.digests()
    assert isinstance(again.train, Split)
    assert list(again.train.inputs) == ["words", "more"]
    assert again.train.groups is not None
    assert (again.targets, again.classes) == ("real", 1)
