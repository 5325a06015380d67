"""Overwrite what deleted rows leave behind in SQLite's files."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from darkroom.catalogue.database import Database
from darkroom.errors import StorageFailed

__all__ = ["scrub"]

WAIT_S = 10.0
"""How long to wait for those who still read the old pages."""


def scrub(database: Database) -> bool:
    """Writes SQLite's file anew without its free pages, and empties the write-ahead log.

    SQLite leaves the bytes of deleted rows in free pages, in gaps of pages in use and in the log. The file
    is therefore written anew as a whole, which also shrinks it.

    Returns:
        Whether that was done; False while another process reads or writes for too long, and on PostgreSQL.

    Raises:
        StorageFailed: there is no room for a second copy of the file.
    """
    if not database.is_sqlite:
        return False
    database.close()
    path = Path(database.place)
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete = ON").close()
        connection.execute("VACUUM").close()
        return _log_emptied(connection)
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return False
        raise StorageFailed(
            "catalogue.scrub-failed",
            "The rows are deleted, but {path} could not be written anew: {why}.",
            do="Free as much space as the file has, then run the same command again.",
            path=path,
            why=error,
        ) from error
    finally:
        connection.close()


def _log_emptied(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + WAIT_S
    while True:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy or time.monotonic() > deadline:
            return not busy
        time.sleep(0.05)
