"""Files that were set aside, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, turns, upsert
from darkroom.records import Quarantined

__all__ = ["Quarantine"]

_IDS = 1000  # paths in one query

_quarantine = schema.quarantine


class Quarantine:
    """What could not be taken in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, files: Iterable[Quarantined]) -> None:
        """Sets files aside; what was noted for the same path of a source is replaced."""
        for chunk in turns(files):
            rows = {(file.source_id, file.path): file.model_dump() for file in chunk}
            with self._database.write() as connection:
                upsert(connection, _quarantine, list(rows.values()))

    def of_source(self, source_id: str) -> Iterator[Quarantined]:
        """Gives the files of one source that are set aside, sorted by path."""
        query = sa.select(_quarantine).where(_quarantine.c.source_id == source_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_quarantine.c.path)).mappings().all()
        yield from (Quarantined.model_validate(dict(row)) for row in rows)

    def clear(self, source_id: str, paths: Iterable[str] | None = None) -> int:
        """Takes files out of the quarantine, all of a source when no paths are given; returns how many."""
        of_source = sa.delete(_quarantine).where(_quarantine.c.source_id == source_id)
        if paths is None:
            paths = [file.path for file in self.of_source(source_id)]
        cleared = 0
        for chunk in turns(paths, _IDS):
            with self._database.write() as connection:
                cleared += connection.execute(of_source.where(_quarantine.c.path.in_(chunk))).rowcount
        return cleared

    def count(self, source_id: str | None = None) -> int:
        """Returns how many files are set aside, of one source or of all."""
        query = sa.select(sa.func.count()).select_from(_quarantine)
        if source_id is not None:
            query = query.where(_quarantine.c.source_id == source_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()
