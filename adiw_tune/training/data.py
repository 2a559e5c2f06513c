"""What a run is trained on, loaded and tried before anything long begins."""

from collections.abc import Iterable
from pathlib import Path

from adiw_tune.divergences import make_divergence, require_form
from adiw_tune.errors import UserError
from adiw_tune.tasks import (
    Splits,
    check_network,
    coverage_remarks,
    find_task,
    other_rows,
    parse_shift,
    unlike_twice,
)
from adiw_tune.tasks.targets import row_loss
from adiw_tune.tasks.trial import Inspection
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.smoke_test import check_own_recipe, has_own_recipe
from adiw_tune.user_file import is_file


def check_own_files(config: TrialConfig, splits: Splits) -> list[str]:
    """Try a user's own network, optimiser, scheduler and divergence, before anything long begins.

    Returns:
        What in the task's file is probably a mistake, one line each, as check-task remarks on it.

    Raises:
        UserError: training could not work with it.
    """
    remarks: list[str] = []
    task = find_task(config.task)
    row_loss(splits.targets, task.loss, config.label_smoothing)
    if is_file(config.task):
        for role in ("train", "select", "test"):
            _refuse(config, unlike_twice(role, getattr(splits, role)))
        features = config.representation == "feature"
        of_network = check_network(task, splits, config.network, features, config.model)
        of_recipe = check_own_recipe(config, splits)
        remarks = [*task.remarks, *coverage_remarks(splits), *of_network, *of_recipe]
    if is_file(config.divergence):
        require_form(make_divergence(config.divergence), config.divergence)
    return [f"{Path(config.task).name}: {remark}" for remark in remarks]


def inspect_recipe(
    task: str, data_dir: Path | None, reference_size: int | None, select_size: int | None
) -> Inspection:
    """Problems and remarks on a task file's own optimiser and scheduler.

    Sizes are those of the clean roles; None takes the task's.
    """
    config = TrialConfig(task, reference_size=reference_size, select_size=select_size)
    if not has_own_recipe(config):
        return Inspection([])
    try:
        return Inspection([], remarks=check_own_recipe(config, load_splits(config, data_dir)))
    except UserError as error:
        return Inspection([str(error)])


def check_seeded(config: TrialConfig, splits: Splits, data_dir: Path | None) -> None:
    """Load the rows of a user's own task once more, and refuse them if they differ.

    Raises:
        UserError: the file draws them anew at each call.
    """
    if is_file(config.task):
        _refuse(config, other_rows(splits.digests(), load_splits(config, data_dir).digests()))


def _refuse(config: TrialConfig, problems: Iterable[str]) -> None:
    for problem in problems:
        raise UserError(f"{problem}; run 'adiw-tune check-task {config.task}' for all problems")


def load_splits(config: TrialConfig, data_dir: Path | None = None) -> Splits:
    """The data of ``config`` in its roles, shifted."""
    return find_task(config.task).splits(
        parse_shift(config.shift),
        config.seed,
        config.reference_size,
        config.select_size,
        data_dir,
        folds=config.folds,
        fold=config.fold,
    )
