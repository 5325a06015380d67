"""Optimisers step as their formulas say, and weight decay leaves biases alone."""

import pytest
import torch

from darkroom.networks import build
from darkroom.training import Optimiser, Recipe
from darkroom.training.optimiser import make_optimiser

CPU = torch.device("cpu")


def stepped(recipe, gradients):
    """Returns what one kernel of ones became under a row of gradients."""
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(layer.weight)
    optimiser = make_optimiser(recipe, layer, CPU)
    for gradient in gradients:
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimiser.step()
    return layer.weight.item()


def test_sgd_goes_on_with_its_momentum():
    recipe = Recipe(learning_rate=0.1, weight_decay=0, optimiser=Optimiser(name="sgd", momentum=0.5))
    assert stepped(recipe, [1.0, 1.0]) == pytest.approx(1 - 0.1 * 1.0 - 0.1 * 1.5)


def test_sgd_adds_weight_decay_to_the_gradient():
    recipe = Recipe(learning_rate=0.1, weight_decay=0.5, optimiser=Optimiser(name="sgd", momentum=0))
    assert stepped(recipe, [1.0]) == pytest.approx(1 - 0.1 * (1.0 + 0.5))


def test_adam_steps_by_the_learning_rate_at_first_whatever_the_gradient():
    for gradient in (0.001, 1.0, 1000.0):
        recipe = Recipe(learning_rate=0.1, weight_decay=0, optimiser=Optimiser(name="adam"))
        assert stepped(recipe, [gradient]) == pytest.approx(0.9, abs=1e-5)


def test_adam_follows_its_formula():
    chosen = Optimiser(name="adam", beta1=0.8, beta2=0.9, epsilon=1e-3)
    mean, square, weight = 0.0, 0.0, 1.0
    for step, gradient in enumerate([1.0, -0.5, 2.0], start=1):
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.8**step)) / ((square / (1 - 0.9**step)) ** 0.5 + 1e-3)
    got = stepped(Recipe(learning_rate=0.1, weight_decay=0, optimiser=chosen), [1.0, -0.5, 2.0])
    assert got == pytest.approx(weight, abs=1e-6)


GRADIENTS = [1.0, -0.5, 2.0]


def test_nag_looks_ahead_along_its_momentum():
    velocity, weight = 0.0, 1.0
    for gradient in GRADIENTS:
        velocity = 0.8 * velocity + gradient
        weight -= 0.1 * (gradient + 0.8 * velocity)
    chosen = Optimiser(name="nag", momentum=0.8)
    got = stepped(Recipe(learning_rate=0.1, weight_decay=0, optimiser=chosen), GRADIENTS)
    assert got == pytest.approx(weight, abs=1e-6)


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    square, weight = 0.0, 1.0
    for gradient in GRADIENTS:
        square = 0.9 * square + 0.1 * gradient**2
        weight -= 0.1 * gradient / (square**0.5 + 1e-3)
    chosen = Optimiser(name="rmsprop", rms_decay=0.9, epsilon=1e-3)
    got = stepped(Recipe(learning_rate=0.1, weight_decay=0, optimiser=chosen), GRADIENTS)
    assert got == pytest.approx(weight, abs=1e-6)


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    square, weight = 0.0, 1.0
    for gradient in GRADIENTS:
        square += gradient**2
        weight -= 0.1 * gradient / (square**0.5 + 1e-3)
    chosen = Optimiser(name="adagrad", epsilon=1e-3)
    got = stepped(Recipe(learning_rate=0.1, weight_decay=0, optimiser=chosen), GRADIENTS)
    assert got == pytest.approx(weight, abs=1e-6)


def test_adadelta_steps_by_the_ratio_of_two_root_mean_squares():
    square, steps, weight = 0.0, 0.0, 1.0
    for gradient in GRADIENTS:
        square = 0.8 * square + 0.2 * gradient**2
        change = ((steps + 1e-4) / (square + 1e-4)) ** 0.5 * gradient
        steps = 0.8 * steps + 0.2 * change**2
        weight -= 0.5 * change
    chosen = Optimiser(name="adadelta", rho=0.8, adadelta_epsilon=1e-4)
    got = stepped(Recipe(learning_rate=0.5, weight_decay=0, optimiser=chosen), GRADIENTS)
    assert got == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize("name", ["nag", "rmsprop", "adagrad", "adadelta"])
def test_weight_decay_of_the_others_is_part_of_the_gradient(name):
    chosen = Optimiser(name=name)
    decayed = stepped(Recipe(learning_rate=0.1, weight_decay=0.5, optimiser=chosen), [0.3])
    by_hand = stepped(Recipe(learning_rate=0.1, weight_decay=0.0, optimiser=chosen), [0.3 + 0.5 * 1.0])
    assert decayed == pytest.approx(by_hand)


def test_decay_of_adamw_does_not_pass_through_the_gradient():
    recipe = Recipe(learning_rate=0.1, weight_decay=0.5, optimiser=Optimiser(name="adamw"))
    assert stepped(recipe, [0.0]) == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("name", Optimiser.model_fields["name"].annotation.__args__)
def test_weight_decay_shrinks_kernels_and_leaves_biases_alone(name):
    torch.manual_seed(0)
    network = build("lenet5", channels=1, size=(16, 16), classes=3)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    recipe = Recipe(learning_rate=0.001, weight_decay=0.5, optimiser=Optimiser(name=name))
    optimiser = make_optimiser(recipe, network, CPU)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    for name, weight in network.named_parameters():
        if name.endswith("bias"):
            assert torch.equal(weight, before[name]), name
        else:
            assert weight.abs().sum() < before[name].abs().sum(), name


def test_frozen_weights_are_not_given_to_the_optimiser():
    network = build("lenet5", channels=1, size=(16, 16), classes=3)
    network.conv1.requires_grad_(False)
    optimiser = make_optimiser(Recipe(), network, CPU)
    count = sum(len(group["params"]) for group in optimiser.param_groups)
    assert count == len(list(network.parameters())) - 2
