"""Small tasks, registered for one test, and the steps of a run taken one by one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from adiw_tune.tasks import Data, Network, Rows, Split, Task
from adiw_tune.tasks.base import LoadData
from adiw_tune.training import TrainingRun
from adiw_tune.training.methods import Step

CLASSES = 3
WIDTH = 5


def rows(count: int, seed: int) -> Split:
    """Inputs of whole numbers, so that what has been augmented can be told; groups 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    inputs = torch.randint(-3, 4, (count, WIDTH), generator=generator).float()
    inputs[:, :CLASSES] += 3 * nn.functional.one_hot(labels, CLASSES)
    return Split(inputs, labels, torch.randint(0, 2, (count,), generator=generator))


def load(data_dir: Path | None) -> Data:
    return Data(rows(203, seed=0), rows(40, seed=1), CLASSES)


def plain(shape: torch.Size, classes: int) -> Network:
    return Network(nn.Sequential(nn.Linear(shape[0], 8), nn.Tanh()), nn.Linear(8, classes))


def batch_norm(shape: torch.Size, classes: int) -> Network:
    features = nn.Sequential(nn.Linear(shape[0], 8), nn.BatchNorm1d(8), nn.Tanh())
    return Network(features, nn.Linear(8, classes))


def dropout(shape: torch.Size, classes: int) -> Network:
    features = nn.Sequential(nn.Linear(shape[0], 8), nn.Tanh(), nn.Dropout(0.5))
    return Network(features, nn.Linear(8, classes))


def load_real(data_dir: Path | None) -> Data:
    """Real targets [n, 3], and inputs in a dict that is given by keyword."""
    data = load(data_dir)
    some, others = (
        replace(
            in_memory(part),
            inputs={"input": in_memory(part).inputs},
            labels=nn.functional.one_hot(part.labels, CLASSES) + 0.5,
        )
        for part in (data.rows, data.test)
    )
    return replace(data, rows=some, test=others, targets="real")


def jitter(inputs: Tensor) -> Tensor:
    return inputs + torch.rand_like(inputs)


def task(augment: Callable[[Tensor], Tensor] | None = None, load: LoadData = load) -> Task:
    return Task(
        name="small",
        load=load,
        networks={"plain": plain, "batch-norm": batch_norm, "dropout": dropout},
        reference_size=40,
        select_size=40,
        augment=augment,
    )


def first_step(run: TrainingRun, size: int = 24) -> Step:
    """The step on the first training rows."""
    index = torch.arange(size)
    split = in_memory(run.method.rows).take(index)
    return Step(run._learner, split, index, run._learner.forward(split))


def in_memory(some: Rows) -> Split:
    assert isinstance(some, Split)
    return some
