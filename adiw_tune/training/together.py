"""One network in several processes: the same weights in each, and other random numbers."""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from adiw_tune.errors import UserError
from adiw_tune.tasks import Network
from adiw_tune.training.peers import Peers


def in_step(network: Network, method: str, peers: Peers) -> Network:
    """The network as all peers begin with it: with the first one's weights.

    Batch norm goes by the whole mini-batch, as with one process.

    Raises:
        UserError: torch has no batch norm for several processes on the CPU, nor one that l2rw
            could differentiate.
    """
    if peers.size == 1:
        return network
    if any(isinstance(module, _BatchNorm) for module in network.modules()):
        if method == "l2rw":
            raise UserError("method l2rw with batch norm runs on one worker: ask for one")
        if peers.device.type != "cuda":
            raise UserError("batch norm runs on one worker, or on several GPUs: ask for one worker")
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            value.copy_(peers.once(value.clone, like=value))
    return network


def sum_gradients(network: Network, peers: Peers) -> None:
    """Give each process the gradient of the sum of all peers' losses.

    Sent as one when all of it is there: simple, and right whatever a method does in between. It
    gives up what DistributedDataParallel gains by sending gradients while others are computed.
    """
    if peers.size == 1:
        return
    trained = [value for value in network.parameters() if value.requires_grad]
    # 0 where a peer's rows took another way through the network, and reached no such parameter.
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    for parameter, gradient in zip(trained, peers.summed(parts), strict=True):
        parameter.grad = gradient


class Streams:
    """torch's global generators, which dropout and augmentation draw from: each peer has its own.

    Made when the network has been: all have drawn the same until then.
    """

    def __init__(self, seed: int, device: torch.device, peers: Peers) -> None:
        self._on = device if device.type == "cuda" else None
        self._peers = peers
        if peers.rank:  # the first one draws what a process alone would
            generator = torch.Generator().manual_seed(seed + 5)
            seeds = torch.randint(2**62, (peers.size,), generator=generator)
            torch.manual_seed(int(seeds[peers.rank]))

    def state_dict(self) -> dict[str, Any]:
        """Where they stand: this process's, and those of the peers after the first."""
        own = torch.get_rng_state()
        cuda = torch.cuda.get_rng_state(self._on) if self._on else None
        row = own if cuda is None else torch.cat([own, cuda])
        rows = self._peers.gathered(row.unsqueeze(0).to(self._peers.device), self._peers.size)
        others = [
            {"torch": row[: len(own)].clone(), "cuda": None if cuda is None else row[len(own) :]}
            for row in rows[1:].cpu()
        ]
        return {"torch": own, "cuda": cuda, "peers": others}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. A peer more than there were then keeps its own."""
        streams = [state, *state.get("peers", [])]  # none in the states of earlier versions
        if self._peers.rank >= len(streams):
            return
        stream = streams[self._peers.rank]
        torch.set_rng_state(stream["torch"])
        if self._on and stream["cuda"] is not None:
            torch.cuda.set_rng_state(stream["cuda"], self._on)
