"""Whether anything makes the host wait for the device, found out without one."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What makes the host wait for a device: reading a value, counting on a value, comparing to a bool.
_WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero")


class HostMayNotWait(TorchDispatchMode):
    """Raises at the first operation that would wait for the device, or leave it."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run ``func`` if it neither reads a value nor moves a tensor."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        moves = name == "_to_copy" and kwargs.get("device", args[0].device) != args[0].device
        # a[mask] counts the mask's True; a[positions] does not.
        by_mask = name in ("index", "index_put", "index_put_") and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if name in _WAITING or moves or by_mask:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **kwargs)
