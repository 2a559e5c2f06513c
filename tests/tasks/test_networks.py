"""The networks: sizes as published, features that the head makes logits of."""

import pytest
import torch
from torch import nn

from adiw_tune.tasks.base import MakeNetwork, Network
from adiw_tune.tasks.networks import (
    FromBytes,
    _BasicBlock,
    lenet,
    mlp,
    resnet18,
    resnet18_small,
    resnet32,
    resnet50,
)


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def images(rows: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (rows, *shape), dtype=torch.uint8, generator=generator)


def test_bytes_become_normalised_numbers() -> None:
    seen = FromBytes()(torch.tensor([[0, 255]], dtype=torch.uint8))
    assert seen.dtype == torch.float32
    assert seen.tolist() == [[-2.0, 2.0]]
    assert FromBytes(mean=0, std=1)(torch.tensor([[0.0, 51.0]])).tolist() == [
        [0.0, pytest.approx(0.2)]
    ]


@pytest.mark.parametrize(
    ("make", "shape", "width", "count"),
    [
        (resnet32, (3, 32, 32), 64, 464_154),  # He et al. 2016, table 6: 0.46 M
        (resnet18_small, (3, 32, 32), 512, 11_173_962),
        (resnet18, (3, 224, 224), 512, 11_181_642),
        (resnet50, (3, 224, 224), 2048, 23_528_522),  # 25,557,032 with ImageNet's 1,000 classes
    ],
)
def test_network_of_images_has_its_published_size(
    make: MakeNetwork, shape: tuple[int, ...], width: int, count: int
) -> None:
    network = make(torch.Size(shape), 10).eval()
    assert weights(network) == count
    with torch.no_grad():
        features, logits = network.outputs(images(2, *shape))
    assert features.shape == (2, width)
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()
    assert torch.equal(network.head(features), logits)


def test_resnet32_has_32_layers_with_weights() -> None:
    network = resnet32(torch.Size((3, 32, 32)), 10)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 32
    assert not [m for m in layers if isinstance(m, nn.Conv2d) and m.kernel_size != (3, 3)]


def test_shortcut_passes_every_second_pixel_and_zeros_for_new_channels() -> None:
    block = _BasicBlock(2, 4, stride=2).eval()
    nn.init.zeros_(block.layers[3].weight)  # what is beside the shortcut is then zero
    x = torch.rand(1, 2, 6, 6)
    out = block(x)
    assert torch.equal(out[:, 1:3], x[:, :, ::2, ::2])
    assert not out[:, [0, 3]].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_lenet_takes_any_number_of_channels(channels: int) -> None:
    network = lenet(torch.Size((channels, 28, 28)), 10)
    assert network(torch.rand(2, channels, 28, 28)).shape == (2, 10)


def test_mlp_takes_vectors_of_any_length() -> None:
    features, logits = mlp(torch.Size((5,)), 3).outputs(torch.rand(2, 5))
    assert features.shape == (2, 64)
    assert logits.shape == (2, 3)


def test_networks_are_fixed_by_the_global_generator() -> None:
    def first(seed: int) -> Network:
        torch.manual_seed(seed)
        return resnet32(torch.Size((3, 32, 32)), 10)

    a, b, c = (first(seed).state_dict()["features.1.weight"] for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
