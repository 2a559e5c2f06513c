"""Memory that a run needs, on a GPU or of the machine."""

import gc
import math
import sys
from pathlib import Path

import torch

# Of a GPU, for what no allocator of torch's counts: each process has a context of its own there,
# and the kernels that its libraries load. Some 500 MiB on cards of today, whatever their size.
CONTEXT_BYTES = 640 * 2**20
# Of what a run was seen to need while it was measured: fragments come with time.
_MARGIN = 1.3


def begin_measuring_memory(device: torch.device) -> None:
    """Count the peak of a GPU's memory anew, from what is in use there now.

    What runs that are over have left goes back to the device first: torch would keep it reserved.
    """
    if device.type == "cuda":
        gc.collect()  # networks and optimisers hold each other
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def context_bytes(device: torch.device) -> int:
    """What is taken of a GPU beside what torch has reserved here.

    Of a process that has the GPU to itself, that is its context.
    """
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)


def fit_at_once(need: float, context: float, total: float) -> int:
    """For how many processes there is room, at least one. All in one unit.

    Args:
        need: of each, as measured.
        context: of each beside that.
        total: of the GPU.
    """
    return max(1, math.floor(total / (_MARGIN * need + context)))


def peak_memory_bytes(device: torch.device) -> int | None:
    """The most memory that this process has had: on a GPU its tensors', else all of it.

    None where the system does not tell, such as Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    if sys.platform != "linux":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    # Of getrusage, a process starts there with the peak of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else None
