"""One training run as a Ray Tune function trainable."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adiw_tune.search.on_ray.exclusive import DeviceTurn, device_turn
from adiw_tune.training import Alone, EpochReport, StepCost, TrainingRun, TrialConfig

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


def trainable(config: dict[str, Any], data_dir: Path | None = None) -> None:
    """Train ``config`` and report each epoch: for ``ray.tune.Tuner``, ours or anyone's.

    Reports ``epoch``, ``accuracy`` (select split, in [0, 1]), ``work_s`` (cumulative: exclusive
    seconds of work, see :class:`adiw_tune.training.StepCost`), ``wall_s`` (cumulative, of training
    only), ``loss`` and ``shares`` (a dict, empty unless the divergence is auto). Checkpoints every
    few seconds and at the end, and goes on from the checkpoint that Tune hands it. Runs on CUDA if
    Tune gave the trial a GPU.

    Args:
        config: fields of :class:`adiw_tune.training.TrialConfig`.
        data_dir: where to look for data first; bind it with ``tune.with_parameters``.

    Raises:
        UserError: ``config`` is not a valid configuration, or the data is not there.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    turn = device_turn(_device())
    with turn.shared():
        run = _started(config, data_dir, None)
        run.calibrate(turn.exclusive)
    _train(run, turn, turn.shared)


def run_of_search(config: dict[str, Any], data_dir: Path | None = None) -> None:
    """The same for a run of a search, whose place there stands under ``adiw``.

    Tells first, as epoch 0, what it runs on and what a step costs. A run that is to be timed has
    the device to itself.
    """
    place = config["adiw"]
    turn = device_turn(_device())
    with turn.shared():
        run = _started(config["config"], data_dir, place)
        name = device_name(run.device.type)
        cost = run.calibrate(turn.exclusive, place["plain_s"].get(name))
        setup = {"device": name, "splits": run.splits.digests(), **cost.as_dict()}
    _tell({"epoch": 0, **setup})
    _train(run, turn, turn.exclusive if place["kind"] == "retime" else turn.shared)


def run_id(config: Mapping[str, Any]) -> str:
    """Of a run of a search, from what Tune knows as its config."""
    return str(config["adiw"]["trial"])


def run_kind(config: Mapping[str, Any]) -> str:
    """Whether it is a search trial, or what else; see :class:`EventLog`."""
    return str(config["adiw"]["kind"])


def device_name(device: str) -> str:
    """What the cost of a step depends on: cpu, or the GPU's model."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def _device() -> torch.device:
    import ray

    return torch.device("cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu")


def _started(
    config: dict[str, Any], data_dir: Path | None, place: Mapping[str, Any] | None
) -> TrainingRun:
    """The run at its start, or where its checkpoint left it: Tune's, or that of a search before."""
    from ray import tune

    device, cost = _device(), None
    if place is not None and (name := device_name(device.type)) in place["ratio"]:
        cost = StepCost(place["plain_s"][name], place["ratio"][name])
    run = TrainingRun(TrialConfig.from_mapping(config), device, data_dir, cost)
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and place is not None and place["checkpoint"] is not None:
        checkpoint = tune.Checkpoint(place["checkpoint"])
    if checkpoint is not None and Path(checkpoint.path, "run.pt").exists():
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / "run.pt", map_location="cpu", weights_only=True)
            run.load_state_dict(state)
    return run


def _train(run: TrainingRun, turn: DeviceTurn, having_turn: Alone) -> None:
    """Epochs to the end, each with its turn on the device, which is not kept while reporting.

    Tune can leave a trial that it stops standing in its report for as long as it likes.
    """
    if run.finished:  # killed between its last epoch and Tune's taking note of it
        with turn.shared():
            report = run.report()
        _report(run, report, with_checkpoint=True)
    last_checkpoint = time.monotonic()
    while not run.finished:
        with having_turn():
            report = run.run_epoch(turn.make_room)
        due = time.monotonic() - last_checkpoint >= _SECONDS_BETWEEN_CHECKPOINTS
        _report(run, report, with_checkpoint=due or run.finished)
        last_checkpoint = time.monotonic() if due else last_checkpoint


def _report(run: TrainingRun, report: EpochReport, with_checkpoint: bool) -> None:
    told = report.as_dict()
    told["wall_s"] = told.pop("train_seconds")
    if not with_checkpoint:
        _tell(told)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(run.state_dict(), Path(folder) / "run.pt")
        _tell(told, folder)


def _tell(numbers: dict[str, Any], checkpoint: str | None = None) -> None:
    from ray import tune

    kept = tune.Checkpoint.from_directory(checkpoint) if checkpoint else None
    tune.report(numbers, checkpoint=kept)
