"""The loop: losses -> weights -> weighted update, an epoch at a time, to be stopped and resumed."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adiw_tune.tasks import Network, Split, Splits, find_task, parse_shift
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.methods import Forward, make_weigher, represent, training_rows

_EVALUATION_ROWS = 2048  # at once; bounds the memory of evaluation


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training came to.

    Args:
        epoch: 1 for the first.
        accuracy: on the select split, in [0, 1].
        train_seconds: spent training since the start of the run; without evaluation and set-up.
        loss: mean weighted training loss of the epoch.
    """

    epoch: int
    accuracy: float
    train_seconds: float
    loss: float

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
        torch.manual_seed(config.seed)  # initialisation now, dropout later
        self.network: Network = find_task(config.task).network().to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.rows = training_rows(config, self.splits.train, self.splits.reference)
        weigher = make_weigher(config, len(self.rows))
        self.weigher: nn.Module | None = None if weigher is None else weigher.to(self.device)
        self._order = torch.Generator().manual_seed(config.seed + 1)
        self._reference_order = torch.Generator().manual_seed(config.seed + 2)
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
        return EpochReport(self.epoch, accuracy, self.train_seconds, self.loss)

    @torch.no_grad()
    def accuracy(self, split: Split) -> float:
        """Share of ``split`` that the network labels right, in [0, 1]."""
        self.network.eval()
        right = sum(
            (self.network(x).argmax(dim=1) == y).sum()
            for x, y in zip(
                split.inputs.split(_EVALUATION_ROWS),
                split.labels.split(_EVALUATION_ROWS),
                strict=True,
            )
        )
        return float(right) / len(split)

    def _train_epoch(self) -> float:
        self.network.train()
        references = self._reference_batches()
        total = torch.zeros((), device=self.device)
        order = self._epoch_order()
        for index in order.split(self.config.batch_size):
            total += self._step(index, references) * len(index)
        return float(total) / len(order)

    def _epoch_order(self) -> Tensor:
        """Row numbers, as many as there are training rows for every method.

        So that an epoch of clean-only, which has few rows, has as many updates as any other.
        """
        length, n = len(self.splits.train), len(self.rows)
        passes = [torch.randperm(n, generator=self._order) for _ in range(-(-length // n))]
        return torch.cat(passes)[:length].to(self.device)

    def _step(self, index: Tensor, references: Iterator[Split]) -> Tensor:
        """One weighted update on the rows ``index``; its loss, still on the device."""
        forward = Forward.of(self.network, self.rows[index])
        losses = forward.losses
        if self.weigher is not None and self.epoch >= self.config.warmup_epochs:
            with torch.no_grad():
                reference = Forward.of(self.network, next(references))
            source, target = represent(self.config.representation, forward, reference)
            losses = self.weigher(source, target, index) * losses
        loss = losses.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _reference_batches(self) -> Iterator[Split]:
        """Reference mini-batches without end, each pass in a new order."""
        reference, size = self.splits.reference, self.config.reference_batch_size
        while True:
            order = torch.randperm(len(reference), generator=self._reference_order)
            for index in order.to(self.device).split(min(size, len(reference))):
                if len(index) == min(size, len(reference)):  # a short rest is a poor sample
                    yield reference[index]

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
            "weigher": {} if self.weigher is None else self.weigher.state_dict(),
            "order": self._order.get_state(),
            "reference_order": self._reference_order.get_state(),
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
        if self.weigher is not None:
            self.weigher.load_state_dict(state["weigher"])
        self._order.set_state(state["order"])
        self._reference_order.set_state(state["reference_order"])
        torch.set_rng_state(state["torch"])
        if self._on_cuda and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)


def load_splits(config: TrialConfig, data_dir: Path | None = None) -> Splits:
    """The data of ``config`` in its roles, shifted."""
    return find_task(config.task).splits(
        parse_shift(config.shift),
        config.seed,
        config.reference_size,
        config.select_size,
        data_dir,
    )
