"""When memory does not hold a batch, one that fits is found, suggested, or taken if allowed."""

import json

import pytest
import torch

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.networks.saved import unpack
from darkroom.networks.start import NetworkStart
from darkroom.training import Recipe
from darkroom.training.fitting import batch_parts
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics
from tests.training.digits import FACTS, digits

NARROW = """
import torch

MOST = {most}
LATER = {later}


class Narrow(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.steps = 0
        self.head = torch.nn.Linear(256, classes)

    def forward(self, x):
        if self.training:
            self.steps += 1
            if len(x) > MOST and self.steps > LATER:
                {fails}
        return self.head(x.flatten(1))


def build(*, channels, size, classes, **options):
    return Narrow(classes)
"""
CUDA = 'raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")'
RECIPE = Recipe(network="custom", epochs=2, batch_size=64, threads=1, device="cpu")


@pytest.fixture
def narrow(tmp_path):
    """Makes a network that memory holds with so many pictures at a time, in the steps of a training."""

    def made(most=8, fails=CUDA, later=0):
        path = tmp_path / "narrow.py"
        path.write_text(NARROW.format(most=most, fails=fails, later=later))
        return NetworkStart(code=path)

    return made


def trained(folder, start, recipe=RECIPE, **more):
    return train(folder, rendering=digits(200, 50), recipe=recipe, seed=0, facts=FACTS, start=start, **more)


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "fails",
    [
        CUDA,
        'raise MemoryError("numpy cannot")',
        "torch.empty(1 << 56)",
    ],
    ids=["cuda", "numpy", "torch"],
)
def test_the_largest_batch_that_fits_is_suggested(tmp_path, narrow, fails):
    with pytest.raises(Unsupported, match=r"batches of 64 pictures. .* 8 fit, as a step") as refused:
        trained(tmp_path / "run", narrow(fails=fails))
    assert "Set batch_size = 8 and accumulate_batches = 8" in refused.value.hint
    assert "allow_smaller_batch" in refused.value.hint
    assert events(tmp_path / "run")[-1]["event"] == "failed"


def test_allowed_it_is_taken_and_the_step_stays_the_same(tmp_path, narrow):
    allowed = RECIPE.model_copy(update={"allow_smaller_batch": True})
    outcome = trained(tmp_path / "taken", narrow(), allowed)
    assert outcome.batch is not None
    assert (outcome.batch.batch_size, outcome.batch.accumulate_batches) == (8, 8)
    told = RECIPE.model_copy(update={"batch_size": 8, "accumulate_batches": 8})
    trained(tmp_path / "told", narrow(), told)
    first, second = (
        unpack(tmp_path / name / "checkpoints" / "last.safetensors")[0] for name in ("taken", "told")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    whole = trained(tmp_path / "whole", narrow(most=64))
    assert outcome.best.val_loss == pytest.approx(whole.best.val_loss, rel=1e-4)
    said = [one for one in events(tmp_path / "taken") if one["event"] == "smaller-batch"]
    assert len(said) == 1
    assert "8 fit" in said[0]["why"]
    kept = json.loads((tmp_path / "taken" / "environment.json").read_text())["batch_choice"]
    assert kept["asked"] == 64


def test_it_goes_on_from_the_last_saved_epoch(tmp_path, narrow):
    allowed = RECIPE.model_copy(update={"allow_smaller_batch": True, "epochs": 3, "batch_size": 16})
    outcome = trained(tmp_path / "run", narrow(later=17), allowed)
    assert outcome.batch is not None
    assert [point.epoch for point in read_metrics(tmp_path / "run")] == [1, 2, 3]
    assert outcome.resumed_from >= 1


@pytest.mark.slow
def test_where_nothing_fits_it_says_so(tmp_path, narrow):
    allowed = RECIPE.model_copy(update={"allow_smaller_batch": True})
    for recipe in (RECIPE, allowed):
        with pytest.raises(Unsupported, match="not enough memory .* Halve batch_size"):
            trained(tmp_path / "run", narrow(most=0, later=2), recipe)


def test_another_error_of_the_users_network_names_its_line_and_tries_nothing(tmp_path, narrow):
    start = narrow(fails='raise IndexError("no such layer")')
    with pytest.raises(
        InvalidConfig, match=r"narrow.py, line \d+ `raise IndexError.*a step of the training"
    ):
        trained(tmp_path / "run", start)


def test_parts_of_a_batch_make_it_whole():
    assert batch_parts(12) == [(6, 2), (4, 3), (3, 4), (2, 6), (1, 12)]
    assert batch_parts(64)[0] == (32, 2)
    assert batch_parts(13)[:2] == [(7, 2), (5, 3)]
