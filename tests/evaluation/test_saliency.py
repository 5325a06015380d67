"""Grad-CAM against its formula, on networks of every family, and where a planted square is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from darkroom.errors import NotFound, Unsupported
from darkroom.evaluation.saliency import grad_cam, layer_maps, spatial_layers
from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.networks.table import build
from darkroom.records import Normalisation

PLAIN = Normalisation(kind="mean-std", mean=(0.0,), std=(1.0,))


class Averaged(Network):
    """Two convolutions, the mean of each map, and a last layer."""

    def __init__(self, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 5, 3, padding=1, stride=2)
        self.head = nn.Linear(5, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        self.maps = self.second(functional.relu(self.first(x)))
        return self.maps.mean(dim=(2, 3))


class Flat(Network):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 6)
        self.head = nn.Linear(6, 2)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x.flatten(1))


def model_of(network: Network) -> ImageModel:
    return ImageModel(network, PLAIN).eval()


def picture(side: int = 12, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


def test_behind_a_mean_of_maps_it_weighs_them_as_the_last_layer_does() -> None:
    torch.manual_seed(0)
    network = Averaged()
    for heat, weights in zip(
        grad_cam(model_of(network), picture(), (0, 2)), network.head.weight[[0, 2]].detach(), strict=True
    ):
        assert heat.layer == "second"
        assert heat.grid == (6, 6)
        maps = network.maps.detach()  # Selvaraju et al., 2017, sec. 3.1: CAM is the special case
        expected = functional.relu((weights[None, :, None, None] * maps).sum(1, keepdim=True))
        expected = functional.interpolate(expected, size=(12, 12), mode="bilinear", align_corners=False)[
            0, 0
        ]
        if expected.max() > 0:
            expected = expected / expected.max()
        assert heat.values == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_probability_is_that_of_the_answer() -> None:
    torch.manual_seed(1)
    model = model_of(Averaged())
    chances = model(torch.from_numpy(picture())[None])[0].detach().numpy()
    assert [heat.probability for heat in grad_cam(model, picture(), (0, 1, 2))] == pytest.approx(chances)


def test_the_heat_lies_on_what_the_class_is_about() -> None:
    network = Averaged(classes=2)
    with torch.no_grad():
        for layer in (network.first, network.second):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[:, 0, 1, 1] = 1.0  # passes brightness on
        network.head.weight.copy_(torch.tensor([[1.0] * 5, [-1.0] * 5]))
        network.head.bias.zero_()
    dark = np.zeros((16, 16, 1), np.uint8)
    dark[10:14, 2:6] = 255
    bright, other = grad_cam(model_of(network), dark, (0, 1))
    row, column = np.unravel_index(int(bright.values.argmax()), bright.values.shape)
    assert 9 <= row <= 14
    assert 1 <= column <= 6
    assert bright.values[:8].max() < 0.05
    assert other.values.max() == 0  # nothing speaks for the other class


def test_an_earlier_layer_can_be_named_and_an_unknown_one_is_refused() -> None:
    model = model_of(Averaged())
    assert spatial_layers(model, picture()) == ("first", "second")
    assert grad_cam(model, picture(), (0,), layer="first")[0].grid == (12, 12)
    with pytest.raises(NotFound, match="No layer 'frist'.*Did you mean"):
        grad_cam(model, picture(), (0,), layer="frist")


def test_a_network_without_maps_is_refused() -> None:
    with pytest.raises(Unsupported, match="no map that lies on the picture"):
        grad_cam(model_of(Flat()), picture(8), (0,))


@pytest.mark.parametrize(
    ("name", "side", "last"),
    [
        ("lenet5", 28, "conv2"),
        ("mobilenetv2_035", 64, "bn2.act"),
        pytest.param("resnet18", 64, "layer4.1.act2", marks=pytest.mark.slow),
        pytest.param("convnext_atto", 64, "", marks=pytest.mark.slow),
        pytest.param("alexnet", 64, "features.11", marks=pytest.mark.slow),
        pytest.param("googlenet", 64, "", marks=pytest.mark.slow),
    ],
)
def test_in_each_family_the_last_map_is_found_by_running(name: str, side: int, last: str) -> None:
    torch.manual_seed(0)
    channels = 1 if name == "lenet5" else 3
    network = build(name, channels=channels, size=(side, side), classes=4, options={}).eval()
    normalisation = Normalisation(kind="mean-std", mean=(0.5,) * channels, std=(0.5,) * channels)
    model, image = ImageModel(network, normalisation).eval(), picture(side, channels)
    heats = grad_cam(model, image, (0, 3))
    assert heats[0].layer.endswith(last)
    assert heats[0].values.shape == (side, side)
    assert np.isfinite(heats[0].values).all()
    assert heats[0].probability != heats[1].probability
    maps = layer_maps(model, image, most=5)
    assert 2 <= len(maps) <= 5
    assert all(np.isfinite(one.mean).all() for one in maps)


def test_layers_show_the_channels_that_move_most() -> None:
    torch.manual_seed(0)
    network = Averaged()
    first, head = layer_maps(model_of(network), picture(), layers=("first", "head"))
    assert first.shape == (4, 12, 12)
    assert first.numbers == (0, 1, 2, 3)
    x = torch.from_numpy(picture()).float().permute(2, 0, 1)[None] / 255
    assert first.channels == pytest.approx(network.first(x)[0].detach().numpy(), abs=1e-5)
    assert head.shape == (3,)
    assert head.mean.shape == (1, 3)
    assert not len(head.channels)
    with pytest.raises(NotFound, match="No layer 'nothing'"):
        layer_maps(model_of(network), picture(), layers=("nothing",))


@pytest.mark.slow
def test_a_transformer_is_refused_and_not_explained_by_its_first_layer() -> None:
    network = build("vit_tiny_patch16_224", channels=3, size=(224, 224), classes=4, options={}).eval()
    normalisation = Normalisation(kind="mean-std", mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(Unsupported, match="no map that lies on the picture"):
        grad_cam(ImageModel(network, normalisation).eval(), picture(224, 3), (0,))
