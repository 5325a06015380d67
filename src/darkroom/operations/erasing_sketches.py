"""Erase pictures from the sketches of the domain check: those of runs, and those that travel in bundles."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from darkroom import atomic
from darkroom.errors import DarkroomError
from darkroom.operations.looking_through import folders_in
from darkroom.workspace import Workspace

__all__ = ["erase_sketches"]


def erase_sketches(workspace: Workspace, image_ids: Collection[str]) -> Iterator[Path]:
    """Takes pictures out of every sketch of a project; yields the folders that changed.

    A bundle gets another id with it, which the catalogue is told; done again, it finishes what was begun.
    """
    from darkroom.domain.files import FOLDER

    for folder in folders_in(workspace.runs_folder):
        if _erased_from_run(folder / FOLDER, image_ids):
            yield folder / FOLDER
    handed_over = workspace.deliverables / "09-mobile" / "bundle"
    for folder in (*folders_in(workspace.bundles_folder), handed_over):
        if _erased_from_bundle(folder, image_ids):
            yield folder / FOLDER
    _tell_catalogue(workspace)


def _erased_from_run(folder: Path, image_ids: Collection[str]) -> bool:
    from darkroom.domain.forgetting import forget_rows

    before = folder.is_dir()
    files = forget_rows(folder, image_ids)
    if files:
        with atomic.write_folder(folder) as aside:
            for name, data in files.items():
                (aside / name).write_bytes(data)
    return bool(files) or (before and not folder.is_dir())


def _erased_from_bundle(folder: Path, image_ids: Collection[str]) -> bool:
    from darkroom.bundle.writer import replace_files
    from darkroom.domain.files import FACTS, FOLDER, ROWS
    from darkroom.domain.forgetting import forget_rows

    before = (folder / FOLDER).is_dir()
    files = forget_rows(folder / FOLDER, image_ids)
    if before and not files and not (folder / FOLDER).is_dir():  # it could not be read
        files = {FACTS: b"", ROWS: b""}
    if not files:
        return False
    replace_files(folder, {f"{FOLDER}/{name}": data for name, data in files.items()})
    return True


def _tell_catalogue(workspace: Workspace) -> None:
    from darkroom.bundle.manifest import read_manifest

    for bundle in workspace.catalogue.bundles.list():
        try:
            manifest = read_manifest(workspace.root / bundle.path)
        except DarkroomError:  # its folder is gone or damaged, which is said where it is used
            continue
        if manifest.id != bundle.manifest.id:
            workspace.catalogue.bundles.replace_manifest(bundle.id, manifest)
