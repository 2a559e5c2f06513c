"""What a run is trained on, loaded and tried before anything long begins."""

from pathlib import Path

from adiw_tune.divergences import make_divergence, require_form
from adiw_tune.tasks import Splits, check_network, find_task, parse_shift
from adiw_tune.training.config import TrialConfig
from adiw_tune.user_file import is_file


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
        folds=config.folds,
        fold=config.fold,
    )
