"""Weights on the steps of eight bits: layers answer nearer to what they did, and their means stay."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkroom.export.fitted_weights import fitted, on_steps
from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.records import Normalisation

DRAW = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=DRAW)


def together(groups: int, inputs: int, places: int = 2000) -> Tensor:
    """Inputs (groups, places, inputs) that go up and down together, as those behind a Relu do."""
    return torch.relu(
        normal(groups, places, 3) @ normal(groups, 3, inputs) + 0.3 * normal(groups, places, inputs)
    )


def spread(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=1, keepdim=True)
    return centred.transpose(1, 2) @ centred / x.shape[1]


@pytest.mark.parametrize("groups", [1, 5])
def test_fitted_weights_answer_nearer_than_those_on_the_nearest_steps(groups: int) -> None:
    x, weights = together(groups, 24), normal(groups, 8, 24)

    def error(rounded: Tensor) -> float:
        moved = x @ (rounded - weights).transpose(1, 2)
        return float(moved.var(dim=1).mean())

    assert error(on_steps(weights, spread(x))) < 0.6 * error(on_steps(weights))


@pytest.mark.parametrize("fit", [False, True])
def test_a_converter_that_rounds_to_the_nearest_step_leaves_them_where_they_are(fit: bool) -> None:
    x, weights = together(2, 12), normal(2, 6, 12)
    found = on_steps(weights, spread(x) if fit else None)
    step = weights.abs().amax(dim=2, keepdim=True) / 127
    whole = found / step
    assert (whole - whole.round()).abs().max() < 1e-3
    assert whole.abs().amax(dim=2) == pytest.approx(torch.full((2, 6), 127.0))
    assert torch.allclose(on_steps(found), found, atol=1e-6)


def test_channels_and_inputs_of_nothing_stay_nothing() -> None:
    x, weights = together(1, 6), normal(1, 4, 6)
    weights[0, 1], x[..., 2] = 0, 0
    found = on_steps(weights, spread(x))
    assert not found[0, 1].any()
    assert torch.isfinite(found).all()


class Mixed(Network):
    """A layer of every kind that has weights: whole, by channel, with a gap, upwards, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.Conv2d(12, 6, 3, padding=2, dilation=2),
            nn.ConvTranspose2d(6, 5, 2, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(20, 4)

    def features(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x))


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(1)
    half = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)
    return ImageModel(Mixed(), half).eval()


PICTURES = np.random.default_rng(0).integers(0, 255, (40, 16, 20, 3), np.uint8)


def answers(model: ImageModel) -> list[Tensor]:
    """What each layer with weights answers."""
    found: list[Any] = []
    hooks = [
        layer.register_forward_hook(lambda layer, taken, given: found.append(given))
        for layer in model.network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    with torch.no_grad():
        model(torch.from_numpy(PICTURES))
    for hook in hooks:
        hook.remove()
    return found


def test_the_mean_of_every_channel_stays_what_it_was(model: ImageModel) -> None:
    before, after = answers(model), answers(fitted(model, PICTURES))
    for first, second in zip(before, after, strict=True):
        others = [axis for axis in range(first.ndim) if axis != 1]
        assert torch.allclose(first.mean(dim=others), second.mean(dim=others), atol=1e-4)
        assert 0 < (first - second).square().mean() < 0.01 * first.var()


def test_the_model_that_was_given_is_not_changed(model: ImageModel) -> None:
    before = copy.deepcopy(model.state_dict())
    fitted(model, PICTURES[:5])
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_same_pictures_give_the_same_weights(model: ImageModel) -> None:
    first, second = (fitted(model, PICTURES).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
