"""The network that a search was for: the winner's, as it was trained again."""

from collections.abc import Callable

from adiw_tune.record.history import History
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.training.saving import DamagedCheckpointError, load_checkpoint

Warn = Callable[[str], None]


def winning_run(
    record: SearchRecord, history: History, trial: str, warn: Warn
) -> tuple[str, TrainingRun] | None:
    """The winner's run at its end, on the CPU, by its id; None if no checkpoint of it is there.

    Of the run that trained it again, or else, where the budget allowed none, of the trial itself.
    A checkpoint that is damaged is told by a line, and passed over.
    """
    for run in (history.runs.get(f"{trial}-winner"), history.runs[trial]):
        if run is None or run.status != "finished":
            continue
        for path in run.checkpoints:
            if found := _restored(record, run, f"{path}/run.pt", warn):
                return run.trial, found
    return None


def _restored(record: SearchRecord, run: Run, path: str, warn: Warn) -> TrainingRun | None:
    store = record.checkpoints
    try:
        if not store.exists(path):
            return None
        config = TrialConfig.from_mapping(run.config, record.settings.files_from)
        restored = TrainingRun(config, "cpu", record.settings.data_dir)
        load_checkpoint(restored, store.read(path))
    except (DamagedCheckpointError, OSError) as error:
        warn(
            f"checkpoint '{store.absolute(path)}' of trial {run.trial} is damaged ({error}); "
            f"{record.train_command()} trains its network again"
        )
        return None
    return restored if restored.finished else None
