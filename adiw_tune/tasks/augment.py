"""Random changes of image mini-batches: a draw for each image, on the device of the images.

They draw from torch's global generator of that device, so the seed of a run fixes them, however
many processes read the images.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def crop_and_flip(images: Tensor, padding: int = 4) -> Tensor:
    """Shifted by up to ``padding`` pixels each way, black coming in, and mirrored half the time.

    [n, channels, height, width] -> the same shape and dtype. The usual augmentation of CIFAR.
    """
    n, _, height, width = images.shape
    device = images.device
    padded = functional.pad(images, (padding,) * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1, 1), device=device)
    mirrored = torch.rand(n, 1, 1, device=device) < 0.5
    rows = top + torch.arange(height, device=device).view(1, height, 1)
    columns = left + torch.arange(width, device=device).view(1, 1, width)
    columns = torch.where(mirrored, columns.flip(2), columns)
    image = torch.arange(n, device=device).view(n, 1, 1)
    return padded[image, :, rows, columns].permute(0, 3, 1, 2).contiguous()


def resized_crop_and_flip(
    images: Tensor,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """A random part of each image, stretched to the whole, and mirrored half the time.

    [n, channels, height, width] -> the same shape and dtype. The part has a share of the area in
    ``scale`` and a ratio of width to height in ``ratio``, cut off at the image's size. Bilinear;
    a part is never larger than the image, so nothing is shrunk and nothing aliases.

    Source: Szegedy et al., "Going deeper with convolutions", 2015; torchvision's
    RandomResizedCrop.
    """
    n, _, height, width = images.shape
    area, log_ratio, x, y, mirror = torch.rand(5, n, device=images.device)
    area = (scale[0] + (scale[1] - scale[0]) * area) * height * width
    ratios = (math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * log_ratio).exp()
    # In units of the image: the part is [wide, high] about the centre [x, y], all in [-1, 1].
    wide = ((area * ratios).sqrt() / width).clamp(max=1)
    high = ((area / ratios).sqrt() / height).clamp(max=1)
    x, y = (1 - wide) * (2 * x - 1), (1 - high) * (2 * y - 1)
    zero = torch.zeros_like(x)
    sign = torch.where(mirror < 0.5, -1.0, 1.0)
    theta = torch.stack([sign * wide, zero, x, zero, high, y], dim=1).view(n, 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    part = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return part if images.is_floating_point() else part.round().to(images.dtype)
