"""Operations on the space that a project takes: see it, and delete what nothing needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from darkroom.operation import operation
from darkroom.records import Fact, Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.leftovers import Leftover

__all__ = ["clean", "usage"]

Days = Annotated[int, Field(ge=0, le=100_000)]

NOTHING_DELETED = "Nothing was deleted. What could go when --what names it: darkroom project usage"


class Found(Fact):
    """A file or folder that could go, or went."""

    path: str
    """Relative to the project."""
    size_bytes: int
    what: str
    """The value of `--what` that deletes it."""
    why: str
    """Why it could go, or stays."""


class UsageReport(Result):
    """What a project takes, and what of it could go."""

    rows: tuple[tuple[str, ...], ...]
    """Part of the project, size."""
    total_bytes: int
    could_go: tuple[Found, ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the parts, then what could go."""
        yield Table(("part", "size"), self.rows, f"{_spoken(self.total_bytes)} in all")
        if not self.could_go:
            yield "Nothing could go."
            return
        yield _table(self.could_go, "Could go")
        unneeded = sum(one.size_bytes for one in self.could_go if one.what == "unneeded")
        yield f"darkroom project clean frees {_spoken(unneeded)}; --what names more of the above."


class CleanReport(Result):
    """What was deleted."""

    deleted: tuple[Found, ...]
    freed_bytes: int
    kept: tuple[Found, ...]
    """What could have gone but is in use, or the disk refused to delete."""

    def display(self) -> Iterator[str | Table]:
        """Yields what was deleted, and what was left because it is in use."""
        if self.deleted:
            yield _table(self.deleted, "Deleted")
        if self.kept:
            yield _table(self.kept, "Left alone")
        yield f"Freed {_spoken(self.freed_bytes)}." if self.deleted else NOTHING_DELETED


@operation("project.usage")
def usage(workspace: Workspace, *, older_than_days: Days = 30) -> UsageReport:
    """Show what takes how much space, and what `project clean` could delete; deletes nothing.

    Args:
        older_than_days: age from which on the output of an ended job could go.
    """
    from darkroom.operations.leftovers import find_leftovers, size_of

    parts = {
        **{path.name: path for path in sorted(workspace.root.iterdir()) if path != workspace.hidden},
        **{f".darkroom/{path.name}": path for path in _parts_of(workspace)},
    }
    sizes = {name: size_of(path) for name, path in parts.items()}
    return UsageReport(
        rows=tuple(
            (name, _spoken(size)) for name, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair))
        ),
        total_bytes=sum(sizes.values()),
        could_go=tuple(
            _found(workspace, one)
            for one in find_leftovers(workspace, jobs_older_than_days=older_than_days)
        ),
    )


@operation("project.clean", slow=True)
def clean(
    workspace: Workspace,
    *,
    what: tuple[Literal["unneeded", "caches", "runs", "left", "copies"], ...] = ("unneeded",),
    older_than_days: Days = 30,
) -> CleanReport:
    """Delete what nothing needs; what costs more than time only when it is named.

    Nothing that a process uses is deleted, and nothing outside the project. See first what would go:
    darkroom project usage

    Args:
        what: unneeded: can be made again, and no stage or run needs it; caches: all that can be made again;
            runs: folders of runs that did not finish; left: folders that were set aside; copies: copies of
            the catalogue but the newest.
        older_than_days: age from which on the output of an ended job goes.
    """
    from darkroom.operations.holding import hold_project
    from darkroom.operations.leftovers import find_leftovers

    deleted, kept = list[Found](), list[Found]()
    with hold_project(workspace):
        leftovers = [
            one
            for one in find_leftovers(workspace, jobs_older_than_days=older_than_days)
            if one.what in what
        ]
        for number, one in enumerate(leftovers, start=1):
            found = _found(workspace, one)
            refused = _refusal(one)
            if refused:
                kept.append(found.model_copy(update={"why": refused}))
            else:
                deleted.append(found)
            workspace.report("deleting", done=number, total=len(leftovers), unit="files")
    return CleanReport(
        deleted=tuple(deleted), freed_bytes=sum(one.size_bytes for one in deleted), kept=tuple(kept)
    )


def _refusal(leftover: Leftover) -> str:
    """Deletes one thing; returns why not where it stays."""
    from contextlib import nullcontext

    from filelock import FileLock, Timeout

    from darkroom import atomic

    try:
        with nullcontext() if leftover.lock is None else FileLock(leftover.lock, timeout=0):
            return "" if atomic.remove(leftover.path) else "a process uses it"
    except Timeout:
        return "a process uses it"
    except OSError as error:
        return f"the disk refused: {error.strerror}"


def _parts_of(workspace: Workspace):
    return sorted(workspace.hidden.iterdir()) if workspace.hidden.is_dir() else []


def _found(workspace: Workspace, leftover: Leftover) -> Found:
    from darkroom.operations.leftovers import size_of

    return Found(
        path=leftover.path.relative_to(workspace.root).as_posix(),
        size_bytes=size_of(leftover.path),
        what=leftover.what,
        why=leftover.why,
    )


def _table(found: tuple[Found, ...], title: str) -> Table:
    ranked = sorted(found, key=lambda one: (-one.size_bytes, one.path))
    rows = tuple((one.path, _spoken(one.size_bytes), one.what, one.why) for one in ranked)
    return Table(("path", "size", "what", "because"), rows, title)


def _spoken(size_bytes: int) -> str:
    """Returns a size as a person says it, in powers of ten."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"
