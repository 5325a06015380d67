"""Pictures that were forgotten: their tombstones, what held them, and taking their rows away."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from darkroom.catalogue import schema
from darkroom.catalogue.current import VALUE
from darkroom.catalogue.database import Database, chunks, insert_new, next_number
from darkroom.catalogue.scrubbing import scrub
from darkroom.records import DatasetVersion, FrozenDict, Mark, MarkKind, MaskLabel, Tombstone

__all__ = ["Forgotten", "Holding"]

_IDS = 1000  # ids in one query

_events = schema.annotations
_tombstones, _marks = schema.tombstones, schema.marks
_datasets, _members = schema.datasets, schema.members


class Holding(NamedTuple):
    """A picture in a dataset version."""

    image_id: str
    dataset: str
    """name@version."""
    split: str


class Forgotten:
    """Pictures that were forgotten, and what held them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, tombstones: Iterable[Tombstone], marks: Iterable[Mark] = ()) -> None:
        """Notes that pictures are to be forgotten, and what held them; what was noted before stays."""
        with self._database.write() as connection:
            rows = [one.model_dump(exclude={"schema_version"}) for one in tombstones]
            insert_new(connection, _tombstones, rows)
            insert_new(connection, _marks, [mark.model_dump() for mark in marks])

    def erase(self, image_ids: Iterable[str]) -> None:
        """Takes away every row about pictures: places, annotations, splits, memberships, themselves.

        Each picture goes whole or not at all. A dataset version that held it stays, with a hole: its counts
        go down, and `forgotten` goes up. The numbers of erased annotation events are not given again.
        """
        for image_id in image_ids:
            with self._database.write() as connection:
                _forget_names(connection, image_id)
                _forget_mentions(connection, image_id)
                # Whoever appends or freezes holds these numbers; nothing is added behind our back.
                next_number(connection, "annotation", 0)
                next_number(connection, "dataset", 0)
                _leave_holes(connection, image_id)
                for statement in _erasing(image_id):
                    connection.execute(statement)

    def finish(self, image_ids: Iterable[str]) -> None:
        """Notes that nothing is left of pictures."""
        self._update(image_ids, finished=True)

    def find(self, image_ids: Iterable[str]) -> dict[str, Tombstone]:
        """Returns the tombstones of those pictures that were forgotten."""
        found: dict[str, Tombstone] = {}
        with self._database.read() as connection:
            for chunk in chunks(dict.fromkeys(image_ids), _IDS):
                query = sa.select(_tombstones).where(_tombstones.c.image_id.in_(chunk))
                for row in connection.execute(query).mappings():
                    found[row["image_id"]] = Tombstone.model_validate(dict(row))
        return found

    def list(self) -> list[Tombstone]:
        """Returns all tombstones, the oldest first."""
        query = sa.select(_tombstones).order_by(_tombstones.c.at, _tombstones.c.image_id)
        with self._database.read() as connection:
            return [Tombstone.model_validate(dict(row)) for row in connection.execute(query).mappings()]

    def content(self) -> tuple[int, str]:
        """Returns how many pictures were forgotten, and a sha256 that only depends on which they are."""
        query = sa.select(_tombstones.c.image_id).order_by(_tombstones.c.image_id)
        with self._database.read() as connection:
            found = connection.scalars(query).all()
        return len(found), hashlib.sha256("".join(found).encode()).hexdigest()

    def lift(self, image_ids: Iterable[str]) -> int:
        """Takes tombstones away, so that the pictures may come again; the marks stay. Returns how many."""
        lifted = 0
        for chunk in chunks(dict.fromkeys(image_ids), _IDS):
            with self._database.write() as connection:
                gone = sa.delete(_tombstones).where(_tombstones.c.image_id.in_(chunk))
                lifted += connection.execute(gone).rowcount
        return lifted

    def holders(self, image_ids: Iterable[str]) -> list[Holding]:
        """Returns which dataset versions hold pictures now, and in which split."""
        found: list[Holding] = []
        joined = _datasets.join(_members, _members.c.dataset == _datasets.c.number)
        columns = (_members.c.image_id, _datasets.c.name, _datasets.c.version, _members.c.split)
        with self._database.read() as connection:
            for chunk in chunks(dict.fromkeys(image_ids), _IDS):
                query = sa.select(*columns).select_from(joined).where(_members.c.image_id.in_(chunk))
                found += [
                    Holding(image_id, f"{name}@{version}", split)
                    for image_id, name, version, split in connection.execute(query.order_by(*columns))
                ]
        return found

    def own_masks(self, image_ids: Iterable[str]) -> set[str]:
        """Returns the blobs of masks that only these pictures have."""
        wanted, found = list(dict.fromkeys(image_ids)), set[str]()
        with self._database.read() as connection:
            for chunk in chunks(wanted, _IDS):
                texts = sa.select(_events.c.value_json).where(
                    _events.c.slot == "mask", _events.c.image_id.in_(chunk)
                )
                found |= _mask_blobs(connection.scalars(texts))
            return {blob for blob in found if not _is_others_mask(connection, blob, set(wanted))}

    def every_mask(self) -> set[str]:
        """Returns the blobs of all masks that were ever said."""
        with self._database.read() as connection:
            query = sa.select(_events.c.value_json).where(_events.c.slot == "mask").distinct()
            return _mask_blobs(connection.scalars(query))

    def marks(self, kind: MarkKind) -> dict[str, int]:
        """Returns how many pictures that were forgotten since each thing of a kind held."""
        query = (
            sa.select(_marks.c.name, sa.func.count())
            .where(_marks.c.kind == kind)
            .group_by(_marks.c.name)
            .order_by(_marks.c.name)
        )
        with self._database.read() as connection:
            return {name: count for name, count in connection.execute(query)}

    def marked(self, image_ids: Iterable[str]) -> list[Mark]:
        """Returns what held pictures."""
        found: list[Mark] = []
        with self._database.read() as connection:
            for chunk in chunks(dict.fromkeys(image_ids), _IDS):
                query = sa.select(_marks).where(_marks.c.image_id.in_(chunk)).order_by(*_marks.c)
                rows = connection.execute(query).mappings()
                found += [Mark.model_validate(dict(row)) for row in rows]
        return found

    @property
    def can_scrub(self) -> bool:
        """Whether Darkroom can overwrite deleted rows; on PostgreSQL they stay until its own vacuum."""
        return self._database.is_sqlite

    def scrub(self) -> bool:
        """Overwrites what deleted rows left in the database's files.

        Returns:
            Whether that was done; False while another process reads or writes, and on PostgreSQL.

        Raises:
            StorageFailed: there is no room for a second copy of the file.
        """
        return scrub(self._database)

    def _update(self, image_ids: Iterable[str], **values: Any) -> None:
        for chunk in chunks(dict.fromkeys(image_ids), _IDS):
            with self._database.write() as connection:
                some = sa.update(_tombstones).where(_tombstones.c.image_id.in_(chunk))
                connection.execute(some.values(values))


def _forget_names(connection: Connection, image_id: str) -> None:
    """Takes the names of a picture's files out of what jobs were asked and answered."""
    places, jobs = schema.locations, schema.jobs
    names = connection.scalars(sa.select(places.c.path).where(places.c.image_id == image_id)).all()
    for path in names:
        written = json.dumps(path, ensure_ascii=False)[1:-1]  # as a record writes it
        query = sa.select(jobs.c.id, jobs.c.record_json).where(
            jobs.c.record_json.contains(written, autoescape=True)
        )
        # Nobody moves such a job in between; SQLite has one writer at a time by itself.
        for job_id, text in connection.execute(query.with_for_update()).all():
            changed = re.sub(rf'(?<=["/]){re.escape(written)}(?=")', "(forgotten)", text)
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(record_json=changed))


def _forget_mentions(connection: Connection, image_id: str) -> None:
    """Takes a picture's id out of what stages answered (the domain check names pictures), and of notes."""
    stages = schema.stages
    query = sa.select(stages.c.name, stages.c.record_json).where(stages.c.record_json.contains(image_id))
    for name, text in connection.execute(query).all():
        changed = text.replace(image_id, "(forgotten)")
        connection.execute(sa.update(stages).where(stages.c.name == name).values(record_json=changed))
    notes = schema.run_notes
    written = sa.update(notes).where(notes.c.text.contains(image_id))
    connection.execute(written.values(text=sa.func.replace(notes.c.text, image_id, "(forgotten)")))


def _leave_holes(connection: Connection, image_id: str) -> None:
    """Takes a picture out of the counts of every dataset version that holds it."""
    joined = _datasets.join(_members, _members.c.dataset == _datasets.c.number)
    query = (
        sa.select(_datasets.c.number, _datasets.c.record_json, _members.c.split, _members.c.label)
        .select_from(joined)
        .where(_members.c.image_id == image_id)
    )
    for number, text, split, label in connection.execute(query).all():
        version = _less(DatasetVersion.model_validate_json(text), split, label)
        changed = sa.update(_datasets).where(_datasets.c.number == number)
        connection.execute(changed.values(record_json=version.model_dump_json()))


def _mask_blobs(texts: Iterable[str]) -> set[str]:
    values = (VALUE.validate_json(text) for text in texts)
    return {value.blob for value in values if isinstance(value, MaskLabel)}


def _is_others_mask(connection: Connection, blob: str, image_ids: set[str]) -> bool:
    query = sa.select(_events.c.image_id).distinct().where(_events.c.value_json.contains(blob))
    return not set(connection.scalars(query.limit(len(image_ids) + 1))) <= image_ids


def _less(version: DatasetVersion, split: str, label: str) -> DatasetVersion:
    counts = {name: count - (name == split) for name, count in version.counts.items()}
    labels = set(label.split("|")) if version.task == "multi-label" else {label}
    histogram = {
        name: FrozenDict(
            {one: count - (name == split and one in labels) for one, count in of_split.items()}
        )
        for name, of_split in version.histogram.items()
    }
    empty = {name: count - (name == split and not label) for name, count in version.empty.items()}
    return version.model_copy(
        update={
            "empty": FrozenDict({name: count for name, count in empty.items() if count}),
            "counts": FrozenDict({name: count for name, count in counts.items() if count}),
            "histogram": FrozenDict({name: found for name, found in histogram.items() if counts.get(name)}),
            "forgotten": version.forgotten + 1,
        }
    )


def _erasing(image_id: str) -> list[sa.Delete]:
    """Returns what deletes the rows of a picture from every table, in the order that keys ask for."""
    held = [
        table
        for table in reversed(schema.metadata.sorted_tables)
        if "image_id" in table.c and table not in (_tombstones, _marks)
    ]
    return [
        *(sa.delete(table).where(table.c.image_id == image_id) for table in held),
        sa.delete(schema.splits).where(schema.splits.c.key == f"image:{image_id}"),
        sa.delete(schema.images).where(schema.images.c.id == image_id),
    ]
