"""A loss or gradient that is no number stops the training, keeps the batch, and the cause is named."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from darkroom.errors import Invalid
from darkroom.networks.saved import load, unpack
from darkroom.networks.start import NetworkStart
from darkroom.training import Optimiser, Recipe, Schedule
from darkroom.training.broken import read_broken
from darkroom.training.loop import train
from tests.training.digits import FACTS, digits

FAST = {"optimiser": Optimiser(name="sgd"), "schedule": Schedule(name="fixed", warmup_epochs=0)}
SHORT = Recipe(epochs=2, threads=1, device="cpu")
CUSTOM = """
import torch


class Odd(torch.nn.Module):
    def forward(self, x):
        return {answer}


def build(*, channels, size, classes):
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(channels * size[0] * size[1], 8), Odd(),
        torch.nn.Linear(8, classes),
    )
"""


def broken(folder, recipe, **options):
    rendering = digits(train=300, val=100)
    with pytest.raises(Invalid, match="no longer a number: epoch 1, step") as caught:
        train(folder, rendering=rendering, recipe=recipe, seed=0, facts=FACTS, **options)
    assert caught.value.id == "training.not-finite"
    assert str(folder / "broken") in caught.value.hint
    return read_broken(folder), caught.value


def custom(tmp_path, answer):
    code = tmp_path / "odd.py"
    code.write_text(CUSTOM.format(answer=answer))
    return SHORT.model_copy(update={"network": "custom", "network_file": code}), NetworkStart(code=code)


def test_too_high_a_rate_is_named_and_the_batch_can_be_met_again(tmp_path):
    found, error = broken(tmp_path, SHORT.model_copy(update={"learning_rate": 100.0, **FAST}))
    assert found.cause == "learning rate"
    assert "smaller learning_rate" in error.hint
    assert "--recipe.learning-rate 10" in error.hint
    assert found.learning_rate == 100.0
    assert len(found.image_ids) == len(found.labels) == 64
    assert found.losses[-1] in ("nan", "inf", "-inf") or found.what == "gradient"
    assert float(found.losses[0]) == pytest.approx(2.3, abs=0.3)
    folder = tmp_path / "broken"
    batch = unpack(folder / "batch.safetensors")[0]
    split = digits(train=300, val=100).split("train")
    for place, image_id in zip(batch["places"].tolist(), found.image_ids, strict=True):
        assert split.image_ids[place] == image_id
    assert [FACTS.labels[one] for one in batch["labels"].tolist()] == list(found.labels)
    network, _ = load(folder / "weights.safetensors")
    loss = nn.functional.cross_entropy(network.train()(batch["x"]), batch["labels"])
    assert found.what == "gradient" or not torch.isfinite(loss)
    with Image.open(folder / "batch.png") as picture:
        assert np.asarray(picture).std() > 10


def test_a_layer_that_divides_by_zero_is_named(tmp_path):
    recipe, start = custom(tmp_path, "x / (x - x)")
    found, error = broken(tmp_path / "run", recipe, start=start)
    assert (found.cause, found.what, found.step) == ("layer", "loss", 1)
    assert found.layer.endswith("2")
    assert found.layer_kind == "Odd"
    assert "division by zero" in error.hint


def test_looking_for_the_layer_leaves_the_weights_as_the_batch_met_them(tmp_path):
    recipe, start = custom(tmp_path, "x / (x - x)")
    code = recipe.network_file.read_text()
    recipe.network_file.write_text(code.replace("Odd(),", "torch.nn.BatchNorm1d(8), Odd(),"))
    found, _ = broken(tmp_path / "run", recipe, start=start)
    assert found.step == 1
    kept = unpack(tmp_path / "run" / "broken" / "weights.safetensors")[0]
    (seen,) = (int(one) for name, one in kept.items() if name.endswith("num_batches_tracked"))
    assert seen == 1


def test_a_gradient_that_is_no_number_is_named_before_it_reaches_the_weights(tmp_path):
    recipe, start = custom(tmp_path, "(x * (x > 0)).sqrt()")  # the slope at 0 is infinite; 0 · ∞ is none
    found, error = broken(tmp_path / "run", recipe, start=start)
    assert (found.cause, found.what) == ("layer", "gradient")
    assert found.gradients
    assert "backpropagation" in error.message
    kept = unpack(tmp_path / "run" / "broken" / "weights.safetensors")[0]
    assert all(bool(torch.isfinite(one).all()) for one in kept.values())


def test_a_run_that_gets_through_keeps_no_broken_batch(tmp_path):
    bad = SHORT.model_copy(update={"learning_rate": 100.0, **FAST})
    broken(tmp_path, bad)
    train(tmp_path, rendering=digits(300, 100), recipe=SHORT, seed=0, facts=FACTS)
    assert read_broken(tmp_path) is None
    assert not (tmp_path / "broken").exists()
