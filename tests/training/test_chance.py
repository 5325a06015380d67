"""Each source of chance has its own seed: what does not vary stays equal to the bit."""

import numpy as np
import pytest
import torch

from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import content_id
from darkroom.training import Augment, Chance, Recipe
from darkroom.training.bench import prepare
from darkroom.training.chance import SOURCES
from darkroom.training.device import derive_seed
from darkroom.training.redrawn import redrawn
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits

RENDERING = digits(train=160, val=40)
RECIPE = Recipe(epochs=1, threads=1, device="cpu", dropout=0.2, augment=Augment(shift=0.1))


def laid_out(folder, chance, seed=0):
    recipe = RECIPE.model_copy(update={"chance": chance})
    return prepare(
        RENDERING, recipe, seed, FACTS, torch.device("cpu"), FeatureStore(folder), NetworkStart()
    )


def drawn(bench):
    """Returns everything that chance decides in a training, by its source."""
    draws = bench.augmenter.draw(8, bench.generator("augmentation", 1))
    weights = torch.cat([one.flatten() for one in bench.network.state_dict().values()])
    return {
        "initialisation": weights.numpy().tobytes(),
        "order": torch.randperm(160, generator=bench.generator("order", 1)).numpy().tobytes(),
        "augmentation": str(draws),
        "dropout": bench.derived_seed("dropout", 1),
        "split": bench.train._split.image_ids,
    }


@pytest.mark.parametrize("source", SOURCES)
def test_a_seed_of_its_own_moves_that_source_and_no_other(tmp_path, source):
    plain, moved = (drawn(laid_out(tmp_path, chance)) for chance in (Chance(), Chance(**{source: 7})))
    assert [name for name in SOURCES if plain[name] != moved[name]] == [source]


@pytest.mark.parametrize("source", [one for one in SOURCES if one != "split"])
def test_what_is_held_stays_while_the_seed_of_the_run_moves(tmp_path, source):
    first, second = (drawn(laid_out(tmp_path, Chance(**{source: 3}), seed)) for seed in (3, 4))
    others = [name for name in SOURCES if name not in (source, "split")]
    assert first[source] == second[source]
    assert first["split"] == second["split"]  # the dataset's own, whatever the seed
    assert all(first[name] != second[name] for name in others)


def test_without_seeds_of_its_own_chance_is_what_it_was():
    assert Chance().derived(5, "order", 2) == derive_seed(5, "order", 2)
    assert content_id(Recipe()) == content_id(Recipe(chance=Chance()))
    assert "chance" not in __import__("darkroom.records", fromlist=["plain"]).plain(Recipe())
    assert content_id(Recipe()) != content_id(Recipe(chance=Chance(order=1)))


def test_a_seed_that_says_what_the_run_says_is_left_out():
    chance = Chance(order=4, dropout=5, split=4)
    assert chance.settled(4) == Chance(dropout=5, split=4)
    assert chance.seeds(4) == {
        "initialisation": 4, "order": 4, "augmentation": 4, "dropout": 5, "split": 4,
    }  # fmt: skip


def test_another_split_keeps_the_counts_of_every_class_and_leaves_test_alone():
    test = MemorySplit(RENDERING.split("val").images[:5], RENDERING.split("val").labels[:5])
    rendering = MemoryRendering(**RENDERING.splits, test=test)
    found = redrawn(rendering, 11)
    for name in ("train", "val"):
        mine, own = found.split(name), rendering.split(name)
        assert np.array_equal(np.bincount(mine.labels), np.bincount(own.labels))
        assert list(mine.image_ids) == sorted(mine.image_ids)
    assert not set(found.split("train").image_ids) & set(found.split("val").image_ids)
    assert set(found.split("val").image_ids) != set(rendering.split("val").image_ids)
    assert found.split("test") is test
    assert redrawn(rendering, None) is rendering


def test_pictures_of_another_split_come_with_their_own_label_into_whatever_buffer():
    found, by_id = redrawn(RENDERING, 2).split("val"), {}
    for name in ("train", "val"):
        own = RENDERING.split(name)
        by_id |= {one: (own.images[place], own.labels[place]) for place, one in enumerate(own.image_ids)}
    at = np.array([3, 0, 39, 3])
    out = np.zeros((4, 16, 16, 1), np.uint8)
    assert found.gather(at, out) is out
    for row, place in zip(out, at, strict=True):
        assert np.array_equal(row, by_id[found.image_ids[place]][0])
    assert [by_id[one][1] for one in found.image_ids] == found.labels.tolist()


def test_another_split_never_tears_a_group_apart():
    own = digits(train=60, val=20)
    for name, start in (("train", 0), ("val", 60)):
        split = own.split(name)
        split.groups = [f"g{(start + place) // 4}" for place in range(len(split))]
    found = redrawn(own, 3)
    groups = [set(found.split(name).groups) for name in ("train", "val")]
    assert not groups[0] & groups[1]
    assert abs(len(found.split("val")) - 20) <= 8
    assert len(found.split("val")) + len(found.split("train")) == 80
