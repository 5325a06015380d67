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
    ├── Forbidden         exit 10  HTTP 403   not allowed for whoever asks
    │   └── Unauthorised           HTTP 401   without a token, or with a wrong one
    ├── Damaged           exit 8   HTTP 500   a file of the project is not what was written
    ├── StorageFailed     exit 9   HTTP 507   the disk or the database refused
    └── Cancelled         exit 130 HTTP 499   a person stopped it

A message is written where its cause is known, and carries an id. `darkroom/messages/en.toml` is the
table of all of them, generated from the source, so that a translation is a second file beside it.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping

__all__ = [
    "Cancelled",
    "Conflict",
    "Damaged",
    "DarkroomError",
    "Forbidden",
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
    "Unauthorised",
    "Unsupported",
    "among",
    "is_full",
    "nearest",
    "refused_by_disk",
    "told",
]

_OF_DISKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


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

    @staticmethod
    def from_dict(shape: Mapping[str, str]) -> DarkroomError:
        """Returns the error that a shape from another process tells of, with its kind."""
        kind = globals().get(shape.get("kind", ""))
        if not (isinstance(kind, type) and issubclass(kind, DarkroomError)):
            kind = DarkroomError
        return _restore(kind, shape.get("id", ""), shape.get("error", ""), shape.get("hint", ""), {})


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


class Forbidden(DarkroomError):
    """Not allowed for whoever asks."""

    exit_code, http_status = 10, 403


class Unauthorised(Forbidden):
    """Asked without a token, or with a wrong one."""

    http_status = 401


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


def among(name: str, known: Iterable[str]) -> dict[str, str]:
    """Returns what the message about a name that is in no table says: the name, those known, the nearest.

    The words are the same for every table: 'No format "{name}". Known: {known}.{nearest}'
    """
    names = list(known)
    return {"name": repr(name)[1:-1], "known": ", ".join(names) or "none", "nearest": nearest(name, names)}


def is_full(error: BaseException) -> bool:
    """Says whether an error means that a disk, or a quota on it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def refused_by_disk(error: BaseException | None) -> OSError | None:
    """Returns what a disk refused, if that is behind an error: no room, too large a file, read-only."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_DISKS:
            return error
        error = error.__cause__ or error.__context__
    return None


def told(error: Exception) -> DarkroomError:
    """Returns what a person is told of any exception: our own as it is, the disk's, a defect of ours."""
    if isinstance(error, DarkroomError):
        return error
    if isinstance(error, OSError) and is_full(error):
        return StorageFailed(
            "disk.no-room",
            "The disk has no room left for {path}.",
            do="Free some space, for example: darkroom project clean. Then run the same command again.",
            path=error.filename or "what was to be written",
        )
    if isinstance(error, OSError):
        return StorageFailed(
            "disk.refused",
            "The disk refused {path}: {why}.",
            do="Check the rights on the folder and the space on the disk, then run it again.",
            path=error.filename or "to read or write",
            why=error.strerror or error,
        )
    return DarkroomError(
        "defect.unexpected",
        "Darkroom failed in a way that it should not: {kind}: {why}",
        do="Run it again with --debug and report what it prints.",
        kind=type(error).__name__,
        why=error,
    )
