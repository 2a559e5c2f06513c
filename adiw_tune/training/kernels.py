"""Kernels of a network's passes on CUDA: fast ones, where the exact digits do not matter."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fast_kernels(device: torch.device) -> Iterator[None]:
    """Passes of a network inside, forward or backward, are as fast as CUDA has them.

    cuDNN tries its algorithms on each new shape, and takes the fastest. Products of float32
    matrices take their factors as TF32 (10 bits of fraction; sums stay float32), as convolutions
    do by torch's own default, unless the process has asked for a precision. Settings are put back
    at the end: weights are estimated outside, in full float32. On the CPU nothing is changed.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, matmul.fp32_precision
    cudnn.benchmark = True
    if matmul.fp32_precision == "none":
        matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        cudnn.benchmark, matmul.fp32_precision = before
