"""What people write about runs: notes, and tags that are given and taken. Nothing is overwritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, next_number
from darkroom.errors import NotFound
from darkroom.records import RunNote

__all__ = ["RunNotes"]

_notes, _runs = schema.run_notes, schema.runs


class RunNotes:
    """The log of what was said about runs, and what holds now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, notes: Iterable[RunNote]) -> None:
        """Adds words to the log, all or none.

        Raises:
            NotFound: the project has no such run.
        """
        with self._database.write() as connection:
            for note in notes:
                known = connection.execute(sa.select(_runs.c.id).where(_runs.c.id == note.run))
                if known.scalar_one_or_none() is None:
                    raise NotFound(
                        "run-note.unknown-run",
                        "No run {run!r} to write about.",
                        do="See: darkroom model runs",
                        run=note.run,
                    )
                connection.execute(
                    sa.insert(_notes),
                    {
                        "number": next_number(connection, "run_note"),
                        "run_id": note.run,
                        "kind": note.kind,
                        "text": note.text,
                        "author": note.author,
                        "at": note.at,
                    },
                )

    def log(self, run_id: str | None = None) -> list[RunNote]:
        """Returns everything that was said about one run, or about all, the oldest first."""
        query = sa.select(_notes).order_by(_notes.c.number)
        if run_id is not None:
            query = query.where(_notes.c.run_id == run_id)
        with self._database.read() as connection:
            return [
                RunNote(run=row.run_id, kind=row.kind, text=row.text, author=row.author, at=row.at)
                for row in connection.execute(query)
            ]

    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """Returns the tags that each run has now, in the order in which they were given."""
        found: dict[str, dict[str, None]] = {}
        for note in self.log():
            of_run = found.setdefault(note.run, {})
            if note.kind == "tag":
                of_run[note.text] = None
            elif note.kind == "untag":
                of_run.pop(note.text, None)
        return {run: tuple(tags) for run, tags in found.items() if tags}

    def notes(self) -> Mapping[str, str]:
        """Returns the note that each run has now: the last one; an empty one takes it back."""
        found = {note.run: note.text for note in self.log() if note.kind == "note"}
        return {run: text for run, text in found.items() if text}
