"""Any module as a network that shows its features."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from adiw_tune.tasks.base import Network
from adiw_tune.tasks.nests import Nest, call


class Watched(Network):
    """Any module whose output is logits, or has them as ``logits``, as a :class:`Network`.

    Its features are what the last nn.Linear that a pass goes through is given; where there is
    none, the logits themselves.
    """

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)
        self.model = model
        self._given: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_pre_hook(self._watch)

    @property
    def module(self) -> nn.Module:
        """What is watched."""
        return self.model

    def outputs(self, x: Nest) -> tuple[Tensor, Tensor]:
        """What the last nn.Linear is given, [n, ...], and the logits, [n, classes]."""
        logits = _logits(call(self.model, x))
        features = self._given.pop() if self._given else logits
        self._given.clear()  # it would keep the graph of this pass alive
        return features, logits

    def _watch(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._given[:] = given[:1]


def _logits(outputs: Any) -> Any:
    """The logits of what a module gave: its attribute or key of that name, as Hugging Face's."""
    if isinstance(outputs, Mapping):
        return outputs.get("logits", outputs)
    return getattr(outputs, "logits", outputs)
