"""Bring an older catalogue up to date with Alembic; SQLite's file is copied first."""

from __future__ import annotations

import shutil
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from darkroom.catalogue.database import Database
from darkroom.catalogue.revision import SCRIPTS, lock_schema
from darkroom.catalogue.sqlite import copy_database
from darkroom.errors import StorageFailed

__all__ = ["newest_revision", "run_migrations", "upgrade"]


def upgrade(database: Database, target: str, *, scripts: Path = SCRIPTS) -> Path | None:
    """Runs the migrations that lead from where the database is to `target`, all or none.

    Args:
        database: the catalogue.
        target: the revision to reach.
        scripts: the folder that holds `versions/`.

    Returns:
        The copy that was made before, for SQLite; None when another process was quicker.

    Raises:
        StorageFailed: there is no room for the copy.
    """
    with database.write() as connection:
        lock_schema(connection)
        if MigrationContext.configure(connection).get_current_revision() == target:
            return None
        # Copied inside the transaction: nobody can write between the copy and the migration.
        copy = _copied(database, target) if database.is_sqlite else None
        run_migrations(connection, target, scripts=scripts)
    return copy


def newest_revision(scripts: Path = SCRIPTS) -> str | None:
    """Returns the revision that the newest migration leads to."""
    return ScriptDirectory(str(scripts)).get_current_head()


def run_migrations(connection: Connection, target: str, *, scripts: Path = SCRIPTS) -> None:
    """Runs migrations in the transaction of a connection, with no environment file or ini around them."""
    directory = ScriptDirectory(str(scripts))
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda found, _context: directory._upgrade_revs(target, found)},
    )
    with Operations.context(context):
        context.run_migrations()


def _copied(database: Database, target: str) -> Path:
    path = Path(database.place)
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * needed:
        raise StorageFailed(
            "catalogue.no-room-to-migrate",
            "{path} must be copied before it is migrated: {needed:,} bytes, and {free:,} are free.",
            do="Free {missing:,} bytes, then run the same command again.",
            path=path,
            needed=2 * needed,
            free=free,
            missing=2 * needed - free,
        )
    return copy_database(path, target)
