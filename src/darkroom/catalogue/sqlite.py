"""SQLite as the catalogue uses it: durable, one writer at a time, on a disk of this machine."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event

from darkroom.catalogue.filesystem import network_file_system
from darkroom.catalogue.line import sign, stand_in_line
from darkroom.errors import Damaged, NotFound, StorageFailed, Unsupported

__all__ = ["copy_database", "has_room", "sqlite_engine"]

BUSY_TIMEOUT_MS = 30_000
"""How long a write waits for another process before it gives up."""

SMALLEST_BYTES = 512
"""Source: "Database File Format", section 1.2: a database has one page at least, of 512 bytes at least."""

ROOM_BYTES = 1 << 16
"""Twice the index of a log. Source: "WAL-mode File Format", section 2: it comes in blocks of 32 KiB."""

LINE_S = 5.0
"""How long a write stands in line before it looks at the lock by itself: a stopped process may head it."""

LOOK_S = 0.001
"""How often the first in line looks whether SQLite's lock is free."""

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
    _refuse_stump(path)
    if not path.parent.is_dir():
        raise StorageFailed("catalogue.no-folder", "No folder for the catalogue {path}.", path=path)
    place = url.set(drivername="sqlite", database=str(path), query={})
    if path.is_file() and not has_room(path):
        engine = sa.create_engine(place, poolclass=sa.NullPool, creator=lambda: _as_there_is_room(path))
    elif path.is_file() and not _may_write(path):
        engine = sa.create_engine(place, pool_size=8, max_overflow=24, creator=lambda: _read_only(path))
        event.listen(engine, "connect", _configure_to_read)
    else:
        engine = sa.create_engine(place, pool_size=8, max_overflow=24)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "connect", lambda _, record: record.info.update(file=_identity(path)))
    event.listen(engine, "begin", _begin)
    return engine


def has_room(path: Path) -> bool:
    """Says whether the disk of a database has room for the index of its log, which opening it makes."""
    try:
        return shutil.disk_usage(path.parent).free >= ROOM_BYTES
    except OSError:
        return True


def copy_database(path: Path, before: str) -> Path:
    """Copies a database beside itself, as a whole and consistent even while others read it.

    Args:
        path: the database.
        before: the revision that it is about to be brought to.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = path.with_name(f"{path.stem}-before-{before}-{stamp}.db")
    aside = copy.with_name(f".aside-{os.getpid()}-{copy.name}")
    try:
        with _closing(sqlite3.connect(path)) as source, _closing(sqlite3.connect(aside)) as target:
            source.backup(target)
        aside.replace(copy)
    except BaseException:
        for left in (aside, aside.with_name(f"{aside.name}-journal")):
            left.unlink(missing_ok=True)
        raise
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


def _refuse_stump(path: Path) -> None:
    """Refuses a file too short to be a database: SQLite would take it for new. An empty one is new."""
    if path.is_file() and 0 < path.stat().st_size < SMALLEST_BYTES:
        raise Damaged(
            "catalogue.cut",
            "The catalogue {path} was cut short: {size} bytes are left.",
            do="Put back a copy: files called catalogue-before-….db beside it were made by migrations.",
            path=path,
            size=path.stat().st_size,
        )


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


def _may_write(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return all(os.access(one, os.W_OK, effective_ids=effective) for one in (path, path.parent))


def _read_only(path: Path) -> sqlite3.Connection:
    """Opens a database in a folder that cannot be written.

    A log with something in it is read along, for which its index must be there; without a log nobody
    else has the file open for writing, and SQLite may leave locks alone.
    Source: "Write-Ahead Logging", section 5, Read-Only Databases.
    """
    log = path.with_name(f"{path.name}-wal")
    settled = not log.is_file() or log.stat().st_size == 0
    place = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if settled else ''}"
    return sqlite3.connect(place, uri=True, check_same_thread=False)


def _as_there_is_room(path: Path) -> sqlite3.Connection:
    """Opens a database to be read while the disk is full, so that somebody can see what to clean up."""
    if has_room(path):
        connection = sqlite3.connect(path, check_same_thread=False)
        _configure(connection, None)
    else:
        connection = _read_only(path)
        _configure_to_read(connection, None)
    return connection


def _configure_to_read(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (_WAIT, "PRAGMA cache_size = -32000"):
        connection.execute(pragma).close()


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
        path = Path(str(connection.engine.url.database))
        _refuse_lost(path, connection.connection.info.get("file"))
        _begin_to_write(connection.connection.driver_connection, path)
    else:
        connection.exec_driver_sql("BEGIN")


def _refuse_lost(path: Path, opened: tuple[int, int] | None) -> None:
    """Refuses to write to a file that has no name any more: SQLite would acknowledge, and all be lost."""
    now = _identity(path)
    if now != opened and opened is not None:
        raise NotFound(
            "catalogue.lost",
            "The catalogue {path} is {what} since it was opened.",
            do="Put it back and run the same command again; the old file has what was acknowledged.",
            path=path,
            what="gone" if now is None else "another file",
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _begin_to_write(connection: Any, path: Path) -> None:
    """Stands in line, then waits for the one lock, looking every millisecond.

    SQLite's own waiting looks ever more seldom, at last ten times a second.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with stand_in_line(path, min(LINE_S, BUSY_TIMEOUT_MS / 1000)):
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    sign(path)
                    return
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(LOOK_S)
    finally:
        connection.execute(_WAIT)
