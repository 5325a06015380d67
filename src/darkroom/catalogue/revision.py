"""Which revision a database is at, and what to do about it: nothing, make the tables, or migrate."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database
from darkroom.errors import Damaged, NotFound, Unsupported

__all__ = ["SCRIPTS", "lock_schema", "prepare", "revision_of"]

SCRIPTS = Path(__file__).parent / "migrations"
"""The folder that holds `versions/`, one file per migration."""

# A number of ours for PostgreSQL's advisory lock: only one process makes or changes tables.
_SCHEMA_LOCK = 0x6461726B


def prepare(
    database: Database, *, create: bool, newest: str = schema.REVISION, scripts: Path = SCRIPTS
) -> None:
    """Brings a database to the newest revision; one that is there already costs one query.

    Args:
        database: the catalogue.
        create: make the tables where there are none.
        newest: the revision to reach.
        scripts: the folder that holds `versions/`.

    Raises:
        NotFound: it has no tables and none may be made.
        Unsupported: a newer Darkroom wrote it.
        Damaged: it holds tables, but not a catalogue's.
    """
    found = revision_of(database)
    if found == newest:
        return
    if found is None:
        if not create:
            raise NotFound(
                "catalogue.empty", "The database {place} holds no catalogue.", place=database.place
            )
        _make_tables(database)
    elif found > newest:
        raise Unsupported(
            "catalogue.newer",
            "The catalogue {place} was written by a newer Darkroom (revision {found}; known: {newest}).",
            do='pip install --upgrade "darkroom"',
            place=database.place,
            found=found,
            newest=newest,
        )
    else:
        from darkroom.catalogue.migrations.upgrade import upgrade

        upgrade(database, newest, scripts=scripts)


def revision_of(database: Database) -> str | None:
    """Returns the revision that a database is at, or None for one without tables."""
    with database.read() as connection:
        return _revision(connection, database.place)


def lock_schema(connection: Connection) -> None:
    """Holds back, until the transaction ends, whoever else would make or change tables."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))


def _make_tables(database: Database) -> None:
    """Makes all tables at once; a test proves that the migrations lead to the same ones."""
    with database.write() as connection:
        lock_schema(connection)
        if _revision(connection, database.place) is not None:
            return
        schema.metadata.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.execute(
            sa.text("INSERT INTO alembic_version (version_num) VALUES (:revision)"),
            {"revision": schema.REVISION},
        )


def _revision(connection: Connection, place: str) -> str | None:
    # In this order: both tables come in one commit, which may fall between the two questions.
    has_images = _has_table(connection, "images")
    if not _has_table(connection, "alembic_version"):
        if has_images:
            raise Damaged(
                "catalogue.foreign",
                "The database {place} holds tables that no Darkroom made.",
                do="Name another file or database for the catalogue.",
                place=place,
            )
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def _has_table(connection: Connection, name: str) -> bool:
    if connection.dialect.name == "sqlite":
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"
    else:
        # Not to_regclass: what it remembers from before a wait for the lock may be out of date.
        query = (
            "SELECT 1 FROM pg_catalog.pg_tables"
            " WHERE tablename = :name AND schemaname = ANY (current_schemas(false))"
        )
    return connection.execute(sa.text(query), {"name": name}).first() is not None
