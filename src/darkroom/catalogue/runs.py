"""Trainings, and the states that they go through."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, next_number
from darkroom.errors import Conflict, NotFound
from darkroom.records import Run, RunState, now

__all__ = ["TRANSITIONS", "Runs"]

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    "queued": frozenset({"running", "failed", "cancelled", "lost"}),
    "running": frozenset({"finished", "failed", "cancelled", "lost"}),
    "finished": frozenset(),
    "failed": frozenset({"queued", "running"}),
    "cancelled": frozenset({"queued", "running"}),
    "lost": frozenset({"queued", "running", "failed", "cancelled"}),
}
"""State → the states that may follow; what stopped early can be taken up again."""

_ENDED: frozenset[RunState] = frozenset({"finished", "failed", "cancelled"})
_FIXED = frozenset({"id", "key", "operation", "dataset", "network", "seed", "created_at", "schema_version"})

_runs = schema.runs


class Runs:
    """The runs of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, run: Run) -> Run:
        """Adds a run and gives it the next short id, "r-1", "r-2", …; the id it came with is ignored."""
        with self._database.write() as connection:
            number = next_number(connection, "run")
            run = run.model_copy(update={"id": f"r-{number}"})
            connection.execute(sa.insert(_runs), {**_row_of(run), "number": number})
        return run

    def update(self, run_id: str, **fields: Any) -> Run:
        """Changes fields of a run; a state only into one that may follow it.

        `finished_at` is set when it ends and taken back when it goes on, unless it is given.

        Raises:
            NotFound: the project has no such run.
            Conflict: the state may not follow the one that the run is in.
        """
        unknown = [name for name in fields if name not in Run.model_fields or name in _FIXED]
        if unknown:
            raise ValueError(f"Fields of a run that cannot be changed: {', '.join(unknown)}.")
        with self._database.write() as connection:
            query = sa.select(_runs.c.record_json).where(_runs.c.id == run_id).with_for_update()
            text = connection.execute(query).scalar_one_or_none()
            if text is None:
                raise self._unknown(run_id, connection)
            run = _changed(Run.model_validate_json(text), fields)
            connection.execute(sa.update(_runs).where(_runs.c.id == run_id).values(_row_of(run)))
        return run

    def get(self, run_id: str) -> Run:
        """Returns one run.

        Raises:
            NotFound: the project has no such run.
        """
        with self._database.read() as connection:
            query = sa.select(_runs.c.record_json).where(_runs.c.id == run_id)
            text = connection.execute(query).scalar_one_or_none()
            if text is None:
                raise self._unknown(run_id, connection)
        return Run.model_validate_json(text)

    def find(self, key: str) -> Run | None:
        """Returns the newest run whose result is decided by the same things, if there is one."""
        found = self._select(_runs.c.key == key)
        return found[-1] if found else None

    def list(self, dataset: str | None = None, state: RunState | None = None) -> list[Run]:
        """Returns runs, the oldest first.

        Args:
            dataset: only those on this dataset version, name@version.
            state: only those in this state.
        """
        where = [] if dataset is None else [_runs.c.dataset == dataset]
        return self._select(*where, *([] if state is None else [_runs.c.state == state]))

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Run]:
        query = sa.select(_runs.c.record_json).where(*where).order_by(_runs.c.number)
        with self._database.read() as connection:
            return [Run.model_validate_json(text) for text in connection.scalars(query)]

    def _unknown(self, run_id: str, connection: sa.Connection) -> NotFound:
        newest = sa.select(_runs.c.id).order_by(_runs.c.number.desc()).limit(5)
        return NotFound(
            "run.unknown",
            "No run {run_id!r}. Newest: {newest}.",
            do="See: darkroom model list",
            run_id=run_id,
            newest=", ".join(connection.scalars(newest)) or "none",
        )


def _changed(run: Run, fields: dict[str, Any]) -> Run:
    state: RunState = fields.get("state", run.state)
    if state != run.state:
        if state not in TRANSITIONS.get(run.state, frozenset()):
            raise Conflict(
                "run.state",
                "Run {run_id} is {now}; it cannot become {then}.",
                do="See: darkroom model list {run_id}",
                run_id=run.id,
                now=run.state,
                then=state,
            )
        fields = {"finished_at": now() if state in _ENDED else None, **fields}
    return Run.model_validate({**run.model_dump(), **fields})


def _row_of(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "key": run.key,
        "state": run.state,
        "dataset": run.dataset,
        "record_json": run.model_dump_json(),
    }
