"""The table of networks: its facts are measured, and what it cannot build it refuses in words."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from darkroom.errors import InvalidConfig, NotFound
from darkroom.networks import NETWORKS, build


def built(entry):
    height, width, channels = entry.typical_input
    return build(entry.name, channels=channels, size=(height, width), classes=entry.typical_classes)


def blank(entry, count=1):
    height, width, channels = entry.typical_input
    return torch.zeros(count, channels, height, width)


@pytest.mark.parametrize("entry", NETWORKS.values(), ids=NETWORKS.keys())
class TestEveryNetwork:
    def test_has_the_parameters_that_the_table_says(self, entry):
        assert built(entry).parameter_count == entry.parameters

    def test_takes_the_operations_that_the_table_says(self, entry):
        network = built(entry).eval()
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(blank(entry))
        assert counter.get_total_flops() == entry.flops

    def test_gives_an_embedding_of_the_length_that_the_table_says(self, entry):
        embedding = built(entry).eval().features(blank(entry, 3))
        assert embedding.shape == (3, entry.embedding_size)

    def test_gives_one_number_per_class(self, entry):
        assert built(entry).eval()(blank(entry, 3)).shape == (3, entry.typical_classes)

    def test_answers_the_same_from_features_and_head_as_at_once(self, entry):
        network = built(entry).eval()
        x = torch.rand_like(blank(entry, 2))
        assert torch.equal(network(x), network.head(network.features(x)))

    def test_takes_its_smallest_input_and_refuses_a_smaller_one(self, entry):
        side = entry.smallest_input_px
        network = build(entry.name, channels=3, size=(side, side), classes=2).eval()
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 2)
        with pytest.raises(InvalidConfig, match=f"at least {side} px"):
            build(entry.name, channels=3, size=(side, side - 1), classes=2)

    def test_starts_with_the_weights_that_the_seed_decides(self, entry):
        states = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            states.append(torch.cat([weight.flatten() for weight in built(entry).parameters()]))
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize(
    "size", [(12, 12), (13, 40), (28, 28), (32, 32), (55, 55), (56, 56), (64, 100), (224, 224)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_lenet5_takes_any_size_and_its_dense_layers_stay_small(size, channels):
    network = build("lenet5", channels=channels, size=size, classes=7)
    assert network(torch.zeros(2, channels, *size)).shape == (2, 7)
    assert network.parameter_count < 900_000


def test_lenet5_in_colour_at_28_px_differs_only_in_its_first_layer():
    grey = build("lenet5", channels=1, size=(28, 28), classes=10)
    colour = build("lenet5", channels=3, size=(28, 28), classes=10)
    assert colour.parameter_count - grey.parameter_count == 2 * 6 * 25


def test_dropout_changes_answers_while_training_only():
    network = build("lenet5", channels=1, size=(28, 28), classes=10, options={"dropout": 0.5})
    x = torch.rand(4, 1, 28, 28)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_an_unknown_network_is_refused_with_the_nearest_name():
    with pytest.raises(NotFound, match='Did you mean "lenet5"'):
        build("lenet", channels=1, size=(28, 28), classes=10)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidConfig, match='Did you mean "dropout"'):
        build("lenet5", channels=1, size=(28, 28), classes=10, options={"droput": 0.5})


@pytest.mark.parametrize("value", [-0.1, 0.95, "much"])
def test_an_option_out_of_bounds_is_refused(value):
    with pytest.raises(InvalidConfig, match="expected 0 to 0.9"):
        build("lenet5", channels=1, size=(28, 28), classes=10, options={"dropout": value})


def test_the_table_and_the_recipe_are_read_without_torch():
    code = "import darkroom.networks, darkroom.training, sys; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
