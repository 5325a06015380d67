"""Every error that Darkroom raises on purpose, each with what happened and what to do next.

    DarkroomError
    ├── NotFound          exit 3   HTTP 404   the thing named does not exist
    ├── Invalid           exit 2   HTTP 422   a value, file or request is not what was expected
    │   ├── InvalidConfig                     darkroom.toml, a recipe, an option
    │   ├── InvalidImage                      a picture cannot be decoded or is out of bounds
    │   └── InvalidLabel                      an annotation does not fit its image or its classes
    ├── Conflict          exit 4   HTTP 409   somebody else was there first
    │   ├── Frozen                            what is frozen would have to change
    │   └── Locked                            another process holds the project
    ├── MissingExtra      exit 5   HTTP 501   an optional package is not installed
    ├── Unsupported       exit 6   HTTP 501   known, and not possible here
    ├── LimitMissed       exit 7   HTTP 412   a limit of the brief is missed
    ├── Damaged           exit 8   HTTP 500   a file of the project is not what was written
    ├── StorageFailed     exit 9   HTTP 507   the disk or the database refused
    └── Cancelled         exit 130 HTTP 499   a person stopped it

A message is written where its cause is known, and carries an id. `darkroom/messages/en.toml` is the
table of all of them, generated from the source, so that a translation is a second file beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "Cancelled",
    "Conflict",
    "Damaged",
    "DarkroomError",
    "Frozen",
    "Invalid",
    "InvalidConfig",
    "InvalidImage",
    "InvalidLabel",
    "LimitMissed",
    "Locked",
    "MissingExtra",
    "NotFound",
    "StorageFailed",
    "Unsupported",
    "nearest",
]


class DarkroomError(Exception):
    """An error for a person: what happened and where, what was expected, what to do next.

    Args:
        id: key of the message in the table, `noun.what`, for example "dataset.unknown".
        text: the English sentence, with `{name}` fields for `values`.
        do: what to do next, mostly a command ready to paste; may hold fields as well.
        **values: what the fields stand for.
    """

    exit_code = 1
    http_status = 500

    def __init__(self, id: str, text: str, /, *, do: str = "", **values: object) -> None:
        self.id = id
        self.values = values
        self.message = text.format(**values)
        self.hint = do.format(**values)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.id, self.message, self.hint, self.values)

    def as_dict(self) -> dict[str, str]:
        """Returns the one error shape that the shell's `--json` and the HTTP face share."""
        return {"error": self.message, "kind": type(self).__name__, "id": self.id, "hint": self.hint}


def _restore(
    kind: type[DarkroomError], id: str, message: str, hint: str, values: dict[str, object]
) -> DarkroomError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.id, error.message, error.hint, error.values = id, message, hint, values
    return error


class NotFound(DarkroomError):
    """The thing named does not exist."""

    exit_code, http_status = 3, 404


class Invalid(DarkroomError):
    """A value, a file or a request is not what was expected."""

    exit_code, http_status = 2, 422


class InvalidConfig(Invalid):
    """darkroom.toml, a recipe or an option does not fit its schema."""


class InvalidImage(Invalid):
    """A picture cannot be decoded, or is out of the limits for size."""


class InvalidLabel(Invalid):
    """An annotation does not fit its image or its classes."""


class Conflict(DarkroomError):
    """Somebody else was there first."""

    exit_code, http_status = 4, 409


class Frozen(Conflict):
    """What is frozen would have to change."""


class Locked(Conflict):
    """Another process holds the project."""


class MissingExtra(DarkroomError):
    """An optional package is not installed; the hint holds the command that installs it."""

    exit_code, http_status = 5, 501


class Unsupported(DarkroomError):
    """Known, and not possible here."""

    exit_code, http_status = 6, 501


class LimitMissed(DarkroomError):
    """A limit of the brief is missed."""

    exit_code, http_status = 7, 412


class Damaged(DarkroomError):
    """A file of the project is not what was written."""

    exit_code, http_status = 8, 500


class StorageFailed(DarkroomError):
    """The disk or the database refused."""

    exit_code, http_status = 9, 507


class Cancelled(DarkroomError):
    """A person stopped it."""

    exit_code, http_status = 130, 499


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ' Did you mean "x"?' when a known name is close to the one given, else ''."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean "{found[0]}"?' if found else ""
