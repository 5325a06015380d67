"""The annotation log, the same on SQLite and on PostgreSQL: nothing lost, twice or changed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from darkroom.catalogue import Catalogue
from darkroom.errors import Conflict, InvalidLabel, NotFound
from darkroom.records import (
    AnnotationEvent,
    AnnotationValue,
    Asked,
    Author,
    BoxesLabel,
    ClassesLabel,
    ClassLabel,
    CurrentAnnotation,
    LabelledBox,
    LabelledPolygon,
    MaskLabel,
    PolygonsLabel,
    State,
    Undo,
    new_ulid,
)
from tests.conformance.examples import event, image_id, images

ANSWERS: dict[str, AnnotationValue] = {
    "class": ClassLabel(label="chat · 猫"),
    "classes": ClassesLabel(labels=("a|b", "c")),
    "mask": MaskLabel(blob="f" * 64, classes=("ground", "sky")),
    "boxes": BoxesLabel(boxes=(LabelledBox(label="a", box=(0.1, 2, 3.5, 1e6)),)),
    "polygons": PolygonsLabel(polygons=(LabelledPolygon(label="a", rings=(((0, 0), (1.5, 0), (0, 1)),)),)),
    "review": Asked(why="looks like a 3", proposed="three"),
    "must-pass": ClassLabel(label="seven"),
}


def labels(catalogue: Catalogue, slot: str = "class") -> dict[str, str]:
    """Returns what holds, by image: the label or the state."""
    held = {}
    for found in catalogue.annotations.current(slot):  # type: ignore[arg-type]
        value = found.value
        held[found.image_id] = value.state if isinstance(value, State) else getattr(value, "label", "")
    return held


@pytest.mark.parametrize("slot", ANSWERS)
def test_an_event_of_each_kind_comes_back_whole(catalogue: Catalogue, slot: str) -> None:
    catalogue.images.add(images(1))
    sent = event(
        0, ANSWERS[slot], slot=slot, confidence=0.1 + 0.2, based_on=0, author=Author(kind="run", name="r-1")
    )
    (written,) = catalogue.annotations.append([sent])
    assert written == sent.model_copy(update={"sequence": 1})
    assert catalogue.annotations.history(image_id(0)) == (written,)
    assert list(catalogue.annotations.current(slot)) == [  # type: ignore[arg-type]
        CurrentAnnotation(
            image_id=image_id(0),
            slot=sent.slot,
            value=sent.value,
            author=sent.author,
            confidence=sent.confidence,
            sequence=1,
        )
    ]


@pytest.mark.parametrize("state", ["unlabelled", "none_of_these", "unusable", "skipped"])
def test_a_state_holds_like_an_answer(catalogue: Catalogue, state: str) -> None:
    catalogue.images.add(images(1))
    value = State(state=state, rule="blurred" if state == "unusable" else None)  # type: ignore[arg-type]
    catalogue.annotations.append([event(0, "cat"), event(0, value)])
    assert [found.value for found in catalogue.annotations.current("class")] == [value]
    assert catalogue.annotations.counts("class").states == {state: 1}


def test_sequences_run_from_one_without_a_gap(catalogue: Catalogue) -> None:
    catalogue.images.add(images(3))
    assert catalogue.annotations.last_sequence() == 0
    first = catalogue.annotations.append([event(number, "cat") for number in range(3)])
    second = catalogue.annotations.append([event(0, "dog")])
    assert [written.sequence for written in (*first, *second)] == [1, 2, 3, 4]
    with pytest.raises(NotFound):
        catalogue.annotations.append([event(1, "dog"), event(77, "dog")])
    assert [written.sequence for written in catalogue.annotations.append([event(1, "dog")])] == [5]
    assert catalogue.annotations.last_sequence() == 5
    assert labels(catalogue) == {image_id(0): "dog", image_id(1): "dog", image_id(2): "cat"}


def test_the_log_is_read_on_from_any_place(catalogue: Catalogue) -> None:
    catalogue.images.add(images(5))
    written = catalogue.annotations.append([event(number, "cat") for number in range(5)])
    assert catalogue.annotations.since(0, limit=2) == written[:2]
    assert catalogue.annotations.since(2) == written[2:]
    assert catalogue.annotations.since(5) == ()


def test_slots_of_one_image_do_not_touch_each_other(catalogue: Catalogue) -> None:
    catalogue.images.add(images(1))
    catalogue.annotations.append([event(0, "cat"), event(0, ANSWERS["mask"], slot="mask"), event(0, "dog")])
    assert labels(catalogue) == {image_id(0): "dog"}
    assert catalogue.annotations.counts("mask").answered == 1
    assert len(catalogue.annotations.history(image_id(0))) == 3


def test_the_same_key_is_written_once(catalogue: Catalogue) -> None:
    catalogue.images.add(images(2))
    (first,) = catalogue.annotations.append([event(0, "cat", key="k")])
    later = event(0, "dog", key="k")
    assert catalogue.annotations.append([later]) == (first,)
    assert catalogue.annotations.append([event(1, "cow", key="n"), later, event(1, "pig", key="n")])[
        1:
    ] == (
        first,
        catalogue.annotations.history(image_id(1))[0],
    )
    assert catalogue.annotations.last_sequence() == 2
    assert labels(catalogue) == {image_id(0): "cat", image_id(1): "cow"}


def test_sending_a_key_again_is_no_conflict_even_when_its_base_is_old(catalogue: Catalogue) -> None:
    catalogue.images.add(images(1))
    sent = event(0, "cat", based_on=0)
    (first,) = catalogue.annotations.append([sent])
    catalogue.annotations.append([event(0, "dog")])
    assert catalogue.annotations.append([sent]) == (first,)
    assert labels(catalogue) == {image_id(0): "dog"}


def test_another_event_with_a_taken_id_is_refused(catalogue: Catalogue) -> None:
    catalogue.images.add(images(2))
    (first,) = catalogue.annotations.append([event(0, "cat")])
    with pytest.raises(Conflict, match="id"):
        catalogue.annotations.append([event(1, "cat", id=first.id)])
    assert catalogue.annotations.last_sequence() == 1


def test_a_stale_base_is_a_conflict_that_shows_what_holds(catalogue: Catalogue) -> None:
    catalogue.images.add(images(1))
    (seen,) = catalogue.annotations.append([event(0, "cat", based_on=0)])
    (newer,) = catalogue.annotations.append([event(0, "dog", based_on=seen.sequence)])
    for stale in (0, seen.sequence, 99):
        with pytest.raises(Conflict, match=r'"dog".*person Ann') as refused:
            catalogue.annotations.append([event(0, "cow", based_on=stale)])
        assert refused.value.values["current"] == newer.sequence
    catalogue.annotations.append([event(0, "pig")])  # did not look: no base, no conflict
    assert labels(catalogue) == {image_id(0): "pig"}


def test_a_base_may_be_an_event_of_the_same_batch(catalogue: Catalogue) -> None:
    catalogue.images.add(images(1))
    catalogue.annotations.append([event(0, "cat", based_on=0), event(0, "dog", based_on=1)])
    with pytest.raises(Conflict):
        catalogue.annotations.append([event(0, "cow", based_on=2), event(0, "pig", based_on=2)])
    assert labels(catalogue) == {image_id(0): "dog"}


def test_an_undo_brings_the_answer_before_back(catalogue: Catalogue) -> None:
    catalogue.images.add(images(1))
    cat, dog = catalogue.annotations.append([event(0, "cat"), event(0, "dog")])
    (undo,) = catalogue.annotations.append([event(0, Undo(event=dog.id))])
    assert labels(catalogue) == {image_id(0): "cat"}
    assert [found.sequence for found in catalogue.annotations.current("class")] == [cat.sequence]
    catalogue.annotations.append([event(0, Undo(event=undo.id))])
    assert labels(catalogue) == {image_id(0): "dog"}
    catalogue.annotations.append([event(0, Undo(event=cat.id)), event(0, Undo(event=dog.id), based_on=2)])
    assert labels(catalogue) == {}
    catalogue.annotations.append([event(0, "cow", based_on=0)])
    assert labels(catalogue) == {image_id(0): "cow"}
    assert len(catalogue.annotations.history(image_id(0))) == 7


def test_an_undo_of_nothing_or_of_something_else_is_refused(catalogue: Catalogue) -> None:
    catalogue.images.add(images(2))
    (cat,) = catalogue.annotations.append([event(0, "cat")])
    own = new_ulid()
    for wrong in (event(0, Undo(event="never")), event(0, Undo(event=own), id=own)):
        with pytest.raises(NotFound):
            catalogue.annotations.append([wrong])
    for elsewhere in (event(1, Undo(event=cat.id)), event(0, Undo(event=cat.id), slot="mask")):
        with pytest.raises(InvalidLabel):
            catalogue.annotations.append([elsewhere])
    assert catalogue.annotations.last_sequence() == 1
    assert labels(catalogue) == {image_id(0): "cat"}


def test_counts_say_how_many_images_hold_each_label(catalogue: Catalogue) -> None:
    catalogue.images.add(images(6))
    catalogue.annotations.append(
        [event(number, "cat" if number < 3 else "skipped") for number in range(4)]
        + [event(4, State(state="skipped")), event(0, "dog")]
    )
    counts = catalogue.annotations.counts("class")
    assert counts == ({"cat": 2, "dog": 1, "skipped": 1}, {"skipped": 1}, 4)
    boxes = BoxesLabel(boxes=tuple(LabelledBox(label=name, box=(0, 0, 1, 1)) for name in ("a", "b", "a")))
    catalogue.annotations.append(
        [
            event(0, ClassesLabel(labels=("a", "b")), slot="classes"),
            event(1, ClassesLabel(labels=()), slot="classes"),
            event(2, ClassesLabel(labels=("b",)), slot="classes"),
            event(0, boxes, slot="boxes"),
        ]
    )
    assert catalogue.annotations.counts("classes") == ({"a": 1, "b": 2}, {}, 3)
    assert catalogue.annotations.counts("boxes") == ({"a": 1, "b": 1}, {}, 1)
    assert catalogue.annotations.counts("polygons") == ({}, {}, 0)


def test_current_of_some_images_is_sorted_and_without_the_rest(catalogue: Catalogue) -> None:
    catalogue.images.add(images(3000))
    catalogue.annotations.append([event(number, f"c{number % 7}") for number in range(0, 3000, 2)])
    everything = list(catalogue.annotations.current("class"))
    assert [found.image_id for found in everything] == sorted(
        image_id(number) for number in range(0, 3000, 2)
    )
    wanted = [image_id(number) for number in range(2500)]
    some = list(catalogue.annotations.current("class", [*wanted, image_id(0)]))
    assert some == [found for found in everything if found.image_id in set(wanted)]


def test_the_view_equals_the_log(catalogue: Catalogue) -> None:
    catalogue.images.add(images(12))
    written: list[AnnotationEvent] = []
    dice = random.Random(7)
    for _ in range(12):
        written += catalogue.annotations.append(_random_batch(dice, written))
    view = {slot: list(catalogue.annotations.current(slot)) for slot in ("class", "classes")}
    counted = catalogue.annotations.counts("class")
    for slot, found in view.items():
        assert {(one.image_id, one.sequence) for one in found} == _replayed(written, slot)
    assert catalogue.annotations.rebuild_current() == sum(map(len, view.values()))
    assert {slot: list(catalogue.annotations.current(slot)) for slot in view} == view  # type: ignore[arg-type]
    assert catalogue.annotations.counts("class") == counted
    assert tuple(catalogue.annotations.since(0)) == tuple(written)


def _random_batch(dice: random.Random, written: Sequence[AnnotationEvent]) -> list[AnnotationEvent]:
    batch: list[AnnotationEvent] = []
    for _ in range(dice.randint(1, 12)):
        earlier = [*written, *batch]
        if earlier and dice.random() < 0.35:
            target = dice.choice(earlier)
            number = next(n for n in range(12) if image_id(n) == target.image_id)
            batch.append(event(number, Undo(event=target.id), slot=target.slot))
        elif dice.random() < 0.3:
            batch.append(event(dice.randrange(12), ClassesLabel(labels=("a",)), slot="classes"))
        else:
            batch.append(event(dice.randrange(12), dice.choice("xyz")))
    return batch


def _replayed(log: Sequence[AnnotationEvent], slot: str) -> set[tuple[str, int]]:
    """Says what holds, straight from the definition: the last that no later event that counts undoes."""

    def counts(place: int) -> bool:
        return not any(
            isinstance(later.value, Undo)
            and later.value.event == log[place].id
            and counts(place + 1 + ahead)
            for ahead, later in enumerate(log[place + 1 :])
        )

    held: dict[str, int] = {}
    for place, said in enumerate(log):
        if said.slot == slot and not isinstance(said.value, Undo) and counts(place):
            held[said.image_id] = said.sequence
    return set(held.items())
