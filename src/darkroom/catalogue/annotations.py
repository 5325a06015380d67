"""The annotation log: appended to, never changed; and the view that says what holds now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from darkroom.catalogue import schema
from darkroom.catalogue.current import (
    VALUE,
    LabelCounts,
    count_answers,
    current_sequences,
    drop_current,
    holding_after_undo,
    put_current,
    row_of_current,
    row_of_holding,
)
from darkroom.catalogue.database import Database, chunks, next_number, turns
from darkroom.errors import Conflict, InvalidLabel, NotFound
from darkroom.records import AnnotationEvent, Author, CurrentAnnotation, Slot, Undo

__all__ = ["Annotations"]

_CHUNK = 1000  # events of one transaction: they cost twice what other rows do
_PAGE = 5000  # rows of one read

_events, _current, _images = schema.annotations, schema.current_annotations, schema.images


class Annotations:
    """What was said about images, by whom and when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, events: Iterable[AnnotationEvent]) -> tuple[AnnotationEvent, ...]:
        """Adds events to the log, each with the next sequence number.

        Written in transactions of 1,000 events at most, and of one event for an undo. When one of them is
        refused, those before it stay; sending all again is harmless, as a key is written once.

        Returns:
            The events as they stand in the log, in the order given; for a key that was there before,
            the first event with that key.

        Raises:
            Conflict: an event is based on one that holds no more, or its id is taken.
            NotFound: an image, or the event to undo, is not in the project.
            InvalidLabel: an undo names an event of another image or slot.
        """
        written: list[AnnotationEvent] = []
        for undoes, run in groupby(events, key=lambda event: isinstance(event.value, Undo)):
            for chunk in turns(run, 1 if undoes else _CHUNK):
                with self._database.write() as connection:
                    written += _append(connection, chunk)
        return tuple(written)

    def current(self, slot: Slot, image_ids: Iterable[str] | None = None) -> Iterator[CurrentAnnotation]:
        """Gives what holds in one slot, sorted by image; images without an answer are left out.

        An answer that was taken back holds as the state "unlabelled".

        Args:
            slot: the question.
            image_ids: only these images.
        """
        joined = _current.join(_events, _events.c.sequence == _current.c.sequence)
        query = sa.select(_events).select_from(joined).where(_current.c.slot == slot)
        if image_ids is not None:
            for chunk in chunks(sorted(set(image_ids)), 1000):
                with self._database.read() as connection:
                    some = query.where(_current.c.image_id.in_(chunk)).order_by(_current.c.image_id)
                    rows = connection.execute(some).mappings().all()
                yield from map(_current_of, rows)
            return
        last = ""
        while True:
            with self._database.read() as connection:
                page = query.where(_current.c.image_id > last).order_by(_current.c.image_id).limit(_PAGE)
                rows = connection.execute(page).mappings().all()
            if not rows:
                return
            yield from map(_current_of, rows)
            last = rows[-1]["image_id"]

    def history(self, image_id: str) -> tuple[AnnotationEvent, ...]:
        """Returns every event about an image, the oldest first."""
        query = sa.select(_events).where(_events.c.image_id == image_id).order_by(_events.c.sequence)
        with self._database.read() as connection:
            return tuple(map(_event_of, connection.execute(query).mappings()))

    def since(self, sequence: int, limit: int = 1000) -> tuple[AnnotationEvent, ...]:
        """Returns the events that come after one in the log, at most `limit`, the oldest first.

        Reading on from the last one returned misses none: numbers become visible in their order.
        """
        query = sa.select(_events).where(_events.c.sequence > sequence)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_events.c.sequence).limit(limit)).mappings()
            return tuple(map(_event_of, rows))

    def last_sequence(self) -> int:
        """Returns the sequence of the newest event, 0 for an empty log."""
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.max(_events.c.sequence))).scalar_one() or 0

    def is_used(self, slot: Slot, label: str) -> bool:
        """Says whether an image holds a class now; quicker than counting them all."""
        query = sa.select(_current.c.sequence).where(
            _current.c.slot == slot, _current.c.kind == "class", _current.c.answer == label
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def counts(self, slot: Slot) -> LabelCounts:
        """Counts the images that hold each label, and those in each state, in one slot."""
        query = (
            sa.select(_current.c.kind, _current.c.answer, sa.func.count())
            .where(_current.c.slot == slot)
            .group_by(_current.c.kind, _current.c.answer)
            .order_by(_current.c.kind, _current.c.answer)
        )
        with self._database.read() as connection:
            return count_answers((kind, answer, count) for kind, answer, count in connection.execute(query))

    def rebuild_current(self) -> int:
        """Makes the view anew from the log, as it should already be; returns how many rows it has.

        Some images at a time, so that people who save in between need not wait for all of it. Each image's
        row is right at any time: whoever saves keeps it so, before its turn and after it.
        """
        return sum(self._rebuilt(chunk) for chunk in turns(self._every_image(), _CHUNK))

    def _every_image(self) -> Iterator[str]:
        last = ""
        while True:
            page = sa.select(_images.c.id).where(_images.c.id > last).order_by(_images.c.id).limit(_PAGE)
            with self._database.read() as connection:
                ids = connection.scalars(page).all()
            if not ids:
                return
            yield from ids
            last = ids[-1]

    def _rebuilt(self, image_ids: list[str]) -> int:
        """Makes the rows of some images anew; returns how many there are."""
        order = (_events.c.image_id, _events.c.slot, _events.c.sequence)
        query = sa.select(*order, _events.c.id, _events.c.value_json).where(
            _events.c.image_id.in_(image_ids)
        )
        with self._database.write() as connection:
            # Holding the log's counter keeps other writers away on PostgreSQL as well.
            next_number(connection, "annotation", 0)
            found = groupby(
                connection.execute(query.order_by(*order)), key=lambda row: (row.image_id, row.slot)
            )
            rows = [
                row_of_holding(
                    slot,
                    image_id,
                    [(row.sequence, row.id, VALUE.validate_json(row.value_json)) for row in log],
                )
                for (image_id, slot), log in found
            ]
            held = [row for row in rows if row is not None]
            connection.execute(sa.delete(_current).where(_current.c.image_id.in_(image_ids)))
            waiting = sa.update(_images).where(_images.c.id.in_(image_ids), _images.c.unlabelled == 0)
            connection.execute(waiting.values(unlabelled=1))
            put_current(connection, held)
        return len(held)


def _append(connection: Connection, events: list[AnnotationEvent]) -> list[AnnotationEvent]:
    """Adds events of which either none or the only one is an undo."""
    # From here on nobody else appends; what the checks below find stays true.
    first = next_number(connection, "annotation", 0)
    known = _events_with_keys(connection, {event.key for event in events})
    new: dict[str, AnnotationEvent] = {}
    held = dict(current_sequences(connection, {(event.slot, event.image_id) for event in events}))
    for event in events:
        if event.key in known or event.key in new:
            continue
        slot_of_image = (event.slot, event.image_id)
        _check_base(connection, event, held.get(slot_of_image, 0))
        numbered = event.model_copy(update={"sequence": first + len(new)})
        new[event.key] = numbered
        held[slot_of_image] = numbered.sequence
    if new:
        next_number(connection, "annotation", len(new))
        _insert(connection, list(new.values()))
        _hold(connection, list(new.values()))
    return [known.get(event.key) or new[event.key] for event in events]


def _insert(connection: Connection, events: list[AnnotationEvent]) -> None:
    try:
        connection.execute(sa.insert(_events), [_row_of(event) for event in events])
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise NotFound(
                "annotation.unknown-image",
                "An annotation names an image that is not in this project.",
                do="Add its source first: darkroom source add",
            ) from error
        raise Conflict(
            "annotation.id-taken", "An annotation's id is already that of another one in the log."
        ) from error


def _hold(connection: Connection, events: list[AnnotationEvent]) -> None:
    """Brings the view up to date with what was just appended."""
    last = events[-1]
    if not isinstance(last.value, Undo):
        rows = {(event.slot, event.image_id): row_of_current(event) for event in events}
        put_current(connection, list(rows.values()))
        return
    _check_undo(connection, last, last.value)
    row = holding_after_undo(connection, last.slot, last.image_id)
    if row is not None:
        put_current(connection, [row])
    else:
        drop_current(connection, last.slot, last.image_id)


def _check_base(connection: Connection, event: AnnotationEvent, held: int) -> None:
    if event.based_on is None or event.based_on == held:
        return
    row = connection.execute(sa.select(_events).where(_events.c.sequence == held)).mappings().first()
    raise Conflict(
        "annotation.stale",
        "Image {image_id} changed since it was looked at: its {slot} is now {value}, by {author}.",
        do="Look at it again and decide; the newer annotation was kept.",
        image_id=event.image_id,
        slot=event.slot,
        value="without an answer" if row is None else row["value_json"],
        author="nobody" if row is None else f"{row['author_kind']} {row['author_name']}",
        based_on=event.based_on,
        current=held,
    )


def _check_undo(connection: Connection, event: AnnotationEvent, undo: Undo) -> None:
    query = sa.select(_events.c.image_id, _events.c.slot).where(_events.c.id == undo.event)
    target = connection.execute(query).first()
    if target is None or undo.event == event.id:
        raise NotFound(
            "annotation.unknown",
            "No annotation {event!r} to undo.",
            do="See what was said of a picture: darkroom label log IMAGE",
            event=undo.event,
        )
    if (target.image_id, target.slot) != (event.image_id, event.slot):
        raise InvalidLabel(
            "annotation.undo-elsewhere",
            "Annotation {event!r} is about {slot} of image {image_id}; the undo is about another.",
            do="For that one: darkroom label undo {image_id} --slot {slot} --event {event}",
            event=undo.event,
            slot=target.slot,
            image_id=target.image_id,
        )


def _events_with_keys(connection: Connection, keys: set[str]) -> dict[str, AnnotationEvent]:
    found = connection.execute(sa.select(_events).where(_events.c.key.in_(keys))).mappings()
    return {row["key"]: _event_of(row) for row in found}


def _row_of(event: AnnotationEvent) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "id": event.id,
        "key": event.key,
        "image_id": event.image_id,
        "slot": event.slot,
        "value_json": event.value.model_dump_json(),
        "author_kind": event.author.kind,
        "author_name": event.author.name,
        "at": event.at,
        "confidence": event.confidence,
        "based_on": event.based_on,
    }


def _event_of(row: sa.RowMapping) -> AnnotationEvent:
    return AnnotationEvent(
        id=row["id"],
        key=row["key"],
        image_id=row["image_id"],
        slot=row["slot"],
        value=VALUE.validate_json(row["value_json"]),
        author=Author(kind=row["author_kind"], name=row["author_name"]),
        at=row["at"],
        confidence=row["confidence"],
        based_on=row["based_on"],
        sequence=row["sequence"],
    )


def _current_of(row: sa.RowMapping) -> CurrentAnnotation:
    return CurrentAnnotation(
        image_id=row["image_id"],
        slot=row["slot"],
        value=VALUE.validate_json(row["value_json"]),
        author=Author(kind=row["author_kind"], name=row["author_name"]),
        confidence=row["confidence"],
        sequence=row["sequence"],
    )
