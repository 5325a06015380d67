"""The places that pictures come from."""

from __future__ import annotations

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, insert_new, next_number
from darkroom.errors import Conflict, NotFound
from darkroom.records import Source

__all__ = ["Sources"]

_sources = schema.sources


class Sources:
    """The sources of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def new_id(self) -> str:
        """Takes the next short id, "s-1", "s-2", …; it is never given again."""
        with self._database.write() as connection:
            return f"s-{next_number(connection, 'source')}"

    def add(self, source: Source) -> Source:
        """Adds a source; what it reads may be changed later by adding it again under the same id.

        Raises:
            Conflict: another source has that kind and path.
        """
        facts = source.model_dump(exclude={"schema_version"})
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(_sources).where(_sources.c.id == source.id).values(facts)
            ).rowcount
            row = {**facts, "number": _number_of(source.id)}
            if not changed and not insert_new(connection, _sources, [row]):
                raise Conflict(
                    "source.twice",
                    "The {kind} {path} is a source of this project already.",
                    do="See: darkroom source list",
                    kind=source.kind,
                    path=source.path,
                )
        return source

    def get(self, source_id: str) -> Source:
        """Returns one source.

        Raises:
            NotFound: the project has no such source.
        """
        sources = {source.id: source for source in self.list()}
        if source_id not in sources:
            raise NotFound(
                "source.unknown",
                "No source {source_id!r}. Known: {known}.",
                do="See: darkroom source list",
                source_id=source_id,
                known=", ".join(sources) or "none",
            )
        return sources[source_id]

    def find(self, kind: str, path: str) -> Source | None:
        """Returns the source of that kind and path, if there is one."""
        return next((found for found in self.list() if (found.kind, found.path) == (kind, path)), None)

    def list(self) -> list[Source]:
        """Returns all sources, in the order of their ids."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_sources).order_by(_sources.c.number)).mappings().all()
        return [Source.model_validate(dict(row)) for row in rows]


def _number_of(source_id: str) -> int:
    prefix, _, number = source_id.partition("-")
    if prefix != "s" or not number.isdecimal():
        raise ValueError(f'A source\'s id comes from new_id(), as "s-1". Received: {source_id!r}.')
    return int(number)
