"""One training run as a Ray Tune function trainable."""

import logging
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adiw_tune.record.checkpoints import CheckpointStore
from adiw_tune.record.provenance import processor, versions
from adiw_tune.search.on_ray.exclusive import DeviceTurn, OwnDevice, device_turn
from adiw_tune.search.on_ray.parallel import run_on_workers
from adiw_tune.search.on_ray.rows import RowsKeeper
from adiw_tune.search.on_ray.shares import Share
from adiw_tune.search.rows import FILE, SCORED
from adiw_tune.tasks import Splits
from adiw_tune.training import (
    Alone,
    EpochReport,
    Peers,
    StepCost,
    TrainingRun,
    TrialConfig,
    load_splits,
)
from adiw_tune.training.memory import context_bytes
from adiw_tune.training.saving import DamagedCheckpointError, load_checkpoint

Read = Callable[[], bytes]

_LOG = logging.getLogger(__name__)
_CHECKPOINTING = 0.05  # of the time may go into it, or else not every epoch has one


def trainable(config: dict[str, Any], data_dir: Path | None = None) -> None:
    """Train ``config`` and report each epoch: for ``ray.tune.Tuner``, ours or anyone's.

    Reports ``epoch``, each metric that applies by its name, such as ``accuracy`` (of the select
    split; NaN where it has no value), the same as a dict ``metrics`` (there None), ``work_s``
    (cumulative: exclusive seconds of work, see :class:`adiw_tune.training.StepCost`), ``wall_s``
    (cumulative, of training only), ``loss``, ``shares`` (a dict, empty unless the divergence is
    auto) and ``unweighed`` (how many of the epoch's mini-batches had losses that are no numbers).
    Checkpoints every epoch, or less often where that would take more than 5% of the time, and goes
    on from the checkpoint that Tune hands it; it begins anew if that is damaged. Runs on CUDA if
    Tune gave the trial a GPU.

    Args:
        config: fields of :class:`adiw_tune.training.TrialConfig`.
        data_dir: where to look for data first; bind it with ``tune.with_parameters``.

    Raises:
        UserError: ``config`` is not a valid configuration, or the data is not there.
        TrainingDivergedError: the loss, or an output, became NaN or infinite.
    """
    from ray import tune

    here = _Process(device_turn(_device()), _tell_tune)
    with here.turn.shared():
        trial = TrialConfig.from_mapping(config)
        splits = load_splits(trial, data_dir)
        checkpoint = tune.get_checkpoint()
        with checkpoint.as_directory() if checkpoint else nullcontext() as folder:
            saved = [(Path(folder) / "run.pt").read_bytes] if folder else []
            run = _gone_on(lambda: TrainingRun(trial, _device(), splits=splits), saved, here.peers)
        run.calibrate(here.turn.exclusive)
    _train(run, here, here.turn.shared)


@dataclass(frozen=True)
class Files:
    """Where the runs of a search find their data and their checkpoints.

    Args:
        folder: from which their configurations name files of the user's own.
        data_dir: where to look for data first.
        rows: gives them out of the nodes' memory; None where no two runs would share them.
        checkpoints: of the search.
    """

    folder: Path
    data_dir: Path | None
    rows: RowsKeeper | None
    checkpoints: CheckpointStore

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """What a run is, as it can be trained here."""
        return TrialConfig.from_mapping(values, self.folder)

    def splits(self, config: TrialConfig) -> Splits:
        """The data of a run."""
        return self.rows.splits(config) if self.rows else load_splits(config, self.data_dir)


def run_of_search(config: dict[str, Any], files: Files) -> None:
    """The same for a run of a search, whose place there stands under ``adiw``.

    Tells first, as epoch 0, what it runs on and what a step costs. A run that is to be timed has
    the device to itself. One of several workers is run by them, on devices of their own.

    Args:
        config: what the searcher gives Tune.
        files: where data and checkpoints are.
    """
    share = Share(**config["adiw"]["share"])
    if share.workers > 1:
        run_on_workers(partial(_run_on_worker, files=files), config, share)
    else:
        _run_of_search(_Process(device_turn(_device()), _tell_tune), config, files)


def _run_on_worker(config: dict[str, Any], files: Files) -> None:
    _run_of_search(_Process(OwnDevice(), _tell_train, Peers.joined()), config, files)


@dataclass(frozen=True)
class _Process:
    """What a run is trained in: a trial's one process, or one of several."""

    turn: DeviceTurn | OwnDevice
    tell: Callable[[dict[str, Any], str | None], None]
    peers: Peers = field(default_factory=Peers)


def _run_of_search(here: _Process, config: dict[str, Any], files: Files) -> None:
    place, turn = config["adiw"], here.turn
    share = Share(**place["share"])
    _cap_memory(share)
    with turn.shared():
        speed, extra = _speeds(here, place, files)
        cost = StepCost(**place["cost"], speed=speed, extra_speed=extra) if place["cost"] else None
        trial, scored = files.config(config["config"]), place["kind"] in SCORED
        splits = files.splits(trial)
        run = _gone_on(
            lambda: TrainingRun(trial, _device(), None, cost, splits, here.peers, scored),
            _saved(files.checkpoints, place["checkpoints"]),
            here.peers,
        )
        cost = run.calibrate(turn.exclusive, place["plain_s"], (speed, extra))
        # The cost of a run that goes on here may have been measured elsewhere.
        setup = {**_setup(run, cost, share), "speed": speed, "extra_speed": extra}
    here.tell({"epoch": 0, **setup}, None)
    _train(run, here, turn.exclusive if place["kind"] == "retime" else turn.shared)


def run_id(config: Mapping[str, Any]) -> str:
    """Of a run of a search, from what Tune knows as its config."""
    return str(config["adiw"]["trial"])


def run_kind(config: Mapping[str, Any]) -> str:
    """Whether it is a search trial, or what else; see :class:`EventLog`."""
    return str(config["adiw"]["kind"])


def device_name(device: torch.device) -> str:
    """Its kind, which what a step costs depends on: a GPU's model, or a processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}"


def _device() -> torch.device:
    import ray

    return torch.device("cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu")


def _cap_memory(share: Share) -> None:
    """Keep a process that has a share of a GPU from taking what others' shares are."""
    if _device().type == "cuda":
        total = torch.cuda.get_device_properties(_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(share.memory_fraction(total))


def _saved(checkpoints: CheckpointStore, paths: Iterable[str]) -> list[Read]:
    """Those checkpoints that are still there, the newest first."""
    files = (f"{path}/run.pt" for path in paths)
    return [partial(checkpoints.read, file) for file in files if checkpoints.exists(file)]


def _gone_on(make: Callable[[], TrainingRun], saved: Iterable[Read], peers: Peers) -> TrainingRun:
    """The run where the first checkpoint left it that is not damaged; else as it begins.

    All peers do what the first can do, so that they stand at the same epoch.
    """
    run = make()
    for read in saved:
        damage = _damage(run, read)
        if peers.agreed(damage is None):
            if damage is not None:
                raise damage
            return run
        _LOG.warning("a checkpoint of the trial cannot be gone on from: %s", damage)
        run = make()
    return run


def _damage(run: TrainingRun, read: Read) -> Exception | None:
    """Why the run cannot go on from what there is to read; None if it now does."""
    try:
        load_checkpoint(run, read())
    except (DamagedCheckpointError, OSError) as error:
        return error
    return None


def _speeds(here: _Process, place: Mapping[str, Any], files: Files) -> tuple[float, float | None]:
    """Of this device, in units of the search's first kind of device, see :class:`StepCost`.

    By a step that both have measured, :meth:`History.yardstick`: of its plain part first, if there
    is no other yet.
    """
    if place["yardstick"] is None:
        return 1.0, 1.0
    config, there = place["yardstick"]
    known = place["speeds"].get(device_name(_device()))
    if here.peers.agreed(known is not None and (known[1] is not None or there["ratio"] == 1)):
        return known or (1.0, 1.0)
    trial = files.config(config)
    run = TrainingRun(trial, _device(), splits=files.splits(trial), peers=here.peers)
    speed, extra_speed = run.calibrate(here.turn.exclusive).speeds(StepCost(**there))
    return (known[0] if known else speed), extra_speed


def _setup(run: TrainingRun, cost: StepCost, share: Share) -> dict[str, Any]:
    """What the log is told of the run's place: device, rows, cost of a step, memory, versions."""
    on_gpu = run.device.type == "cuda"
    alone = on_gpu and share.gpus >= 1  # beside others, theirs would count
    return {
        "device": device_name(run.device),
        "splits": run.splits.digests(),
        **cost.as_dict(),
        "memory_bytes": torch.cuda.max_memory_reserved() if on_gpu else None,
        "device_bytes": torch.cuda.mem_get_info()[1] if on_gpu else None,
        "context_bytes": context_bytes(run.device) if alone else None,
        "host": platform.node(),
        "versions": versions(),
    }


def _train(run: TrainingRun, here: _Process, having_turn: Alone) -> None:
    """Epochs to the end, each with its turn on the device, which is not kept while reporting.

    Tune can leave a trial that it stops standing in its report for as long as it likes.
    """
    if run.finished:  # killed between its last epoch and Tune's taking note of it
        with here.turn.shared():
            report = run.report()
        _report(run, here, report, with_checkpoint=True)
    due_at = time.monotonic()
    while not run.finished:
        with having_turn():
            report = run.run_epoch(here.turn.make_room)
        start = time.monotonic()
        due = here.peers.agreed(start >= due_at or run.finished)
        _report(run, here, report, with_checkpoint=due)
        if due:
            now = time.monotonic()
            due_at = now + (now - start) / _CHECKPOINTING


def _report(run: TrainingRun, here: _Process, report: EpochReport, with_checkpoint: bool) -> None:
    told = report.as_dict()
    told["wall_s"] = told.pop("train_seconds")
    by_name = ((name, math.nan if v is None else v) for name, v in report.metrics.items())
    told = {**dict(by_name), **told}  # Tune's schedulers want numbers at the top
    state = run.state_dict() if with_checkpoint else None  # which all peers have a part in
    scored = run.scored_rows() if run.finished else None
    if state is None or here.peers.rank > 0:
        here.tell(told, None)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "run.pt")
        if scored is not None:
            torch.save(scored.as_dict(), Path(folder) / FILE)
        here.tell(told, folder)


def _tell_tune(numbers: dict[str, Any], checkpoint: str | None) -> None:
    from ray import tune

    kept = tune.Checkpoint.from_directory(checkpoint) if checkpoint else None
    tune.report(numbers, checkpoint=kept)


def _tell_train(numbers: dict[str, Any], checkpoint: str | None) -> None:
    from ray import train

    kept = train.Checkpoint.from_directory(checkpoint) if checkpoint else None
    train.report(numbers, checkpoint=kept)
