"""Operations that erase pictures everywhere, and that let forgotten ones come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkroom.operation import PictureName, operation
from darkroom.records import Result, Table, Tombstone, now
from darkroom.workspace import Workspace

__all__ = ["forget", "forgotten", "remember"]


class ForgetReport(Result):
    """What was erased, and what could not be."""

    images: tuple[str, ...]
    """Ids of the pictures."""
    deleted: tuple[str, ...]
    """Files and folders that were deleted, or from which rows were taken."""
    remaining: tuple[str, ...]
    """Files outside the project that still hold a picture."""
    marked: tuple[str, ...]
    """Datasets, runs and bundles that held a picture; they are marked for ever."""
    trained: bool
    """Whether a run was trained or judged on one of them."""
    scrubbed: bool
    """Whether the catalogue's file was written anew, so that deleted rows cannot be read from it."""

    def display(self) -> Iterator[str | Table]:
        """Yields what was erased, what stays, and what to do next."""
        for image_id in self.images:
            yield f"Forgotten: {image_id}"
        yield from (f"  deleted {path}" for path in self.deleted)
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields what stays and what to do next."""
        if self.remaining:
            yield "Outside the project these files still hold it; --files delete deletes them as well:"
            yield from (f"  {path}" for path in self.remaining)
        if self.marked:
            yield f"Held it, and are marked: {', '.join(self.marked)}."
        if self.trained:
            yield "Runs that were trained or judged on it stay as they are. Train without it: darkroom run"
        if not self.scrubbed:
            yield (
                "The rows are deleted, but their bytes may still lie in the database's files: on "
                "PostgreSQL until its vacuum, and in its backups; on SQLite until other processes end and "
                "this is run again."
            )


class RememberReport(Result):
    """Pictures that may come back."""

    images: tuple[str, ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the pictures and what to do next."""
        for image_id in self.images:
            yield f"May come back: {image_id}"
        yield "Take it in again from its source: darkroom run"


class ForgottenReport(Result):
    """The pictures that were forgotten."""

    rows: tuple[tuple[str, ...], ...]
    """Id, when, by whom, why, whether it is finished."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        if self.rows:
            yield Table(("picture", "forgotten", "by", "reason", ""), self.rows)
        else:
            yield "No picture was forgotten."


@operation("image.forget", slow=True, positional=("images",))
def forget(
    workspace: Workspace,
    *,
    images: tuple[PictureName, ...],
    files: Literal["keep", "delete"] = "keep",
    reason: str = "",
    by: str = "",
) -> ForgetReport:
    """Erase pictures everywhere: bytes, labels, thumbnails, tensors, pages. It cannot be undone.

    A tombstone without content stays, so that the picture is not taken in again. What held it is marked.
    Killed in the middle, the command that `image forgotten` names finishes it.

    Args:
        images: pictures by id, by the beginning of an id, or by file.
        files: keep files outside the project, which the answer names, or delete them as well.
        reason: why, kept with the tombstone.
        by: who asked for it; the user of this machine when not given.
    """
    from darkroom.operations.erasing import Eraser
    from darkroom.operations.holders import find_holders, refuse_busy
    from darkroom.operations.holding import hold_project, hold_sources
    from darkroom.operations.image_names import images_named

    catalogue = workspace.catalogue.forgotten
    with hold_project(workspace), hold_sources(workspace):
        wanted = images_named(workspace, images)
        holders = find_holders(workspace, wanted)
        refuse_busy(workspace, wanted, holders)
        moment, who = now(), by or _user()
        catalogue.begin(
            (Tombstone(image_id=one, at=moment, by=who, reason=reason) for one in wanted), holders.marks
        )
        eraser = Eraser(workspace, catalogue.find(wanted), holders, delete_outside=files == "delete")
        eraser.erase()
        catalogue.erase(wanted)
        scrubbed = catalogue.scrub()
        if scrubbed or not catalogue.can_scrub:
            catalogue.finish(wanted)
    marks = catalogue.marked(wanted)
    return ForgetReport(
        images=wanted,
        deleted=tuple(dict.fromkeys(eraser.deleted)),
        remaining=tuple(dict.fromkeys(eraser.remaining)),
        marked=tuple(dict.fromkeys(mark.name for mark in marks)),
        trained=any(mark.kind == "run" for mark in marks),
        scrubbed=scrubbed,
    )


@operation("image.forgotten")
def forgotten(workspace: Workspace) -> ForgottenReport:
    """List the pictures that were forgotten."""
    return ForgottenReport(
        rows=tuple(
            (
                one.image_id,
                f"{one.at:%Y-%m-%d %H:%M}",
                one.by,
                one.reason,
                "" if one.finished else f"not finished: darkroom image forget {one.image_id[:12]}",
            )
            for one in workspace.catalogue.forgotten.list()
        )
    )


@operation("image.remember", positional=("images",))
def remember(workspace: Workspace, *, images: tuple[str, ...]) -> RememberReport:
    """Let forgotten pictures come back: the next run takes them in where it finds them.

    What was erased stays erased, and what held them stays marked.

    Args:
        images: forgotten pictures by id, or by the beginning of an id.
    """
    from darkroom.operations.holding import hold_project, hold_sources
    from darkroom.operations.image_names import forgotten_named
    from darkroom.sources.picture import FORGOTTEN

    catalogue = workspace.catalogue
    with hold_project(workspace), hold_sources(workspace):
        wanted = forgotten_named(workspace, images)
        catalogue.forgotten.lift(wanted)
        for source in catalogue.sources.list():
            aside = catalogue.quarantine.of_source(source.id)
            # A scan does not open again what is set aside; those still forgotten are set aside anew.
            paths = [file.path for file in aside if file.reason == FORGOTTEN]
            catalogue.quarantine.clear(source.id, paths)
    return RememberReport(images=wanted)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return ""
