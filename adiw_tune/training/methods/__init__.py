"""The methods compared: how a mini-batch becomes a loss."""

from adiw_tune.tasks import Splits
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.methods.adiw import Adiw, Random
from adiw_tune.training.methods.base import Method, Step
from adiw_tune.training.methods.diw import Diw, PublishedDiw
from adiw_tune.training.methods.giw import Giw
from adiw_tune.training.methods.l2rw import LearningToReweight
from adiw_tune.training.methods.static import Static
from adiw_tune.training.methods.uniform import CleanOnly

# One line each; adiw_tune.training.config.METHODS lists the names that a configuration accepts.
_METHODS: dict[str, type[Method]] = {
    "adiw": Adiw,
    "giw": Giw,
    "diw": Diw,
    "diw-published": PublishedDiw,
    "l2rw": LearningToReweight,
    "static": Static,
    "random": Random,
    "erm": Method,
    "pooled": Method,
    "clean-only": CleanOnly,
}


def make_method(config: TrialConfig, splits: Splits) -> Method:
    """The method that ``config`` names, for these rows."""
    return _METHODS[config.method](config, splits)


__all__ = ["Method", "Step", "make_method"]
