"""Say in a person's words why the database refused."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from darkroom.errors import Damaged, DarkroomError, Invalid, Locked, StorageFailed

__all__ = ["refusal"]

_LOCKED = ("database is locked", "database table is locked", "lock timeout", "deadlock detected")
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
        return Locked(
            "catalogue.locked",
            "The catalogue {place} is held by another process for too long.",
            do="Wait for it or stop it, then run the same command again.",
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


def _not_text(what: str) -> Invalid:
    return Invalid(
        "catalogue.not-text",
        "{what} is not text that can be stored.",
        do="Rename the file so that its name is valid UTF-8.",
        what=what,
    )
