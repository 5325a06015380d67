"""Say in a person's words why the database refused."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from darkroom.catalogue.line import last_writer
from darkroom.catalogue.sqlite import has_room
from darkroom.errors import Damaged, DarkroomError, Invalid, Locked, StorageFailed

__all__ = ["refusal"]

_LOCKED = ("database is locked", "database table is locked", "lock timeout", "deadlock detected")
_READ_ONLY = ("readonly database", "read-only transaction")
_FULL = ("database or disk is full", "no space left on device")
_NOT_WRITTEN = {
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_SHMOPEN",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_TRUNCATE",
}
"""What SQLite calls a disk that takes no more for another reason than being full: a quota, a limit."""

_DAMAGED = ("file is not a database", "malformed", "disk i/o error")


def refusal(error: DBAPIError | sqlite3.Error | UnicodeEncodeError, place: str) -> DarkroomError:
    """Turns what a driver raised into one of Darkroom's errors.

    Args:
        error: what was raised.
        place: the file or the URL, for the message.
    """
    if isinstance(error, UnicodeEncodeError):
        return _not_text(repr(error.object))
    said = str(getattr(error, "orig", error)).strip()
    lowered = said.lower()
    if any(words in lowered for words in _LOCKED):
        return _locked(place)
    not_written = getattr(getattr(error, "orig", error), "sqlite_errorname", "") in _NOT_WRITTEN
    only_read = any(words in lowered for words in _READ_ONLY)
    full = any(words in lowered for words in _FULL)
    if full or ((not_written or only_read) and Path(place).is_file() and not has_room(Path(place))):
        return _full(place)
    if only_read:
        return StorageFailed(
            "catalogue.read-only",
            "The catalogue {place} can be read here, but not written.",
            do="Give this user the right to write the file and its folder, or copy the project elsewhere.",
            place=place,
        )
    if not_written:
        return StorageFailed(
            "catalogue.write-refused",
            "The disk refused what was to be written to the catalogue {place}; nothing was half-written.",
            do="See whether a quota or a limit for files is reached (quota, ulimit -f), then run it again.",
            place=place,
        )
    if any(words in lowered for words in _DAMAGED):
        return Damaged(
            "catalogue.damaged",
            "The catalogue {place} cannot be read: {said}.",
            do="Put back a copy: files called catalogue-before-….db beside it were made by migrations.",
            place=place,
            said=said,
        )
    if "nul" in lowered and "contain" in lowered:
        return _not_text(said)
    return StorageFailed(
        "catalogue.refused",
        "The catalogue {place} refused: {said}.",
        do="Check the space on the disk, the rights on the folder or the connection, and run it again.",
        place=place,
        said=said.splitlines()[0] if said else type(error).__name__,
    )


def _full(place: str) -> StorageFailed:
    return StorageFailed(
        "catalogue.disk-full",
        "The disk has no room left for the catalogue {place}; nothing was half-written.",
        do="Free some space, for example: darkroom project clean. Then run the same command again.",
        place=place,
    )


def _locked(place: str) -> Locked:
    holder = last_writer(Path(place))
    who = "" if holder is None or holder[0] == os.getpid() else f" The last to write: process {holder[0]}"
    return Locked(
        "catalogue.locked",
        "The catalogue {place} is held by another process for too long.{who}",
        do="Wait for it or stop it, then run the same command again.",
        place=place,
        who=f"{who} ({holder[1]})." if holder and who else "",
    )


def _not_text(what: str) -> Invalid:
    return Invalid(
        "catalogue.not-text",
        "{what} is not text that can be stored.",
        do="Rename the file so that its name is valid UTF-8.",
        what=what,
    )
