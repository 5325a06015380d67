"""What each stage of darkroom.toml did last."""

from __future__ import annotations

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, upsert
from darkroom.records import StageRecord

__all__ = ["Stages"]

_stages = schema.stages


class Stages:
    """The memory of the pipeline."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, name: str) -> StageRecord | None:
        """Returns what a stage did last, or None when it never ended well."""
        query = sa.select(_stages.c.record_json).where(_stages.c.name == name)
        with self._database.read() as connection:
            text = connection.execute(query).scalar_one_or_none()
        return None if text is None else StageRecord.model_validate_json(text)

    def save(self, record: StageRecord) -> None:
        """Remembers what a stage did; what it did before is forgotten."""
        row = {
            "name": record.name,
            "finished_at": record.finished_at,
            "record_json": record.model_dump_json(),
        }
        with self._database.write() as connection:
            upsert(connection, _stages, [row])

    def all(self) -> dict[str, StageRecord]:
        """Returns what all stages did last, by name, the latest at the end."""
        query = sa.select(_stages.c.record_json).order_by(_stages.c.finished_at, _stages.c.name)
        with self._database.read() as connection:
            texts = connection.scalars(query).all()
        records = [StageRecord.model_validate_json(text) for text in texts]
        return {record.name: record for record in records}
