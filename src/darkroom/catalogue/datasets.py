"""Frozen dataset versions and their members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, next_number, turns
from darkroom.errors import Frozen, NotFound, nearest
from darkroom.records import DatasetVersion, Member, Split

__all__ = ["Datasets"]

_datasets, _members = schema.datasets, schema.members


class Datasets:
    """The dataset versions of a project; none of them ever changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def freeze(self, version: DatasetVersion, members: Iterable[Member]) -> DatasetVersion:
        """Writes a version with its members, whole or not at all.

        The members go in by chunks, so that others have their turn; the version is there when the last
        one is. Members without their version, left by a killed process, are seen by nobody.

        Raises:
            Frozen: that name and version is there already, with another content.
            NotFound: a member is not in the project.
        """
        with self._database.write() as connection:
            there = self._there(connection, version)
            number = next_number(connection, "dataset")
        if there is not None:
            return there
        try:
            self._insert_members(number, version, members)
            with self._database.write() as connection:
                # Taking a number holds other freezers back until this one is done.
                next_number(connection, "dataset")
                there = self._there(connection, version)
                if there is None:
                    connection.execute(sa.insert(_datasets), _row_of_version(number, version))
                    return version
        except BaseException:
            self._drop_members(number)
            raise
        self._drop_members(number)
        return there

    def get(self, ref: str) -> DatasetVersion:
        """Returns a version: "digits@1", or "digits" for its newest.

        Raises:
            NotFound: the project has no such dataset, or not that version of it.
        """
        with self._database.read() as connection:
            row = self._find(connection, ref)
        return DatasetVersion.model_validate_json(row["record_json"])

    def list(self) -> list[DatasetVersion]:
        """Returns all versions, in the order in which they were frozen."""
        query = sa.select(_datasets.c.record_json).order_by(_datasets.c.number)
        with self._database.read() as connection:
            return [DatasetVersion.model_validate_json(text) for text in connection.scalars(query)]

    def members(self, ref: str, split: Split | None = None) -> Iterator[Member]:
        """Gives the members of a version, or of one split of it, in the order in which they were frozen.

        Raises:
            NotFound: the project has no such dataset.
        """
        with self._database.read() as connection:
            number = self._find(connection, ref)["number"]
        query = sa.select(_members).where(_members.c.dataset == number)
        if split is not None:
            query = query.where(_members.c.split == split)
        return self._walk(query.order_by(_members.c.position))

    def of_image(self, image_id: str) -> list[str]:
        """Returns the versions that hold an image, as name@version, the oldest first."""
        query = (
            sa.select(_datasets.c.name, _datasets.c.version)
            .join(_members, _members.c.dataset == _datasets.c.number)
            .where(_members.c.image_id == image_id)
            .distinct()
            .order_by(_datasets.c.number)
            .add_columns(_datasets.c.number)
        )
        with self._database.read() as connection:
            return [f"{name}@{version}" for name, version, _ in connection.execute(query)]

    def _walk(self, query: sa.Select[Any]) -> Iterator[Member]:
        last = -1
        while True:
            page = query.where(_members.c.position > last).limit(20_000)
            with self._database.read() as connection:
                rows = connection.execute(page).mappings().all()
            if not rows:
                return
            yield from map(_member_of, rows)
            last = rows[-1]["position"]

    def _there(self, connection: Connection, version: DatasetVersion) -> DatasetVersion | None:
        row = self._row(connection, version.name, version.version)
        if row is None:
            return None
        found = DatasetVersion.model_validate_json(row["record_json"])
        if found.id != version.id:
            raise Frozen(
                "dataset.frozen",
                "Dataset {ref} is frozen and holds something else.",
                do="Freeze the next version: darkroom dataset freeze --dataset {name}",
                ref=version.ref,
                name=version.name,
            )
        return found

    def _insert_members(self, number: int, version: DatasetVersion, members: Iterable[Member]) -> None:
        rows = (_row_of(number, position, member) for position, member in enumerate(members))
        for chunk in turns(rows):
            with self._database.write() as connection:
                try:
                    connection.execute(sa.insert(_members), chunk)
                except IntegrityError as error:
                    raise NotFound(
                        "dataset.unknown-member",
                        "Dataset {ref} names an image that is not in this project.",
                        ref=version.ref,
                    ) from error

    def _drop_members(self, number: int) -> None:
        mine = _members.c.dataset == number
        with self._database.read() as connection:
            last = connection.execute(sa.select(sa.func.max(_members.c.position)).where(mine)).scalar_one()
        for chunk in turns(range(0 if last is None else last + 1)):
            some = _members.c.position.between(chunk[0], chunk[-1])
            with self._database.write() as connection:
                connection.execute(sa.delete(_members).where(mine, some))

    def _row(self, connection: Connection, name: str, version: int | None) -> sa.RowMapping | None:
        query = sa.select(_datasets).where(_datasets.c.name == name)
        if version is not None:
            query = query.where(_datasets.c.version == version)
        return connection.execute(query.order_by(_datasets.c.version.desc()).limit(1)).mappings().first()

    def _find(self, connection: Connection, ref: str) -> sa.RowMapping:
        name, at, version = ref.rpartition("@") if "@" in ref else (ref, "", "")
        row = None
        if not at or version.isdecimal():
            row = self._row(connection, name, int(version) if at else None)
        if row is None:
            raise self._unknown(connection, ref, name)
        return row

    def _unknown(self, connection: Connection, ref: str, name: str) -> NotFound:
        query = sa.select(_datasets.c.name, sa.func.count()).group_by(_datasets.c.name)
        known = {found: count for found, count in connection.execute(query.order_by(_datasets.c.name))}
        listed = [f"{found} ({count} version{'s'[: count > 1]})" for found, count in known.items()]
        return NotFound(
            "dataset.unknown",
            "No dataset {ref!r}.{meant} Known: {known}.",
            do="See: darkroom dataset list",
            ref=ref,
            meant="" if name in known else nearest(name, known),
            known=", ".join(listed) or "none",
        )


def _row_of_version(number: int, version: DatasetVersion) -> dict[str, Any]:
    return {
        "number": number,
        "name": version.name,
        "version": version.version,
        "id": version.id,
        "record_json": version.model_dump_json(),
    }


def _row_of(number: int, position: int, member: Member) -> dict[str, Any]:
    return {
        "dataset": number,
        "position": position,
        "image_id": member.image_id,
        "split": member.split,
        "label": member.label,
        "group_name": member.group,
        "sequence": member.sequence,
    }


def _member_of(row: sa.RowMapping) -> Member:
    return Member(
        image_id=row["image_id"],
        split=row["split"],
        label=row["label"],
        group=row["group_name"],
        sequence=row["sequence"],
    )
