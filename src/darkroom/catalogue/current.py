"""The view of the log: which event holds for each image in each slot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from darkroom.catalogue import schema
from darkroom.catalogue.database import chunks, numbers_of, upsert
from darkroom.records import (
    AnnotationEvent,
    AnnotationValue,
    BoxesLabel,
    ClassesLabel,
    ClassLabel,
    PolygonsLabel,
    State,
    Undo,
)

__all__ = [
    "VALUE",
    "LabelCounts",
    "count_answers",
    "current_sequences",
    "drop_current",
    "holding",
    "holding_after_undo",
    "put_current",
    "row_of_current",
    "row_of_holding",
]

VALUE: TypeAdapter[AnnotationValue] = TypeAdapter(AnnotationValue)

_current, _events, _images = schema.current_annotations, schema.annotations, schema.images


class LabelCounts(NamedTuple):
    """How many images hold each answer in one slot; images without any answer are in neither."""

    labels: dict[str, int]
    """Label → images that hold it; an image with several labels counts once for each."""
    states: dict[str, int]
    """State → images in it: "unlabelled" (taken back), "none_of_these", "unusable", "skipped"."""
    answered: int
    """Images that hold an answer, masks too; those in a state are not among them."""


def row_of_current(event: AnnotationEvent) -> dict[str, Any]:
    """Returns the row that says that an event holds."""
    return _row(event.slot, event.image_id, event.sequence, event.value)


def count_answers(rows: Iterable[tuple[str, str, int]]) -> LabelCounts:
    """Adds up rows of (kind, answer, images)."""
    labels: dict[str, int] = {}
    states: dict[str, int] = {}
    answered = 0
    for kind, answer, images in rows:
        if kind == "state":
            states[answer] = states.get(answer, 0) + images
            continue
        answered += images
        for label in [answer] if kind == "class" else json.loads(answer):
            labels[label] = labels.get(label, 0) + images
    return LabelCounts(labels, states, answered)


def holding(history: Sequence[tuple[int, str, AnnotationValue]]) -> tuple[int, AnnotationValue] | None:
    """Finds the event that holds: the last one that no later event undoes.

    An undo that is itself undone does not count, so that undoing an undo brings the answer back.

    Args:
        history: (sequence, id, value) of every event of one image in one slot, in the log's order.
    """
    undone: set[str] = set()
    for sequence, event_id, value in reversed(history):
        if event_id in undone:
            continue
        if not isinstance(value, Undo):
            return sequence, value
        undone.add(value.event)
    return None


def holding_after_undo(connection: Connection, slot: str, image_id: str) -> dict[str, Any] | None:
    """Reads the history of one image in one slot and returns the row that says which event holds."""
    query = (
        sa.select(_events.c.sequence, _events.c.id, _events.c.value_json)
        .where(_events.c.image_id == image_id, _events.c.slot == slot)
        .order_by(_events.c.sequence)
    )
    history = [(row[0], row[1], VALUE.validate_json(row[2])) for row in connection.execute(query)]
    return row_of_holding(slot, image_id, history)


def row_of_holding(
    slot: str, image_id: str, history: Sequence[tuple[int, str, AnnotationValue]]
) -> dict[str, Any] | None:
    """Returns the row that says which event of a history holds, or None when none does."""
    found = holding(history)
    return None if found is None else _row(slot, image_id, *found)


def put_current(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Writes what holds into the view, and notes which images still wait for a class."""
    numbers = numbers_of(connection, {row["image_id"] for row in rows})
    upsert(connection, _current, [{**row, "image_number": numbers[row["image_id"]]} for row in rows])
    for waits in (0, 1):
        some = [numbers[row["image_id"]] for row in rows if row["slot"] == "class" and _waits(row) == waits]
        _note_waiting(connection, some, waits)


def drop_current(connection: Connection, slot: str, image_id: str) -> None:
    """Takes an image out of the view of one slot: nothing holds there any more."""
    connection.execute(sa.delete(_current).where(_current.c.slot == slot, _current.c.image_id == image_id))
    if slot == "class":
        _note_waiting(connection, numbers_of(connection, [image_id]).values(), 1)


def current_sequences(
    connection: Connection, pairs: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], int]:
    """Returns the sequence of the event that holds, for those (slot, image) that have one."""
    images: dict[str, list[str]] = {}
    for slot, image_id in pairs:
        images.setdefault(slot, []).append(image_id)
    found: dict[tuple[str, str], int] = {}
    for slot, image_ids in images.items():
        query = sa.select(_current.c.image_id, _current.c.sequence).where(
            _current.c.slot == slot, _current.c.image_id.in_(image_ids)
        )
        found.update(((slot, image_id), sequence) for image_id, sequence in connection.execute(query))
    return found


def _waits(row: Mapping[str, Any]) -> int:
    return int((row["kind"], row["answer"]) == ("state", "unlabelled"))


def _note_waiting(connection: Connection, numbers: Iterable[int], waits: int) -> None:
    for chunk in chunks(numbers, 1000):
        changed = sa.update(_images).where(_images.c.number.in_(chunk), _images.c.unlabelled != waits)
        connection.execute(changed.values(unlabelled=waits))


def _row(slot: str, image_id: str, sequence: int, value: AnnotationValue) -> dict[str, Any]:
    return {
        "slot": slot,
        "image_id": image_id,
        "sequence": sequence,
        "kind": value.kind,
        "answer": _answer_of(value),
    }


def _answer_of(value: AnnotationValue) -> str:
    if isinstance(value, ClassLabel):
        return value.label
    if isinstance(value, State):
        return value.state
    return json.dumps(_labels_of(value), ensure_ascii=False)


def _labels_of(value: AnnotationValue) -> list[str]:
    if isinstance(value, ClassesLabel):
        return sorted(set(value.labels))
    if isinstance(value, BoxesLabel):
        return sorted({box.label for box in value.boxes})
    if isinstance(value, PolygonsLabel):
        return sorted({polygon.label for polygon in value.polygons})
    return []
