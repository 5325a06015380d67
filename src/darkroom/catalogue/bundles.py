"""The bundles that a project made."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, next_number
from darkroom.errors import NotFound
from darkroom.records import BundleManifest, Record, now

__all__ = ["Bundles", "CataloguedBundle"]

_bundles = schema.bundles


class CataloguedBundle(Record):
    """A bundle as the catalogue knows it."""

    id: str
    """Short id, for example "b-3"."""
    run_id: str
    """The run whose model it holds."""
    path: str
    """Its folder, relative to the project."""
    manifest: BundleManifest
    """What is in it."""
    added_at: AwareDatetime
    """When it was made."""


class Bundles:
    """The bundles of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def new_id(self) -> str:
        """Takes the next short id, "b-1", "b-2", …; it is never given again."""
        with self._database.write() as connection:
            return f"b-{next_number(connection, 'bundle')}"

    def add(
        self, *, run_id: str, path: str, manifest: BundleManifest, bundle_id: str | None = None
    ) -> CataloguedBundle:
        """Adds a bundle.

        Args:
            run_id: the run whose model it holds.
            path: its folder, relative to the project.
            manifest: what is in it.
            bundle_id: from `new_id`, where the folder's name was made from it before.
        """
        with self._database.write() as connection:
            if bundle_id is None:
                bundle_id = f"b-{next_number(connection, 'bundle')}"
            row = {
                "id": bundle_id,
                "number": int(bundle_id.removeprefix("b-")),
                "run_id": run_id,
                "path": path,
                "manifest_json": manifest.model_dump_json(),
                "added_at": now(),
            }
            connection.execute(sa.insert(_bundles), row)
        return _bundle_of(row)

    def replace_manifest(self, bundle_id: str, manifest: BundleManifest) -> None:
        """Notes what is in a bundle whose files were changed: a picture was forgotten."""
        with self._database.write() as connection:
            one = sa.update(_bundles).where(_bundles.c.id == bundle_id)
            connection.execute(one.values(manifest_json=manifest.model_dump_json()))

    def get(self, bundle_id: str) -> CataloguedBundle:
        """Returns one bundle.

        Raises:
            NotFound: the project has no such bundle.
        """
        bundles = {bundle.id: bundle for bundle in self.list()}
        if bundle_id not in bundles:
            raise NotFound(
                "bundle.unknown",
                "No bundle {bundle_id!r}. Known: {known}.",
                do="Make one: darkroom export convert --run RUN",
                bundle_id=bundle_id,
                known=", ".join(bundles) or "none",
            )
        return bundles[bundle_id]

    def list(self, run_id: str | None = None) -> list[CataloguedBundle]:
        """Returns all bundles, or those of one run, the oldest first."""
        query = sa.select(_bundles).order_by(_bundles.c.number)
        if run_id is not None:
            query = query.where(_bundles.c.run_id == run_id)
        with self._database.read() as connection:
            return [_bundle_of(row) for row in connection.execute(query).mappings()]


def _bundle_of(row: Any) -> CataloguedBundle:
    return CataloguedBundle(
        id=row["id"],
        run_id=row["run_id"],
        path=row["path"],
        manifest=BundleManifest.model_validate_json(row["manifest_json"]),
        added_at=row["added_at"],
    )
