"""The loop: losses -> weights -> weighted update, an epoch at a time, to be stopped and resumed."""

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adiw_tune.metrics import Predictions, measure
from adiw_tune.tasks import Rows, Split, Splits, find_task, in_order, predictions_of
from adiw_tune.tasks.targets import KINDS, row_loss
from adiw_tune.training.calibration import Alone, measure_step_cost
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.data import check_own_files, load_splits
from adiw_tune.training.learner import Learner
from adiw_tune.training.methods import Method, Step, make_method
from adiw_tune.training.optimizer import load_optimizer, make_optimizer
from adiw_tune.training.peers import Peers
from adiw_tune.training.preparation import prepare
from adiw_tune.training.report import EpochReport
from adiw_tune.training.row_scores import RowScores, ScoredRows
from adiw_tune.training.schedule import make_schedule
from adiw_tune.training.together import Streams, in_step, sum_gradients
from adiw_tune.training.work import StepCost, Work


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


class TrainingRun:
    """One configuration in training: ``run_epoch()`` until ``finished``.

    ``state_dict`` holds everything that the rest of the run depends on: network, optimiser,
    remembered weights, generators, seconds spent and work done. The seed sets torch's global
    generator too, which initialisation and dropout draw from. On the CPU a run continued from it
    gives the numbers of one that was never stopped. On CUDA, atomic additions in some backward
    kernels make runs differ in the last digits, and so does cuDNN's choice of algorithms, which it
    makes by their times. ``remarks`` is what :meth:`TrialConfig.remarks` says of the configuration
    and :func:`check_own_files` of the task's file.

    Args:
        config: what to run.
        device: where to run it.
        data_dir: where to look for data first.
        step_cost: what a step costs, where that is known; else :meth:`calibrate` measures it.
        splits: the rows of ``config``, where they have been loaded; else they are.
        peers: the processes that train this one network, each of which makes such a run and calls
            the same of it. Mini-batches are those of one process; each takes its share of them.
            What the first reports and saves is what counts.
        scored: whether to keep what training says of each training row, see ``scored_rows``.
    """

    def __init__(
        self,
        config: TrialConfig,
        device: str | torch.device = "cpu",
        data_dir: Path | None = None,
        step_cost: StepCost | None = None,
        splits: Splits | None = None,
        peers: Peers | None = None,
        scored: bool = False,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.peers = peers or Peers()
        self.splits = (splits or load_splits(config, data_dir)).to(self.device)
        self.remarks = [*config.remarks(), *check_own_files(config, self.splits)]
        task = find_task(config.task)
        self._own_metric = task.own_metric
        torch.manual_seed(config.seed)  # initialisation now, dropout and augmentation later
        network = task.network(self.splits, config.network, config.model).to(self.device)
        self.network = in_step(network, config.method, self.peers)
        self._streams = Streams(config.seed, self.device, self.peers)
        self.method = make_method(config, self.splits).to(self.device)
        self._learner = Learner(
            self.network,
            config.precision,
            task.augment,
            self.peers,
            KINDS[self.splits.targets],
            row_loss(self.splits.targets, task.loss, config.label_smoothing),
            config.task,
        )
        self._order = torch.Generator().manual_seed(config.seed + 1)
        self.optimizer = make_optimizer(config, self.network, self.device)
        self._schedule = make_schedule(config, self.optimizer, self._updates)
        # Of methods whose rows are others than the training rows there is nothing to tell.
        of_training_rows = scored and self.method.rows is self.splits.train
        self._scores = RowScores(self.splits, config.epochs) if of_training_rows else None
        self.epoch = 0
        self.train_seconds = 0.0
        self.loss = math.nan  # of the last epoch
        self.unweighed = 0  # mini-batches of the last epoch
        self._work = Work(step_cost)
        self._alone: Alone = nullcontext
        self._prepared = False

    @property
    def finished(self) -> bool:
        """Whether every epoch has run."""
        return self.epoch >= self.config.epochs

    @property
    def step_cost(self) -> StepCost | None:
        """What a step costs; None until it is known."""
        return self._work.cost

    @property
    def work_s(self) -> float | None:
        """Exclusive seconds of the work so far; None while the cost of a step is not known."""
        return self._work.seconds

    def calibrate(
        self,
        alone: Alone = nullcontext,
        plain_s: float | None = None,
        speeds: tuple[float, float | None] | None = None,
    ) -> StepCost:
        """Measure what a step costs, unless that is known. Changes no number of the run.

        Call it before the first epoch: the run takes steps, and is then put back where it was. What
        a method does once after the warm-up decides what its later steps are (giw's have a second
        part then, if need be), so their ratio is measured anew there. Code is compiled here, and
        memory taken, also where the cost is known.

        Args:
            alone: makes a context in which the device has nothing else to do. It is entered for
                the measurement alone, a second or two, and not for what comes before it.
            plain_s: of a plain step, where that has been measured before: runs that are to be
                compared count in one unit. None takes what is measured now.
            speeds: of this device, for a plain step and for what a step of the configuration
                takes beyond it, see :class:`StepCost`: what is measured here is told in seconds
                of the device that has speed 1. None for those of the cost that is known, or 1.
        """
        self._alone = alone
        self._prepare()
        if self.peers.agreed(self._work.cost is None):
            cost = self._measured().told_with(*(speeds or (1.0, 1.0)))
            self._work.cost = cost if plain_s is None else replace(cost, plain_s=plain_s)
        elif speeds is not None:
            self._work.goes_on_at(*speeds)
        assert self._work.cost is not None
        return self._work.cost

    def run_epoch(self, between: Callable[[], float] | None = None) -> EpochReport:
        """Train one epoch, then measure on the select split.

        ``between`` is called after each mini-batch, and returns how many seconds it waited: they
        do not count as training time. Its wait for steps that this process has queued on CUDA does
        count, so ``between`` must leave that wait out of what it returns.
        """
        self._prepare()
        start = self._now()
        unweighed = self.method.unweighed()
        loss = self._train_epoch(between)
        self.unweighed = self.method.unweighed() - unweighed
        self.train_seconds += self._now() - start
        self.epoch += 1
        self.loss = loss
        if not math.isfinite(loss):
            raise TrainingDivergedError(f"the training loss became {loss} in epoch {self.epoch}")
        return self.report()

    def report(self) -> EpochReport:
        """Measure on the select split where the run stands.

        Raises:
            TrainingDivergedError: the network's outputs are NaN or infinite. An epoch's loss does
                not show that of its last update.
        """
        predictions = self.predictions(self.splits.select)
        if not predictions.finite:
            raise TrainingDivergedError(
                f"outputs for select rows became NaN or infinite in epoch {self.epoch}"
            )
        return EpochReport(
            self.epoch,
            measure(predictions, self._own_metric),
            self.train_seconds,
            self.loss,
            self.method.shares(),
            self.unweighed,
            self.work_s,
        )

    def scored_rows(self) -> ScoredRows | None:
        """What the last half of the epochs so far says of each training row.

        None if the run was made without ``scored``, or its method trains on other rows. Of several
        peers all have to call it.
        """
        return None if self._scores is None else self._scores.scored(self.peers)

    def metrics(self, rows: Rows) -> dict[str, float | None]:
        """The value on ``rows`` of each metric that applies to them, by name, from one pass.

        None where these rows have no value.
        """
        return measure(self.predictions(rows), self._own_metric)

    @torch.no_grad()
    def predictions(self, rows: Rows) -> Predictions:
        """What the network says of ``rows``, in evaluation mode."""
        self.network.eval()
        n = len(rows)
        some = in_order(rows, self.peers.share(n))
        outputs = torch.cat([self._learner.outputs(part).float() for part in some])
        return predictions_of(self.splits.targets, self.peers.gathered(outputs, n), rows)

    def _train_epoch(self, between: Callable[[], float] | None) -> float:
        self.network.train()
        if self.epoch == self.config.warmup_epochs:
            self._begin()
        weighted = self.epoch >= self.config.warmup_epochs
        loss_of = self.method.loss if weighted else self.method.warm_up_loss
        if self._scores is not None:
            self._scores.begin_epoch()
        total = torch.zeros((), device=self.device)
        order = self._epoch_order()
        # Where they are needed, once for the epoch: a copy in each step would make the host wait.
        indices, chunks = (
            order.to(device).split(self.config.batch_size)
            for device in (self.device, self.method.rows.labels.device)
        )
        shares = (chunk[self.peers.share(len(chunk))] for chunk in chunks)
        for index, rows in zip(indices, self.method.rows.batches(shares), strict=True):
            total += self._step(index, rows, loss_of) * len(index)
            self._work.count(weighted)
            if between is not None:
                self.train_seconds -= between()
        return float(*self.peers.summed([total])) / len(order)

    def _begin(self) -> None:
        if type(self.method).begin is Method.begin:
            return
        with self._clock_stopped():
            # Wall time is work only for one who is alone; CPU time is work either way.
            with nullcontext() if self._on_one_thread else self._alone():
                start, work = self._now(), self._work_clock()
                self.method.begin(self._learner)
                self._work.begin_s = self._work_clock() - work
                seconds = self._now() - start
            self._prepared = False  # for the steps that it has decided on
            self._prepare()
            if (known := self._work.cost) is not None:
                cost = self._measured().told_with(known.speed, known.extra_speed)
                # Steps of the warm-up have been taken, and keep their price.
                self._work.cost = replace(
                    cost, plain_s=known.plain_s, warm_up_ratio=known.warm_up_ratio
                )
        self.train_seconds += seconds

    def _epoch_order(self) -> Tensor:
        """Row numbers, as many as there are training rows for every method.

        So that an epoch of clean-only, which has few rows, has as many updates as any other.
        """
        n, length = len(self.method.rows), self._rows_of_an_epoch
        passes = [torch.randperm(n, generator=self._order) for _ in range(-(-length // n))]
        return torch.cat(passes)[:length]

    @property
    def _rows_of_an_epoch(self) -> int:
        return max(len(self.method.rows), len(self.splits.train))

    @property
    def _updates(self) -> int:
        """Of an epoch."""
        return -(-self._rows_of_an_epoch // self.config.batch_size)

    def _step(
        self, index: Tensor, rows: Split, loss_of: Callable[[Step], Tensor] | None = None
    ) -> Tensor:
        """One update on the mini-batch ``index``, of which ``rows`` are this process's share.

        ``loss_of`` is what is descended; None for the method's loss after the warm-up. Returns
        this process's part of it, still on the device.
        """
        rows = self._learner.augmented(rows)
        step = Step(self._learner, rows, index, self._learner.forward(rows, len(index)))
        loss = (loss_of or self.method.loss)(step)
        if self._scores is not None:
            self._scores.update(step, self.epoch)
        with self._learner.in_user_code("the backward pass", rows):
            self.optimizer.zero_grad()
            self._learner.backward(loss)
        sum_gradients(self.network, self.peers)
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        with self._learner.in_user_code("the optimizer", rows):
            self.optimizer.step()
        self._schedule.step()
        return loss.detach()

    def _prepare(self) -> None:
        """Have behind it what comes with first steps alone: code is compiled, kernels are chosen.

        That takes from seconds to a minute, and is no time of training, but set-up.
        """
        if self._prepared or not (self._on_cuda or self.config.compiled):
            return
        with self._taken_back():
            prepare(self)
        self._prepared = True

    def _measured(self) -> StepCost:
        """The cost of a step where the run stands."""
        with self._taken_back():
            return measure_step_cost(self, self._alone)

    @contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Afterwards the run is where it was, as one that goes on from a checkpoint is.

        A copy of the run would compile once more, and hold memory on the device that a run alone
        does not need.
        """
        kept = io.BytesIO()
        torch.save(self.state_dict(), kept)
        try:
            yield
        finally:
            kept.seek(0)
            self.load_state_dict(torch.load(kept, map_location="cpu", weights_only=False))
            self.optimizer.zero_grad()

    @property
    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def _now(self) -> float:
        if self._on_cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _work_clock(self) -> float:
        """Seconds: of one CPU thread those that it ran, which are all there are when it is alone.

        Turns that the system gives to others do not enter there. They do with several threads or
        processes, whose wall time is what work takes, and on CUDA.
        """
        return time.process_time() if self._on_one_thread else self._now()

    @property
    def _on_one_thread(self) -> bool:
        on_cpu = self.device.type == "cpu"
        return on_cpu and torch.get_num_threads() == 1 and self.peers.size == 1

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        start = self._now()  # what was begun before is time of training
        yield
        self.train_seconds -= self._now() - start

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, of types ``weights_only`` loads.

        Of several peers all have to call it; what the first has is whole, remembered weights
        included, and any number of them can go on from it.
        """
        return {
            "epoch": self.epoch,
            "train_seconds": self.train_seconds,
            "work": self._work.state_dict(),
            "loss": self.loss,
            "unweighed": self.unweighed,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "method": self.method.state_dict(),
            **({} if self._scores is None else {"scores": self._scores.state(self.peers)}),
            "order": self._order.get_state(),
            **self._streams.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, which a run of the same configuration gave."""
        self.epoch = state["epoch"]
        self.train_seconds = state["train_seconds"]
        self._work.load_state_dict(state["work"])
        self.loss = state["loss"]
        self.unweighed = state.get("unweighed", 0)  # not in the states of earlier versions
        self.network.load_state_dict(state["network"])
        load_optimizer(self.optimizer, state["optimizer"])
        if "schedule" in state:  # not in the states of earlier versions, whose rate was constant
            self._schedule.load_state_dict(state["schedule"])
        self.method.load_state_dict(state["method"])
        if self._scores is not None and "scores" in state:
            self._scores.load(state["scores"], self.peers)
        self._order.set_state(state["order"])
        self._streams.load_state_dict(state)
