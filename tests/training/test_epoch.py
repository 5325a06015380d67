"""A pass over the validation pictures: in batches that memory holds, and stopped when it is asked to."""

import numpy as np
import pytest
import torch

from darkroom.errors import Cancelled
from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import Contract
from darkroom.training import Recipe
from darkroom.training.bench import prepare
from darkroom.training.epoch import validation_batch
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits

SHORT = Recipe(epochs=1, threads=1, device="cpu")


@pytest.mark.parametrize(("side_px", "expected"), [(16, 512), (28, 512), (64, 98), (224, 8), (1024, 1)])
def test_large_pictures_are_validated_a_few_at_a_time(tmp_path, side_px, expected):
    contract = Contract(width_px=side_px, height_px=side_px, colour="grey")
    split = MemorySplit(np.zeros((2, side_px, side_px, 1), np.uint8), [0, 1])
    bench = prepare(
        MemoryRendering(train=split, val=split),
        SHORT,
        0,
        FACTS.model_copy(update={"contract": contract}),
        torch.device("cpu"),
        FeatureStore(tmp_path),
        NetworkStart(),
    )
    assert validation_batch(bench) == expected


def test_a_training_that_is_to_stop_while_it_validates_stops_there(tmp_path):
    rendering, asked = digits(300, 100), []

    def after_the_last_training_batch():
        asked.append(1)
        return len(asked) == 6  # 300 pictures are five batches of 64

    options = {"rendering": rendering, "recipe": SHORT, "seed": 0, "facts": FACTS}
    with pytest.raises(Cancelled, match="stopped in epoch 1 of 1"):
        train(tmp_path, **options, should_stop=after_the_last_training_batch)
    assert read_metrics(tmp_path) == ()
    assert train(tmp_path, **options).epochs == 1
