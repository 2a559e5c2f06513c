"""The network that a search was for: the winner's, as it was trained again."""

import io

import torch

from adiw_tune.record.history import History
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.training import TrainingRun, TrialConfig


def winning_run(
    record: SearchRecord, history: History, trial: str
) -> tuple[str, TrainingRun] | None:
    """The winner's run at its end, on the CPU, by its id; None if no checkpoint of it is there.

    Of the run that trained it again, or else, where the budget allowed none, of the trial itself.
    """
    for run in (history.runs.get(f"{trial}-winner"), history.runs[trial]):
        if run is not None and run.status == "finished" and (found := _restored(record, run)):
            return run.trial, found
    return None


def _restored(record: SearchRecord, run: Run) -> TrainingRun | None:
    path = f"{run.checkpoint}/run.pt"
    if run.checkpoint is None or not record.checkpoints.exists(path):
        return None
    saved = io.BytesIO(record.checkpoints.read(path))
    state = torch.load(saved, map_location="cpu", weights_only=True)
    config = TrialConfig.from_mapping(run.config, record.settings.files_from)
    restored = TrainingRun(config, "cpu", record.settings.data_dir)
    restored.load_state_dict(state)
    return restored if restored.finished else None
