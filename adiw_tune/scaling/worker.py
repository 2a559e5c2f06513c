"""A process that a point is measured in: python -m adiw_tune.scaling.worker JOB.

It reads a :class:`Job` from its argument, and writes a line of JSON for each epoch and one for the
end: what was measured, or why nothing was. It ends when its standard input does: with the process
that started it, however that ended.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from threading import Thread
from typing import Any, NamedTuple, Self

import torch
import torch.distributed as dist

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.search.on_ray.exclusive import device_turns
from adiw_tune.tasks import Splits
from adiw_tune.training import (
    Alone,
    EpochReport,
    Peers,
    StepCost,
    TrainingDivergedError,
    TrainingRun,
    TrialConfig,
    load_splits,
    peak_memory_bytes,
)

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """What one process of a point does.

    Args:
        config: of the run.
        seeds: over how many it runs, from the configuration's own.
        metric: name of what is told of how good it is.
        train_rows: how many of the training rows to train on; None for all.
        device: cpu or cuda, of which each worker has one.
        data_dir: where to look for data first.
        plain_s: of a plain step, where that has been measured: points whose plain steps are alike
            count in one unit.
        rank, workers: which it is of how many that share each mini-batch.
        meeting: path of a file by which they find each other, and that is not there yet.
    """

    config: dict[str, Any]
    seeds: int
    metric: str
    train_rows: int | None
    device: str
    data_dir: str | None
    plain_s: float | None
    rank: int
    workers: int
    meeting: str

    def text(self) -> str:
        """For the command line of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``text`` was made of."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Measured:
    """What a point came to, over all its seeds.

    Args:
        rows_per_s: training rows gone through per second of wall time spent training, without
            set-up and evaluation.
        rows_per_work_s: the same per second of work as calibrated, see
            :class:`adiw_tune.training.StepCost`: what else the machine does does not count.
        wall_s, work_s: what an epoch takes of either.
        plain_s, ratio: the calibration: seconds of a plain step, and how many times as long one of
            the configuration's own takes.
        peak_memory_bytes: of its process, or of the worker which had most: Python, torch and
            the loading of data included; on a GPU, of its tensors. None where the system does not
            tell.
        metric_value: on the select split at the end: the mean over the seeds.
    """

    rows_per_s: float
    rows_per_work_s: float
    wall_s: float
    work_s: float
    plain_s: float
    ratio: float
    peak_memory_bytes: int | None
    metric_value: float


class _Trained(NamedTuple):
    rows: int
    wall_s: float
    work_s: float
    metric_value: float
    cost: StepCost


def measure(job: Job, peers: Peers, tell: Tell) -> Measured:
    """Train the job's configuration once for each seed, with the device to itself.

    Who searches on the same device meanwhile makes room between two mini-batches.

    Args:
        job: what to run.
        peers: the workers that run it together.
        tell: called after each epoch.
    """
    torch.set_num_threads(1)  # as in a trial
    config = TrialConfig.from_mapping(job.config)
    seeds = range(config.seed, config.seed + job.seeds)
    trained = [_train(replace(config, seed=seed), job, peers, tell) for seed in seeds]
    rows = sum(one.rows for one in trained)
    wall_s = sum(one.wall_s for one in trained)
    work_s = sum(one.work_s for one in trained)
    epochs = config.epochs * job.seeds
    return Measured(
        rows_per_s=rows / wall_s,
        rows_per_work_s=rows / work_s,
        wall_s=wall_s / epochs,
        work_s=work_s / epochs,
        plain_s=fmean(one.cost.plain_s for one in trained),
        ratio=fmean(one.cost.ratio for one in trained),
        peak_memory_bytes=peak_memory_bytes(_device(job)),
        metric_value=fmean(one.metric_value for one in trained),
    )


def _device(job: Job) -> torch.device:
    return torch.device(f"cuda:{job.rank}" if job.device == "cuda" else "cpu")


@contextmanager
def _joined(job: Job) -> Iterator[Peers]:
    """The workers of the job, once all are there."""
    if job.workers == 1:
        yield Peers()
        return
    if job.device == "cuda":
        torch.cuda.set_device(job.rank)
    dist.init_process_group(
        "nccl" if job.device == "cuda" else "gloo",
        init_method=f"file://{job.meeting}",
        rank=job.rank,
        world_size=job.workers,
    )
    yield Peers.joined()
    dist.destroy_process_group()


def _train(config: TrialConfig, job: Job, peers: Peers, tell: Tell) -> _Trained:
    run = TrainingRun(config, _device(job), splits=_splits(config, job), peers=peers)
    alone = _alone(job, peers)
    run.calibrate(alone, job.plain_s)
    while not run.finished:
        with alone():
            report = run.run_epoch()
        value = _value(report, job.metric)
        tell({"seed": config.seed, "epoch": report.epoch, "value": value})
    assert run.work_s is not None
    assert run.step_cost is not None
    # As many as there are training rows for every method, those of clean-only counted again.
    rows = config.epochs * max(len(run.method.rows), len(run.splits.train))
    return _Trained(rows, run.train_seconds, run.work_s, value, run.step_cost)


def _value(report: EpochReport, metric: str) -> float:
    value = report.metrics.get(metric)
    if value is None:
        raise UserError(f"metric '{metric}' has no value on the select rows")
    return value


def _alone(job: Job, peers: Peers) -> Alone:
    """What makes contexts in which the workers of the job have all its devices to themselves.

    The first worker alone takes the turns, in one order for all jobs: no two of them wait for what
    the other one has. The others wait for it before any clock runs.
    """
    devices = {_device(replace(job, rank=rank)) for rank in range(job.workers)}

    @contextmanager
    def alone() -> Iterator[None]:
        with ExitStack() as turns:
            for turn in device_turns(devices) if peers.rank == 0 else ():
                turns.enter_context(turn.exclusive())
            peers.agreed(True)
            yield

    return alone


def _splits(config: TrialConfig, job: Job) -> Splits:
    """The data of the run, with as many training rows as asked for.

    They are drawn by the run's seed, fewer among more, and stay in their order: all of them are
    the trial's own.
    """
    splits = load_splits(config, Path(job.data_dir) if job.data_dir else None)
    if job.train_rows is None or job.train_rows >= len(splits.train):
        return splits
    generator = torch.Generator().manual_seed(config.seed)
    drawn = torch.randperm(len(splits.train), generator=generator)[: job.train_rows]
    return replace(splits, train=splits.train.take(drawn.sort().values))


def main() -> None:
    """Do the job, and tell of it by lines on standard output."""
    job = Job.parse(sys.argv[-1])
    Thread(target=_end_with_input, daemon=True).start()
    with _messages() as tell:
        try:
            with _joined(job) as peers:
                tell({"measured": asdict(measure(job, peers, tell))})
        except (UserError, TrainingDivergedError) as error:
            tell({"failed": str(error)})
        except Exception as error:  # whatever torch or a user's own code raises
            tell({"failed": in_one_line(error)})


def _end_with_input() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock a daemon thread must not hold at the end
    os._exit(1)


@contextmanager
def _messages() -> Iterator[Tell]:
    """What writes messages; anything else that is printed goes to standard error."""
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)

        def tell(message: dict[str, Any]) -> None:
            out.write(json.dumps(message) + "\n")
            out.flush()

        yield tell


if __name__ == "__main__":
    main()
