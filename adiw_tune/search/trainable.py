"""One training run as a Ray Tune function trainable."""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from adiw_tune.training import EpochReport, TrainingRun, TrialConfig

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


def trainable(config: dict[str, Any], data_dir: Path | None = None) -> None:
    """Train ``config`` and report each epoch: for ``ray.tune.Tuner``, ours or anyone's.

    Reports ``epoch``, ``accuracy`` (select split, in [0, 1]), ``train_seconds`` (cumulative, of
    training only), ``loss`` and ``shares`` (a dict, empty unless the divergence is auto).
    Checkpoints every few seconds and at the end, and goes on from the checkpoint that Tune hands
    it. Runs on CUDA if Tune gave the trial a GPU.

    Args:
        config: fields of :class:`adiw_tune.training.TrialConfig`.
        data_dir: where to look for data first; bind it with ``tune.with_parameters``.

    Raises:
        UserError: ``config`` is not a valid configuration, or the data is not there.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    import ray
    from ray import tune

    device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
    run = TrainingRun(TrialConfig.from_mapping(config), device, data_dir)
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / "run.pt", map_location="cpu", weights_only=True)
            run.load_state_dict(state)
    if run.finished:  # killed between its last epoch and Tune's taking note of it
        _report(run, run.report(), with_checkpoint=True)
    last_checkpoint = time.monotonic()
    while not run.finished:
        report = run.run_epoch()
        due = time.monotonic() - last_checkpoint >= _SECONDS_BETWEEN_CHECKPOINTS
        _report(run, report, with_checkpoint=due or run.finished)
        last_checkpoint = time.monotonic() if due else last_checkpoint


def _report(run: TrainingRun, report: EpochReport, with_checkpoint: bool) -> None:
    from ray import tune

    if not with_checkpoint:
        tune.report(report.as_dict())
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(run.state_dict(), Path(folder) / "run.pt")
        tune.report(report.as_dict(), checkpoint=tune.Checkpoint.from_directory(folder))
