"""Any module as a network that shows its features."""

from torch import Tensor, nn

from adiw_tune.tasks.base import Network


class Watched(Network):
    """Any module whose output is logits, as a :class:`Network`.

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

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the last nn.Linear is given, [n, ...], and the logits, [n, classes]."""
        logits = self.model(x)
        features = self._given.pop() if self._given else logits
        self._given.clear()  # it would keep the graph of this pass alive
        return features, logits

    def _watch(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._given[:] = given[:1]
