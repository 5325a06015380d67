"""What torch refuses while it trains is said in words, with what to do; other errors stay as they are."""

import json

import numpy as np
import pytest
import torch

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.records import Contract
from darkroom.training import Recipe
from darkroom.training.loop import train
from darkroom.training.refusals import in_words
from tests.training.digits import FACTS, digits


@pytest.mark.parametrize("ask", [torch.empty, np.empty])
def test_too_little_memory_is_said_with_the_batch_to_halve(ask):
    recipe = Recipe(batch_size=512)
    with pytest.raises(Unsupported, match="batches of 512 pictures. Halve batch_size"), in_words(recipe):
        ask(1 << 56)


def test_a_batch_of_one_is_refused_where_the_network_cannot_normalise_it(tmp_path):
    facts = FACTS.model_copy(update={"contract": Contract(width_px=32, height_px=32, colour="grey")})
    recipe = Recipe(network="mobilenetv2_035", batch_size=1, epochs=1, threads=1, device="cpu")
    with pytest.raises(InvalidConfig, match="needs two at a time. Received: batch_size = 1"):
        train(tmp_path, rendering=digits(4, 2, side_px=32), recipe=recipe, seed=0, facts=facts)
    last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "failed"
    assert "batch_size" in last["message"]


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), in_words(Recipe()):
        torch.matmul(torch.zeros(2, 3), torch.zeros(2, 3))
