"""Operations on sources: take pictures and their labels in, list where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from darkroom.errors import Invalid, NotFound
from darkroom.operation import LocalPath, Produced, SourceRef, operation
from darkroom.operations.forgotten import forgotten_content
from darkroom.records import Result, Source, Table, now
from darkroom.workspace import Workspace

__all__ = ["add", "list_sources", "quarantine", "refuse_own_folder"]


class AddReport(Result):
    """What a scan of a source found."""

    source: SourceRef
    new: int
    """Pictures that were not known."""
    changed: int
    vanished: int
    unchanged: int
    conflicts: int
    """Pictures with two different labels; no dataset takes them in until somebody decides."""
    quarantined: int
    """Files that were set aside; see `darkroom source quarantine`."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields the counts and what needs a person."""
        yield (
            f"{self.source}: {self.new:,} new, {self.unchanged:,} unchanged, {self.changed:,} changed, "
            f"{self.vanished:,} vanished"
        )
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields what needs a person."""
        if self.quarantined:
            files = "1 file was" if self.quarantined == 1 else f"{self.quarantined:,} files were"
            yield f"{files} set aside. See: darkroom source quarantine"
        if self.conflicts:
            pictures = "1 picture carries" if self.conflicts == 1 else f"{self.conflicts:,} pictures carry"
            yield (
                f"{pictures} two different labels and wait{'s' * (self.conflicts == 1)} for a decision; "
                f"no dataset takes them. See: {self.path}/conflicts.csv"
            )


class SourcesReport(Result):
    """The sources of a project."""

    rows: tuple[tuple[str, ...], ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        yield Table(("source", "kind", "format", "mode", "path", "added"), self.rows)


class QuarantineReport(Result):
    """Files that were set aside."""

    rows: tuple[tuple[str, ...], ...]

    def display(self) -> Iterator[str | Table]:
        """Yields each file and why."""
        if not self.rows:
            yield "Nothing is in quarantine."
        else:
            yield Table(("source", "file", "why"), self.rows)


def refuse_own_folder(root: Path, folder: Path) -> None:
    """Refuses a folder of pictures that holds the project: its deliverables would become pictures.

    Raises:
        Invalid: the project lies in the folder, or is the folder.
    """
    if root.resolve().is_relative_to(folder.resolve()):
        raise Invalid(
            "source.holds-project",
            "{folder} holds the project {root} itself; what Darkroom writes there would become pictures.",
            do="Make the project beside the pictures: darkroom init NAME --images FOLDER",
            folder=folder,
            root=root,
        )


def _listing(workspace: Workspace, *, folder: Path, **_: Any) -> Mapping[str, str]:
    from darkroom.sources import listing_digest

    refuse_own_folder(workspace.root, folder)
    return {"files": listing_digest(_existing(folder)), **forgotten_content(workspace)}


@operation(
    "source.add", slow=True, stage=3, inputs=_listing, positional=("folder",), indifferent=("rehash",)
)
def add(
    workspace: Workspace,
    *,
    folder: LocalPath,
    format: str = "class-folders",
    mode: Literal["reference", "copy"] = "reference",
    origin: str = "",
    licence: str = "",
    collector: str = "",
    rehash: bool = False,
) -> AddReport:
    """Take in the pictures of a folder with their labels; again, take in what changed.

    Args:
        folder: the pictures.
        format: how the folder says its labels.
        mode: leave the pictures where they are, or copy them into the project.
        origin: where they came from, as a person would say it.
        licence: licence of the pictures.
        collector: who or what collected them.
        rehash: compare files by content, not by size and time of change.
    """
    from darkroom.operations.collected import deliver_source
    from darkroom.operations.holding import take_in
    from darkroom.sources import scan_folder

    place = _existing(folder)
    refuse_own_folder(workspace.root, place)
    with take_in(workspace):
        source = _source(workspace, place, format, mode)
        report = scan_folder(
            workspace, source, rehash=rehash, origin=origin, licence=licence, collector=collector
        )
    return AddReport(
        source=source.id,
        new=report.new,
        changed=report.changed,
        vanished=report.vanished,
        unchanged=report.unchanged,
        conflicts=report.conflicts,
        quarantined=report.quarantined,
        path=deliver_source(workspace, source, report),
    )


@operation("source.list")
def list_sources(workspace: Workspace) -> SourcesReport:
    """List where the pictures come from."""
    return SourcesReport(
        rows=tuple(
            (one.id, one.kind, one.format, one.mode, one.path, one.added_at.strftime("%Y-%m-%d %H:%M"))
            for one in workspace.catalogue.sources.list()
        )
    )


@operation("source.quarantine")
def quarantine(workspace: Workspace) -> QuarantineReport:
    """List the files that were set aside, and why."""
    catalogue = workspace.catalogue
    return QuarantineReport(
        rows=tuple(
            (source.id, found.path, found.message)
            for source in catalogue.sources.list()
            for found in catalogue.quarantine.of_source(source.id)
        )
    )


def _source(workspace: Workspace, folder: Path, format: str, mode: Literal["reference", "copy"]) -> Source:
    """Returns the source of a folder, made when it is new."""
    sources = workspace.catalogue.sources
    path = workspace.relative(folder)
    known = sources.find("folder", path)
    if known is not None:
        if known.format == format:
            return known
        return sources.add(known.model_copy(update={"format": format}))  # labels came in another form
    return sources.add(
        Source(id=sources.new_id(), kind="folder", path=path, format=format, mode=mode, added_at=now())
    )


def _existing(folder: Path) -> Path:
    folder = Path(os.path.normpath(folder))
    if not folder.is_dir():
        raise NotFound(
            "source.no-folder",
            "No folder {folder}.",
            do="Correct `folder` in darkroom.toml, or put the pictures back.",
            folder=folder,
        )
    return folder.resolve()
