"""Networks that several tasks, or a user's own, are trained with."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adiw_tune.tasks.base import Network


class FromBytes(nn.Module):
    """Turns bytes in [0, 255], uint8 or float, into float32: (x / 255 - mean) / std.

    One mean and std for all channels: batch norm, or the first layer, does the rest.
    """

    def __init__(self, mean: float = 0.5, std: float = 0.25) -> None:
        super().__init__()
        self.mean = mean
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """[n, ...] -> [n, ...]."""
        return (x.float() / 255 - self.mean) / self.std


def mlp(shape: torch.Size, classes: int) -> Network:
    """Hidden layers of 128 and 64 with ReLU, for rows that are vectors: [features]."""
    features = nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape.numel(), 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
    )
    return Network(features, nn.Linear(64, classes))


def lenet(shape: torch.Size, classes: int) -> Network:
    """LeNet-5 for 28 x 28 images in [0, 1], with ReLU and max pooling.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    features = nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return Network(features, nn.Linear(84, classes))


class _BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters.

    Where the size changes, the shortcut takes every second pixel and pads the new channels with
    zeros (option A).
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = channels - channels_in
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels_in, h, w] -> [n, channels, h / stride, w / stride]."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            half = self.new_channels // 2
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, half, self.new_channels - half))
        return torch.relu(self.layers(x) + shortcut)


def resnet32(shape: torch.Size, classes: int) -> Network:
    """ResNet-32 for 32 x 32 images of bytes: 3 stages of 5 blocks, 0.46 M weights.

    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016, section 4.2.
    """
    widths = [16] * 5 + [32] * 5 + [64] * 5
    blocks = [
        _BasicBlock(before, width, stride=1 if before == width else 2)
        for before, width in zip([16, *widths], widths, strict=False)
    ]
    features = nn.Sequential(
        FromBytes(),
        nn.Conv2d(shape[0], 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Network(features, nn.Linear(64, classes))


def resnet18_small(shape: torch.Size, classes: int) -> Network:
    """ResNet-18 for 32 x 32 images of bytes: a 3 x 3 stem of stride 1, no max pool; 11.2 M weights.

    Source: as :func:`resnet32`; the stem is the one usual for CIFAR.
    """
    from torchvision.models import resnet18

    body = resnet18()
    body.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    body.maxpool = nn.Identity()
    return _with_head(body, classes)


def resnet18(shape: torch.Size, classes: int) -> Network:
    """torchvision's ResNet-18, untrained, for 224 x 224 colour images of bytes."""
    from torchvision.models import resnet18

    return _with_head(resnet18(), classes)


def resnet50(shape: torch.Size, classes: int) -> Network:
    """torchvision's ResNet-50, untrained, for 224 x 224 colour images of bytes."""
    from torchvision.models import resnet50

    return _with_head(resnet50(), classes)


def _with_head(body: Any, classes: int) -> Network:
    width = body.fc.in_features
    body.fc = nn.Identity()
    return Network(nn.Sequential(FromBytes(), body), nn.Linear(width, classes))
