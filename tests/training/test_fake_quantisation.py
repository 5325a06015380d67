"""Rounding while a network trains: as an int8 file rounds, with gradients that pass, and nothing kept."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.errors import InvalidConfig
from darkroom.export.onnx_weights import quantised
from darkroom.operations.quantising import rounding_recipe
from darkroom.training import Recipe
from darkroom.training.combinations import check_combinations
from darkroom.training.fake_quantisation import round_activations, round_weights, rounds


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


IMAGES = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_become_what_an_int8_file_holds(axis: int) -> None:
    weights = torch.randn(5, 6, 3, 3, generator=torch.Generator().manual_seed(2))
    weights.select(axis, 2).zero_()
    whole, scales = quantised(weights.numpy(), axis)
    shape = [-1 if place == axis else 1 for place in range(4)]
    np.testing.assert_allclose(round_weights(weights, axis), whole * scales.reshape(shape), atol=1e-6)


def test_activations_have_256_steps_and_zero_is_one_of_them() -> None:
    values = torch.linspace(-0.3, 0.9, 5000)
    rounded = round_activations(values)
    assert len(rounded.unique()) <= 256
    assert (rounded - values).abs().max() <= 1.2 / 255 * 1.01
    assert round_activations(torch.tensor([-0.3, 0.0, 0.9]))[1] == 0
    assert torch.equal(round_activations(torch.zeros(3)), torch.zeros(3))


def test_gradients_pass_as_if_nothing_was_rounded() -> None:
    values = torch.randn(30, requires_grad=True)
    (round_activations(values) * torch.arange(30)).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, torch.arange(30).float())


def test_a_network_rounds_and_keeps_its_weights_and_their_names() -> None:
    plain = small().eval()
    rounding = rounds(copy.deepcopy(plain)).eval()
    assert rounding.state_dict().keys() == plain.state_dict().keys()
    apart = (rounding(IMAGES) - plain(IMAGES)).abs().max()
    assert 0 < apart < 0.1
    for name, weights in rounding.state_dict().items():
        assert torch.equal(weights, plain.state_dict()[name])
    assert "weight" not in rounding[0].__dict__, "the layer's own weights stand again"


def test_its_own_weights_stand_again_after_a_pass_that_failed() -> None:
    rounding = rounds(small())
    with pytest.raises(RuntimeError):
        rounding(torch.zeros(2, 5, 8, 8))
    assert isinstance(rounding[0].weight, nn.Parameter)


def test_training_with_rounding_makes_the_rounded_loss_smaller() -> None:
    network, truth = rounds(small()), torch.arange(20) % 4
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(network(IMAGES), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_a_last_layer_alone_cannot_be_trained_with_rounding() -> None:
    recipe = Recipe(train_layers="last", weights="any", quantise=True)
    with pytest.raises(InvalidConfig, match="quantise rounds"):
        check_combinations(recipe, ("a", "b"))


@pytest.mark.parametrize(
    "earlier",
    [
        Recipe(),
        Recipe(weights="any", train_layers="last", feature_views=1, learning_rate=0.01),
        Recipe.model_validate({"optimiser": {"name": "sgd"}, "schedule": {"name": "step"}, "epochs": 40}),
        Recipe.model_validate({"early_stopping": {"patience_epochs": 4}, "accumulate_batches": 4}),
    ],
)
def test_a_run_goes_on_with_rounding_briefly_and_with_small_steps(earlier: Recipe) -> None:
    recipe = rounding_recipe(earlier, 3, 1e-4)
    check_combinations(recipe, ("a", "b"), goes_on=True)
    assert (recipe.quantise, recipe.epochs, recipe.learning_rate) == (True, 3, 1e-4)
    assert (recipe.weights, recipe.train_layers) == ("", "all")
    assert recipe.loss == earlier.loss
    assert recipe.augment == earlier.augment
