"""SQLite as the catalogue uses it: durable, one writer at a time, on a disk of this machine."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event

from darkroom.catalogue.filesystem import network_file_system
from darkroom.errors import NotFound, StorageFailed, Unsupported

__all__ = ["copy_database", "sqlite_engine"]

BUSY_TIMEOUT_MS = 30_000
"""How long a write waits for another process before it gives up."""

LOOK_S = 0.003
"""How often a waiting write looks whether its turn has come."""

_WAIT = f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}"
_PRAGMAS = (
    _WAIT,
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -32000",
)


def sqlite_engine(url: sa.URL, *, create: bool) -> Engine:
    """Makes an engine whose every connection is durable and checks foreign keys.

    Raises:
        Unsupported: the file lies on a network file system, or there is no file at all.
        NotFound: there is no file, and none may be made.
    """
    path = _file_of(url)
    if not create and not path.is_file():
        raise NotFound("catalogue.missing", "There is no catalogue at {path}.", path=path)
    _refuse_network(path)
    if not path.parent.is_dir():
        raise StorageFailed("catalogue.no-folder", "No folder for the catalogue {path}.", path=path)
    engine = sa.create_engine(
        url.set(drivername="sqlite", database=str(path), query={}), pool_size=8, max_overflow=24
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def copy_database(path: Path, before: str) -> Path:
    """Copies a database beside itself, as a whole and consistent even while others read it.

    Args:
        path: the database.
        before: the revision that it is about to be brought to.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = path.with_name(f"{path.stem}-before-{before}-{stamp}.db")
    aside = copy.with_name(f".aside-{copy.name}")
    with _closing(sqlite3.connect(path)) as source, _closing(sqlite3.connect(aside)) as target:
        source.backup(target)
    aside.replace(copy)
    return copy


class _closing:
    """Closes a connection; sqlite3's own context manager only ends its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _file_of(url: sa.URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise Unsupported(
            "catalogue.no-file",
            "A catalogue in SQLite needs a file. Received: {url}.",
            do="Write it as sqlite:///path/to/catalogue.db",
            url=url.render_as_string(),
        )
    return Path(url.database).absolute()


def _refuse_network(path: Path) -> None:
    kind = network_file_system(path.parent)
    if kind is not None:
        raise Unsupported(
            "catalogue.network-file-system",
            "The catalogue {path} lies on a network file system ({kind}), where SQLite loses data.",
            do="Move the project to a disk of this machine, or set DARKROOM_DATABASE_URL to a PostgreSQL.",
            path=path,
            kind=kind,
        )


def _configure(connection: Any, _record: object) -> None:
    # Transactions are begun by `_begin`; sqlite3 must not begin its own.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()
    _use_write_ahead_log(connection)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Turns the log on; while two processes make one database, SQLite answers "locked" at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_S)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("darkroom_writes", False):
        _begin_to_write(connection.connection.driver_connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _begin_to_write(connection: Any) -> None:
    """Waits for the one lock, looking every few milliseconds.

    SQLite's own waiting looks ever more seldom, at last ten times a second, and could pass by every
    pause of a bulk write.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_S)
    finally:
        connection.execute(_WAIT)
