"""The loop: losses -> weights -> weighted update, an epoch at a time, to be stopped and resumed."""

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adiw_tune.divergences import make_divergence, require_form
from adiw_tune.tasks import (
    Network,
    Rows,
    Split,
    Splits,
    check_network,
    find_task,
    in_order,
    parse_shift,
)
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Learner
from adiw_tune.training.methods import Step, make_method
from adiw_tune.user_file import is_file


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training came to.

    Args:
        epoch: 1 for the first.
        accuracy: on the select split, in [0, 1].
        train_seconds: spent training since the start of the run; without evaluation and set-up.
        loss: mean of the mini-batches' losses, as the method defines them.
        shares: of each divergence in the weights, where there is a choice of them; they add up
            to 1.
    """

    epoch: int
    accuracy: float
    train_seconds: float
    loss: float
    shares: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)


class TrainingRun:
    """One configuration in training: ``run_epoch()`` until ``finished``.

    ``state_dict`` holds everything that the rest of the run depends on: network, optimiser,
    remembered weights, generators and seconds spent. The seed sets torch's global generator too,
    which initialisation and dropout draw from. On the CPU a run continued from it gives the
    numbers of one that was never stopped. On CUDA, atomic additions in some backward kernels make
    runs differ in the last digits.

    Args:
        config: what to run.
        device: where to run it.
        data_dir: where to look for data first.
    """

    def __init__(
        self, config: TrialConfig, device: str | torch.device = "cpu", data_dir: Path | None = None
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.splits = load_splits(config, data_dir).to(self.device)
        check_own_files(config, self.splits)
        task = find_task(config.task)
        torch.manual_seed(config.seed)  # initialisation now, dropout and augmentation later
        self.network: Network = task.network(self.splits, config.network).to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.method = make_method(config, self.splits).to(self.device)
        self._learner = Learner(self.network, config.precision, task.augment)
        self._order = torch.Generator().manual_seed(config.seed + 1)
        self.epoch = 0
        self.train_seconds = 0.0
        self.loss = math.nan  # of the last epoch

    @property
    def finished(self) -> bool:
        """Whether every epoch has run."""
        return self.epoch >= self.config.epochs

    def run_epoch(self) -> EpochReport:
        """Train one epoch, then measure on the select split."""
        start = self._now()
        loss = self._train_epoch()
        self.train_seconds += self._now() - start
        self.epoch += 1
        self.loss = loss
        if not math.isfinite(loss):
            raise TrainingDivergedError(f"the training loss became {loss} in epoch {self.epoch}")
        return self.report()

    def report(self) -> EpochReport:
        """Measure on the select split where the run stands."""
        accuracy = self.accuracy(self.splits.select)
        return EpochReport(
            self.epoch, accuracy, self.train_seconds, self.loss, self.method.shares()
        )

    @torch.no_grad()
    def accuracy(self, rows: Rows) -> float:
        """Share of ``rows`` that the network labels right, in [0, 1]."""
        self.network.eval()
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for some in in_order(rows):
            right += (self.network(some.inputs).argmax(dim=1) == some.labels).sum()
        return int(right) / len(rows)

    def _train_epoch(self) -> float:
        self.network.train()
        if self.epoch == self.config.warmup_epochs:
            self.method.begin(self._learner)
        total = torch.zeros((), device=self.device)
        order = self._epoch_order()
        # Where they are needed, once for the epoch: a copy in each step would make the host wait.
        indices, chunks = (
            order.to(device).split(self.config.batch_size)
            for device in (self.device, self.method.rows.labels.device)
        )
        for index, rows in zip(indices, self.method.rows.batches(chunks), strict=True):
            total += self._step(index, rows) * len(index)
        return float(total) / len(order)

    def _epoch_order(self) -> Tensor:
        """Row numbers, as many as there are training rows for every method.

        So that an epoch of clean-only, which has few rows, has as many updates as any other.
        """
        n = len(self.method.rows)
        length = max(n, len(self.splits.train))
        passes = [torch.randperm(n, generator=self._order) for _ in range(-(-length // n))]
        return torch.cat(passes)[:length]

    def _step(self, index: Tensor, rows: Split) -> Tensor:
        """One update on a mini-batch, the rows ``index``; its loss, still on the device."""
        rows = self._learner.augmented(rows)
        step = Step(self._learner, rows, index, self._learner.forward(rows))
        warming_up = self.epoch < self.config.warmup_epochs
        loss = self.method.warm_up_loss(step) if warming_up else self.method.loss(step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @property
    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def _now(self) -> float:
        if self._on_cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, of types ``weights_only`` loads."""
        return {
            "epoch": self.epoch,
            "train_seconds": self.train_seconds,
            "loss": self.loss,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "order": self._order.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self._on_cuda else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, which a run of the same configuration gave."""
        self.epoch = state["epoch"]
        self.train_seconds = state["train_seconds"]
        self.loss = state["loss"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        self._order.set_state(state["order"])
        torch.set_rng_state(state["torch"])
        if self._on_cuda and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)


def check_own_files(config: TrialConfig, splits: Splits) -> None:
    """Try a user's own network and divergence on a few rows, before anything long begins.

    Raises:
        UserError: training could not work with it.
    """
    if is_file(config.task):
        features = config.representation == "feature"
        check_network(find_task(config.task), splits, config.network, features)
    if is_file(config.divergence):
        require_form(make_divergence(config.divergence), config.divergence)


def load_splits(config: TrialConfig, data_dir: Path | None = None) -> Splits:
    """The data of ``config`` in its roles, shifted."""
    return find_task(config.task).splits(
        parse_shift(config.shift),
        config.seed,
        config.reference_size,
        config.select_size,
        data_dir,
    )
