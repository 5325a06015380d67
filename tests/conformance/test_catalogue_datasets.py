"""Splits that stick and dataset versions that never change, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from darkroom.catalogue import Catalogue, schema
from darkroom.errors import Frozen, Invalid, NotFound
from darkroom.records import Member
from tests.conformance.examples import image_id, images, version


def test_a_split_sticks(catalogue: Catalogue) -> None:
    one, two, group = f"image:{image_id(1)}", f"image:{image_id(2)}", "group:patient 7"
    assert catalogue.splits.assign({one: "train", group: "must-pass"}) == {one: "train", group: "must-pass"}
    assert catalogue.splits.assign({one: "test", two: "val"}) == {one: "train", two: "val"}
    assert catalogue.splits.assigned([one, two, "group:none"]) == {one: "train", two: "val"}
    assert catalogue.splits.assigned([one], scheme="other") == {}
    assert catalogue.splits.assign({one: "field"}, scheme="other") == {one: "field"}
    assert catalogue.splits.assigned([one]) == {one: "train"}


def test_a_split_or_key_that_is_none_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(Invalid, match="Known: train"):
        catalogue.splits.assign({"group:a": "training"})  # type: ignore[dict-item]
    with pytest.raises(Invalid, match="image:<id>"):
        catalogue.splits.assign({"a": "train"})
    assert catalogue.splits.assigned(["group:a", "a"]) == {}


def members(*numbers: int) -> list[Member]:
    return [
        Member(
            image_id=image_id(number),
            split="train" if number % 3 else "test",
            label="été" if number % 2 else "b|c",
            group="g" if number % 5 == 0 else None,
            sequence=number + 2**33,
        )
        for number in numbers
    ]


def test_a_frozen_version_comes_back_with_its_members_in_order(catalogue: Catalogue) -> None:
    catalogue.images.add(images(30))
    shuffled = members(*random.Random(1).sample(range(30), 30))
    first = catalogue.datasets.freeze(version(1), iter(shuffled))
    assert first == version(1)
    assert catalogue.datasets.get("digits@1") == first
    assert list(catalogue.datasets.members("digits@1")) == shuffled
    of_test = [member for member in shuffled if member.split == "test"]
    assert list(catalogue.datasets.members("digits", "test")) == of_test


def test_a_name_alone_means_its_newest_version(catalogue: Catalogue) -> None:
    catalogue.images.add(images(3))
    # 10 comes after 9, though not in the alphabet.
    for number in (1, 9, 10):
        catalogue.datasets.freeze(version(number, content=str(number)), members(number % 3))
    catalogue.datasets.freeze(version(2, name="letters"), members(1, 2))
    assert catalogue.datasets.get("digits").version == 10
    assert [found.ref for found in catalogue.datasets.list()] == [
        "digits@1",
        "digits@9",
        "digits@10",
        "letters@2",
    ]
    assert catalogue.datasets.of_image(image_id(1)) == ["digits@1", "digits@10", "letters@2"]
    assert catalogue.datasets.of_image(image_id(7)) == []


def test_what_is_frozen_stays_as_it_is(catalogue: Catalogue) -> None:
    catalogue.images.add(images(4))
    first = catalogue.datasets.freeze(version(1), members(1, 2))
    assert catalogue.datasets.freeze(version(1), members(1, 2)) == first
    with pytest.raises(Frozen):
        catalogue.datasets.freeze(version(1, content="b"), members(3))
    assert [member.image_id for member in catalogue.datasets.members("digits")] == [
        image_id(1),
        image_id(2),
    ]


def test_a_version_that_fails_leaves_nothing(catalogue: Catalogue) -> None:
    catalogue.images.add(images(6000))
    with pytest.raises(NotFound, match="not in this project"):
        catalogue.datasets.freeze(version(1), members(*range(6001)))
    assert catalogue.datasets.list() == []
    with catalogue.datasets._database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.members)).scalar() == 0
    catalogue.datasets.freeze(version(1), members(*range(6000)))
    assert sum(1 for _ in catalogue.datasets.members("digits@1")) == 6000


@pytest.mark.parametrize("ref", ["digts", "digits@2", "digits@", "digits@x", "@1", ""])
def test_an_unknown_dataset_names_those_that_are_there(catalogue: Catalogue, ref: str) -> None:
    catalogue.images.add(images(2))
    catalogue.datasets.freeze(version(1), members(1))
    with pytest.raises(NotFound, match=r"Known: digits \(1 version\)"):
        catalogue.datasets.get(ref)
    with pytest.raises(NotFound):
        catalogue.datasets.members(ref)
