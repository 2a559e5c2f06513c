"""Rows that are loaded once in a cluster, and lie once in the memory of each of its nodes."""

import warnings
from collections import OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from adiw_tune.tasks import Split, Splits
from adiw_tune.tasks.nests import Nest, mapped
from adiw_tune.training import TrialConfig, load_splits

# A search has one data set at a time, and over seeds another; a space may choose among a few.
_KEPT = 4
_KEY = ("task", "shift", "reference_size", "select_size", "folds", "fold", "seed")
_ROLES = ("train", "reference", "select", "test")


class RowsKeeper:
    """Gives trials their rows out of Ray's object store. It can be pickled.

    An actor loads the rows of a configuration when they are first asked for. Each node fetches
    them once, and the trials there map that memory: a trial has them within milliseconds, and 50
    trials take as much memory for them as one. Of the data sets asked for the last 4 are kept.

    What it cannot give, a trial loads by itself, as :func:`adiw_tune.training.load_splits` does:
    rows that are streamed, those of a node that is gone, and what cannot be loaded, so that a trial
    meets the error itself.

    It takes no CPU of the cluster, and stands beside the driver, which has read the data too.

    Args:
        data_dir: where to look for data first.
    """

    def __init__(self, data_dir: Path | None) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        shelf = ray.remote(_Shelf).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self._data_dir = data_dir
        self._shelf: Any = shelf.remote(data_dir)

    def splits(self, config: TrialConfig) -> Splits:
        """The data of ``config`` in its roles, shifted. Others read it: nothing may change it.

        Raises:
            UserError: it cannot be loaded.
        """
        try:
            kept = ray.get(self._shelf.find.remote(config))
            shared = ray.get(kept[0]) if kept else None
        except RayError:
            shared = None
        return shared.splits() if shared else load_splits(config, self._data_dir)


class _Shelf:
    """The actor: what it has put in the store, by what it depends on."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._kept: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()

    def find(self, config: TrialConfig) -> list[Any]:
        """A reference to the rows, in a list, so that it is not resolved; [] if they stream."""
        key = tuple(getattr(config, name) for name in _KEY)
        if key not in self._kept:
            splits = load_splits(config, self._data_dir)
            self._kept[key] = [ray.put(_Shared.of(splits))] if _in_memory(splits) else []
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


@dataclass(frozen=True)
class _Shared:
    """Splits with numpy arrays, which Ray maps, where it would copy tensors."""

    roles: dict[str, dict[str, Nest]]  # of each its inputs, labels and groups, if any
    others: dict[str, Any]  # what else there is of the splits

    @classmethod
    def of(cls, splits: Splits) -> "_Shared":
        """What ``splits`` hold, which is in memory."""
        roles = {role: _arrays(getattr(splits, role)) for role in _ROLES}
        names = (field.name for field in fields(splits) if field.name not in _ROLES)
        others = {name: getattr(splits, name) for name in names}
        return cls(roles, {**others, "told": splits.digests()})

    def splits(self) -> Splits:
        """The splits again, of the same memory."""
        tensors = mapped(_tensor, self.roles)
        rows: dict[str, Any] = {role: Split(**tensors[role]) for role in _ROLES}
        return Splits(**rows, **self.others)


def _in_memory(splits: Splits) -> bool:
    return all(isinstance(getattr(splits, role), Split) for role in _ROLES)


def _arrays(rows: Split) -> dict[str, Nest]:
    tensors = {"inputs": rows.inputs, "labels": rows.labels, "groups": rows.groups}
    return {name: mapped(_array, nest) for name, nest in tensors.items() if nest is not None}


def _array(tensor: Tensor) -> np.ndarray | Tensor:
    """Contiguous, or it would not be mapped; of a dtype that numpy has not, the tensor."""
    try:
        return tensor.contiguous().numpy()
    except TypeError:
        return tensor


def _tensor(array: np.ndarray | Tensor) -> Tensor:
    if isinstance(array, Tensor):
        return array
    with warnings.catch_warnings():
        # Torch has no tensors that cannot be written. No code here writes into rows.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
