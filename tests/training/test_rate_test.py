"""The range test finds a rate at which the loss falls, says why, and clones find the same."""

import json

import numpy as np
import pytest
import torch

from darkroom.errors import Invalid
from darkroom.features import FeatureStore
from darkroom.networks.saved import unpack
from darkroom.networks.start import NetworkStart
from darkroom.training import Recipe
from darkroom.training.loop import train
from darkroom.training.rate_test import LOWEST, STEPS, suggest
from darkroom.training.rates import rates_of
from tests.training.digits import FACTS, digits

RECIPE = Recipe(epochs=2, threads=1, device="cpu", batch_size=32)
RATES = [10 ** (power / 10) for power in range(-60, 11)]
LOST = """
import torch


class Lost(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = torch.nn.Linear(256, classes)

    def forward(self, x):
        answers = self.head(x.flatten(1))
        return answers * float("nan") if self.training else answers


def build(*, channels, size, classes, **options):
    return Lost(classes)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    return rates_of(digits(300, 100), RECIPE, FACTS, store, NetworkStart())


def test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested():
    losses = [2.0 - 1.5 * np.exp(-((np.log10(rate) + 1) ** 2)) for rate in RATES]
    test = suggest(RATES, losses, ran_away=False)
    assert test.lowest_at == pytest.approx(0.1)
    assert test.rate == pytest.approx(0.01)
    assert test.steepest_at < test.lowest_at
    assert "lowest at 0.1" in test.why
    assert "had not run away" in test.why


def test_where_the_loss_never_falls_nothing_is_suggested():
    losses = [2.0 + rate for rate in RATES]
    test = suggest(RATES, losses, ran_away=True)
    assert test.rate is None
    assert "never fell by 5%" in test.why


def test_a_loss_of_nothing_shows_no_rate():
    found = suggest([1e-3, 1e-2], [0.0, 0.0], ran_away=False)
    assert found.rate is None


def test_no_step_at_all_shows_no_rate():
    assert suggest([], [], ran_away=True).rate is None


def test_on_real_batches_it_finds_a_rate_that_teaches(found, tmp_path):
    assert found.ran_away
    assert found.rates[0] == LOWEST
    assert 10 < len(found.rates) <= STEPS
    assert 1e-4 < found.rate < 0.1
    recipe = RECIPE.model_copy(update={"learning_rate": found.rate, "epochs": 6})
    taught = train(tmp_path / "a", rendering=digits(300, 100), recipe=recipe, seed=0, facts=FACTS)
    slow = recipe.model_copy(update={"learning_rate": found.rate / 100})
    hardly = train(tmp_path / "b", rendering=digits(300, 100), recipe=slow, seed=0, facts=FACTS)
    assert taught.best.val_accuracy > hardly.best.val_accuracy + 0.2


def test_a_run_that_finds_its_rate_is_the_run_that_is_told_it(found, tmp_path):
    finds = RECIPE.model_copy(update={"find_learning_rate": True})
    told = RECIPE.model_copy(update={"learning_rate": found.rate})
    outcome = train(tmp_path / "finds", rendering=digits(300, 100), recipe=finds, seed=5, facts=FACTS)
    train(tmp_path / "told", rendering=digits(300, 100), recipe=told, seed=5, facts=FACTS)
    first, second = (
        unpack(tmp_path / name / "checkpoints" / "last.safetensors")[0] for name in ("finds", "told")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    said = json.loads((tmp_path / "finds" / "environment.json").read_text())["rate_choice"]
    assert said["rate"] == outcome.rate.rate == found.rate
    assert "A tenth of the rate" in said["why"]


def test_a_network_whose_loss_is_no_number_has_no_rate(tmp_path):
    code = tmp_path / "lost.py"
    code.write_text(LOST)
    recipe = RECIPE.model_copy(update={"network": "custom", "find_learning_rate": True})
    with pytest.raises(Invalid, match=r"found none. The loss was no number from the first step on"):
        train(
            tmp_path / "run",
            rendering=digits(100, 40),
            recipe=recipe,
            seed=0,
            facts=FACTS,
            start=NetworkStart(code=code),
        )
