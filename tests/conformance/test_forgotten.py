"""Forgetting pictures in the catalogue, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from darkroom.catalogue import Catalogue, schema
from darkroom.catalogue.database import connect
from darkroom.errors import Frozen, NotFound
from darkroom.records import Job, Mark, MaskLabel, Member, Quarantined, Tombstone, names_file
from tests.conformance.examples import (
    MOMENT,
    event,
    image_id,
    images,
    location,
    source,
    version,
)


def tombstone(number: int, **facts: object) -> Tombstone:
    return Tombstone(image_id=image_id(number), at=MOMENT, by="Ann", **facts)  # type: ignore[arg-type]


def member(number: int, label: str, split: str = "train") -> Member:
    return Member(image_id=image_id(number), split=split, label=label)  # type: ignore[arg-type]


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    """Three pictures with places, labels, splits, in a dataset version."""
    place = source(catalogue)
    catalogue.images.add(
        images(3), [location(place.id, number, f"roses/{number}.jpg") for number in range(3)]
    )
    catalogue.annotations.append([event(number, "cat") for number in range(3)])
    catalogue.annotations.append([event(0, "dog")])
    catalogue.splits.assign({f"image:{image_id(number)}": "train" for number in range(3)})
    catalogue.datasets.freeze(version(), [member(0, "cat"), member(1, "dog")])
    return catalogue


def test_nothing_of_a_forgotten_picture_is_left_in_any_table(filled: Catalogue, catalogue_url: str) -> None:
    filled.forgotten.begin([tombstone(0)], [Mark(kind="dataset", name="digits@1", image_id=image_id(0))])
    filled.forgotten.erase([image_id(0)])
    database = connect(catalogue_url, create=False)
    for table in schema.metadata.sorted_tables:
        with database.read() as connection:
            text = str(connection.execute(sa.select(table)).all())
        assert (image_id(0) in text) is (table.name in {"tombstones", "marks"}), table.name
        assert not names_file(text, "roses/0.jpg"), table.name
    database.close()


def test_the_others_stay_as_they_are(filled: Catalogue) -> None:
    before = filled.annotations.history(image_id(1)), filled.locations.of_images([image_id(1)])
    filled.forgotten.erase([image_id(0)])
    assert filled.images.count() == 2
    assert (filled.annotations.history(image_id(1)), filled.locations.of_images([image_id(1)])) == before
    assert filled.annotations.counts("class").labels == {"cat": 2}
    assert filled.annotations.rebuild_current() == 2


def test_a_frozen_version_keeps_its_id_and_shows_its_hole(filled: Catalogue) -> None:
    before = filled.datasets.get("digits@1")
    filled.forgotten.erase([image_id(0)])
    after = filled.datasets.get("digits@1")
    assert after.id == before.id == before.content != after.content
    assert (dict(after.counts), after.forgotten) == ({"train": 1}, 1)
    assert {split: dict(found) for split, found in after.histogram.items()} == {
        "train": {"cat": 0, "dog": 1}
    }
    assert [one.image_id for one in filled.datasets.members("digits@1")] == [image_id(1)]
    filled.forgotten.erase([image_id(1)])
    assert not filled.datasets.get("digits@1").counts
    with pytest.raises(Frozen):
        filled.datasets.freeze(version(content="b"), [])


def test_the_numbers_of_erased_events_are_not_given_again(filled: Catalogue) -> None:
    last = filled.annotations.last_sequence()
    filled.forgotten.erase([image_id(0)])
    assert filled.annotations.append([event(1, "dog")])[0].sequence == last + 1


def test_nothing_can_be_said_of_a_forgotten_picture(filled: Catalogue) -> None:
    filled.forgotten.erase([image_id(0)])
    with pytest.raises(NotFound):
        filled.annotations.append([event(0, "cat")])


def test_erasing_twice_is_erasing_once(filled: Catalogue) -> None:
    filled.forgotten.erase([image_id(0)])
    filled.forgotten.erase([image_id(0), image_id(9)])
    assert filled.datasets.get("digits@1").forgotten == 1


def test_a_tombstone_keeps_its_first_words_until_it_is_lifted(catalogue: Catalogue) -> None:
    forgotten = catalogue.forgotten
    assert forgotten.content()[0] == 0
    forgotten.begin([tombstone(1, reason="asked"), tombstone(2)])
    forgotten.begin([tombstone(1, reason="again")])
    assert [one.reason for one in forgotten.find([image_id(1), image_id(5)]).values()] == ["asked"]
    forgotten.finish([image_id(1)])
    assert {one.image_id: one.finished for one in forgotten.list()} == {
        image_id(1): True,
        image_id(2): False,
    }
    both = forgotten.content()
    assert forgotten.lift([image_id(1), image_id(7)]) == 1
    assert both[0] == 2
    assert forgotten.content() == (1, forgotten.content()[1]) != both


def test_marks_stay_when_a_picture_may_come_back(catalogue: Catalogue) -> None:
    held = [Mark(kind="run", name="r-1", image_id=image_id(number)) for number in (1, 2)]
    catalogue.forgotten.begin([tombstone(1), tombstone(2)], held)
    catalogue.forgotten.begin([tombstone(1)], held)
    catalogue.forgotten.lift([image_id(1)])
    assert catalogue.forgotten.marks("run") == {"r-1": 2}
    assert catalogue.forgotten.marks("bundle") == {}
    assert catalogue.forgotten.marked([image_id(2)]) == held[1:]


def test_a_mask_that_another_picture_has_too_is_not_its_own(filled: Catalogue) -> None:
    masks = [MaskLabel(blob=letter * 64, classes=("a", "b")) for letter in "ef"]
    filled.annotations.append([event(0, mask, slot="mask") for mask in masks])
    filled.annotations.append([event(1, masks[1], slot="mask")])
    assert filled.forgotten.own_masks([image_id(0)]) == {"e" * 64}
    assert filled.forgotten.own_masks([image_id(0), image_id(1)]) == {"e" * 64, "f" * 64}
    assert filled.forgotten.every_mask() == {"e" * 64, "f" * 64}


@pytest.mark.parametrize("name", ["roses/0.jpg", "röschen/größe 100%_\"0\" \\ 'x'.jpg", "rosé\n\u2028.jpg"])
def test_jobs_forget_the_name_of_the_file_and_no_other(filled: Catalogue, name: str) -> None:
    filled.locations.put([location("s-1", 0, name)])
    asked = {"images": [f"../photos/{name}", f"../photos/{name}.jpg", "../photos/roses/10.jpg"]}
    job = filled.jobs.create(Job(id="", operation="predict", request=asked, created_at=MOMENT))
    filled.forgotten.erase([image_id(0)])
    left = filled.jobs.get(job.id).request["images"]
    assert left == ["../photos/(forgotten)", f"../photos/{name}.jpg", "../photos/roses/10.jpg"]


def test_a_begun_id_is_found_by_its_beginning(filled: Catalogue) -> None:
    assert filled.images.beginning_with(image_id(1)[:8]) == [image_id(1)]
    assert filled.images.beginning_with("") == sorted(image_id(number) for number in range(3))
    assert filled.locations.at("s-1", "roses/1.jpg") is not None
    assert filled.locations.at("s-1", "roses/9.jpg") is None


def test_a_file_set_aside_may_be_of_a_picture_that_is_gone(filled: Catalogue) -> None:
    filled.forgotten.erase([image_id(0)])
    aside = Quarantined(source_id="s-1", path="roses/0.jpg", reason="image.forgotten", message="gone")
    filled.quarantine.put([aside])
    assert list(filled.quarantine.of_source("s-1")) == [aside]
