"""Masks that teach little: a class of one pixel, one that val never shows, pictures smaller than a crop."""

import math

import numpy as np
import pytest

from darkroom.networks.saved import load
from darkroom.training import Augment, Loss, Recipe
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics
from tests.training.squares import FACTS, HEIGHT, WIDTH, rendering

RECIPE = Recipe(network="lraspp/mobilenetv2_035", epochs=2, batch_size=8, threads=1)


def finite(folder):
    figures = [point.model_dump() for point in read_metrics(folder)]
    numbers = [value for point in figures for value in point.values() if isinstance(value, float)]
    weights = load(folder / "checkpoints" / "last.safetensors")[0].state_dict().values()
    return all(map(math.isfinite, numbers)) and all(bool(one.isfinite().all()) for one in weights)


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """A run on masks of which one pixel in all shows the last class, and none of val."""
    data = rendering()
    train_split, val = data.split("train"), data.split("val")
    for split in (train_split, val):
        split.masks[split.masks == 2] = 0
    train_split.masks[0, 5, 5] = 2
    folder = tmp_path_factory.mktemp("rare")
    loss = Loss(class_weights="balanced", dice_weight=1.0)
    recipe = RECIPE.model_copy(update={"loss": loss})
    return folder, train(folder, rendering=data, recipe=recipe, seed=0, facts=FACTS), val


def test_a_class_of_one_pixel_leaves_every_figure_a_number(rare):
    folder, outcome, _ = rare
    assert outcome.epochs == 2
    assert finite(folder)


def test_a_class_that_val_never_shows_is_left_out_of_the_mean(rare):
    folder, outcome, val = rare
    assert not (val.masks == 2).any()
    assert 0 <= outcome.best.val_miou <= 1
    assert len(load(folder / "checkpoints" / "best.safetensors")[1].labels) == 3


def test_pictures_smaller_than_the_crop_are_learnt_with_what_lies_around_them_not_said(tmp_path):
    crop_px = 64
    assert crop_px > max(HEIGHT, WIDTH)
    recipe = RECIPE.model_copy(update={"augment": Augment(crop_px=crop_px, rotate_deg=10)})
    outcome = train(tmp_path, rendering=rendering(), recipe=recipe, seed=0, facts=FACTS)
    assert finite(tmp_path)
    whole = train(tmp_path / "whole", rendering=rendering(), recipe=RECIPE, seed=0, facts=FACTS)
    assert outcome.last.train_loss != whole.last.train_loss


def test_a_picture_of_which_no_pixel_is_said_takes_nothing_from_the_others(tmp_path):
    data = rendering()
    unsaid = data.split("train")
    unsaid.masks[3] = 255
    unsaid.images[3] = np.random.default_rng(0).integers(0, 256, unsaid.images[3].shape)
    outcome = train(tmp_path, rendering=data, recipe=RECIPE, seed=0, facts=FACTS)
    assert finite(tmp_path)
    assert outcome.best.val_miou is not None
