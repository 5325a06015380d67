"""Balanced sampling shows every class as often as any other, and a rare class is found more often by it."""

import numpy as np
import pytest
import torch

from darkroom.errors import Invalid
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load, unpack
from darkroom.training import Recipe
from darkroom.training.loop import train
from darkroom.training.sampling import balanced_order
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits

RECIPE = Recipe(epochs=6, threads=1, device="cpu", batch_size=32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_class_comes_as_often_as_any_other_and_within_it_every_picture():
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    order = balanced_order(labels, seeded())
    assert len(order) == 100
    counts = torch.bincount(labels[order], minlength=3)
    assert counts.max() - counts.min() <= 1
    seen = torch.bincount(order, minlength=100)
    for label in range(3):
        own = seen[labels == label]
        assert own.max() - own.min() <= 1
    assert seen[labels == 2].min() >= 3


def test_what_does_not_come_out_even_is_drawn_anew_and_the_same_for_the_same_seed():
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    assert torch.equal(balanced_order(labels, seeded(1)), balanced_order(labels, seeded(1)))
    orders = {tuple(balanced_order(labels, seeded(seed)).tolist()) for seed in range(8)}
    assert len(orders) == 8


def test_a_class_that_no_picture_shows_has_no_part():
    order = balanced_order(torch.tensor([0, 0, 5]), seeded())
    assert sorted(set(order.tolist())) in ([0, 2], [1, 2], [0, 1, 2])


def test_no_pictures_are_refused():
    with pytest.raises(Invalid, match="no pictures to sample"):
        balanced_order(torch.empty(0, dtype=torch.int64), seeded())


def one_rare(keep=4):
    """Digits of which the eights are nearly all gone from training."""
    whole = digits(600, 400)
    split = whole.split("train")
    eights = np.flatnonzero(split.labels == 8)
    kept = np.delete(np.arange(len(split)), eights[keep:])
    return MemoryRendering(
        train=MemorySplit(split.images[kept], split.labels[kept]), val=whole.split("val")
    )


def test_a_rare_class_is_found_more_often(tmp_path):
    rendering, found = one_rare(), {}
    val = rendering.split("val")
    for sampling in ("each-once", "balanced"):
        recipe = RECIPE.model_copy(update={"sampling": sampling})
        train(tmp_path / sampling, rendering=rendering, recipe=recipe, seed=0, facts=FACTS)
        model = ImageModel.of(*load(tmp_path / sampling / "checkpoints" / "last.safetensors"))
        answers = predict(model, [val.images]).argmax(1)
        found[sampling] = float((answers[val.labels == 8] == 8).mean())
    assert found["balanced"] > found["each-once"] + 0.2


def test_the_same_seed_gives_the_same_bits(tmp_path):
    recipe = RECIPE.model_copy(update={"sampling": "balanced", "epochs": 2})
    for run in "ab":
        train(tmp_path / run, rendering=digits(100, 40), recipe=recipe, seed=3, facts=FACTS)
    first, second = (unpack(tmp_path / run / "checkpoints/last.safetensors")[0] for run in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
