"""What a project keeps and could do without: caches, what dead processes left, what nothing refers to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from darkroom import atomic
from darkroom.locks import is_held
from darkroom.operations.holding import runs_at_work
from darkroom.records import Run
from darkroom.workspace import Workspace

__all__ = ["Leftover", "WhatToClean", "find_leftovers", "size_of"]

WhatToClean = Literal["unneeded", "caches", "runs", "left", "copies"]
"""unneeded: can be made again, and nothing needs it now; caches: all that can be made again; runs: folders
of runs that did not finish; left: folders that were set aside; copies: old copies of the catalogue."""

YOUNG_S = 3600.0
"""What is younger may still be in the making by a process that holds no lock."""

UPLOAD_S = 24 * 3600.0


class Leftover(NamedTuple):
    """A file or folder that could go."""

    path: Path
    what: WhatToClean
    """What it belongs to."""
    why: str
    """Why it could go."""
    lock: Path | None = None
    """The lock of whoever writes it."""


def find_leftovers(workspace: Workspace, *, jobs_older_than_days: int = 30) -> Iterator[Leftover]:
    """Gives what could go; nothing that is a link, or lies behind one."""
    every = (
        *_renderings(workspace),
        *_features(workspace),
        *_asides(workspace),
        *_runs(workspace),
        *_bundles(workspace),
        *_blobs(workspace),
        *_copies(workspace),
        *_uploads(workspace),
        *_jobs(workspace, jobs_older_than_days * 86400.0),
    )
    seen: set[Path] = set()
    for found in every:
        if found.path not in seen and not _is_linked(workspace, found.path):
            seen.add(found.path)
            yield found


def size_of(path: Path) -> int:
    """Returns the bytes of a file or of all files below a folder; no link is followed."""
    if path.is_symlink() or not path.is_dir():
        return _size(path)
    return sum(_size(f"{parent}/{name}") for parent, _, names in os.walk(path) for name in names)


def _size(path: Path | str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:  # it went while we looked
        return 0


def _renderings(workspace: Workspace) -> Iterator[Leftover]:
    from darkroom.datasets.renderer import rendering_folder

    catalogue = workspace.catalogue
    versions = {version.ref: version for version in catalogue.datasets.list()}
    newest = {version.name: version.ref for version in versions.values()}
    needed = {rendering_folder(workspace, versions[ref]) for ref in newest.values()}
    named = {ref for ref in _named_by_stages(workspace) | _begun(workspace) if ref in versions}
    needed |= {rendering_folder(workspace, versions[ref]) for ref in named}
    for folder in _folders(workspace.renderings):
        lock = folder.with_name(f"{folder.name}.lock")
        if folder in needed:
            yield Leftover(
                folder, "caches", "pixels of a dataset; rendered again when they are needed", lock
            )
        else:
            yield Leftover(folder, "unneeded", "pixels of a dataset that no stage needs", lock)


def _named_by_stages(workspace: Workspace) -> set[str]:
    """Returns the datasets in what the stages of darkroom.toml gave last."""
    stages = {entry.name for entry in workspace.project.stage}
    records = workspace.catalogue.stages.all()
    return {
        result["dataset"]
        for name in stages & records.keys()
        for result in records[name].result.get("results", ())
        if isinstance(result, dict) and isinstance(result.get("dataset"), str)
    }


def _begun(workspace: Workspace) -> set[str]:
    """Returns the datasets of runs that are at work or can be gone on with."""
    ended = ("finished", "failed")
    return {run.dataset for run in workspace.catalogue.runs.list() if run.state not in ended}


def _features(workspace: Workspace) -> Iterator[Leftover]:
    for folder in _folders(workspace.features_folder):
        lock = folder.with_name(f"{folder.name}.lock")
        yield Leftover(folder, "caches", "features of pictures; computed again when they are needed", lock)


def _asides(workspace: Workspace) -> Iterator[Leftover]:
    for top in (workspace.root, workspace.hidden, workspace.deliverables):
        folders = [top] if top == workspace.root else [Path(parent) for parent, _, _ in os.walk(top)]
        for folder in folders:
            # What lies inside one that goes, goes with it.
            if not any(part.startswith(atomic.ASIDE) for part in folder.relative_to(top).parts):
                for left in atomic.leftovers(folder, older_than_s=YOUNG_S):
                    yield Leftover(left, "unneeded", "left half-written by a process that ended")


def _runs(workspace: Workspace) -> Iterator[Leftover]:
    runs = {run.id: run for run in workspace.catalogue.runs.list()}
    at_work, referred = runs_at_work(workspace), _referred_runs(workspace, runs.values())
    for folder in _folders(workspace.runs_folder):
        run_id, dot, _ = folder.name.partition(".left-")
        if dot:
            yield Leftover(folder, "left", "a run's folder that was set aside when its name was needed")
        elif run_id in runs and run_id not in at_work | referred:
            run = runs[run_id]
            if run.state in ("failed", "cancelled", "lost", "running"):
                lock = folder.with_name(f"{run_id}.lock")
                state = "lost" if run.state == "running" else run.state
                of = _study_of(run)
                why = f"{of} was {state}" if of else f"training was {state}; it would begin anew"
                yield Leftover(folder, "runs", why, lock)


def _study_of(run: Run) -> str:
    """Returns of which search a run is a trial, in words; empty where it is none."""
    found = (tag.removeprefix("study-").partition("-trial-") for tag in run.tags if "-trial-" in tag)
    return next((f"trial {number} of study {study}" for study, _, number in found), "")


def _referred_runs(workspace: Workspace, runs: Iterable[Run]) -> set[str]:
    """Returns the runs that a bundle, a stage or another run names."""
    bundles = {bundle.run_id for bundle in workspace.catalogue.bundles.list()}
    parents = {run.parent for run in runs if run.parent}
    named: set[str] = set()
    for record in workspace.catalogue.stages.all().values():
        for result in record.result.get("results", ()):
            for value in result.values() if isinstance(result, dict) else ():
                named |= {
                    one
                    for one in (value if isinstance(value, list | tuple) else [value])
                    if isinstance(one, str)
                }
    return bundles | parents | named


def _bundles(workspace: Workspace) -> Iterator[Leftover]:
    known = {bundle.id for bundle in workspace.catalogue.bundles.list()}
    for folder in _folders(workspace.bundles_folder):
        if folder.name.startswith("b-") and folder.name not in known and _age_s(folder) > YOUNG_S:
            yield Leftover(folder, "unneeded", "a bundle that was never finished")
    for path in workspace.bundles_folder.glob("b-*-p*.json"):  # parity, precisions
        if path.name.rpartition("-")[0] not in known:
            yield Leftover(path, "unneeded", "a comparison of a bundle that is not there")
    for kind in ("adopted.json", "original.onnx", "original.tflite"):
        for path in workspace.bundles_folder.glob(f"b-*-{kind}"):
            if path.name.removesuffix(f"-{kind}") not in known and _age_s(path) > YOUNG_S:
                yield Leftover(path, "unneeded", "a model from elsewhere whose bundle is not there")


def _blobs(workspace: Workspace) -> Iterator[Leftover]:
    catalogue = workspace.catalogue
    masks: set[str] | None = None
    loose = [blob for blob in workspace.blobs.list()]
    for start in range(0, len(loose), 5000):
        part = loose[start : start + 5000]
        held = catalogue.images.many(part)
        for blob in part:
            path = Path(workspace.blobs.path(blob))
            if blob in held or _age_s(path) < YOUNG_S:
                continue
            masks = catalogue.forgotten.every_mask() if masks is None else masks
            if blob not in masks:
                yield Leftover(path, "unneeded", "bytes that no picture and no mask refers to")


def _copies(workspace: Workspace) -> Iterator[Leftover]:
    copies = sorted(workspace.hidden.glob("catalogue-before-*.db"), key=lambda path: path.stat().st_mtime)
    for path in copies[:-1]:
        yield Leftover(path, "copies", "the catalogue before a migration; a newer copy stays")


def _uploads(workspace: Workspace) -> Iterator[Leftover]:
    if workspace.uploads_folder.is_dir():
        for path in sorted(workspace.uploads_folder.iterdir()):
            if _age_s(path) > UPLOAD_S and not path.name.startswith(atomic.ASIDE):
                yield Leftover(path, "unneeded", "uploaded more than a day ago")


def _jobs(workspace: Workspace, older_than_s: float) -> Iterator[Leftover]:
    states = {job.id: job.state for job in workspace.catalogue.jobs.list(limit=None)}
    for folder in _folders(workspace.jobs_folder):
        ended = states.get(folder.name) in ("finished", "failed", "cancelled", None)
        if ended and _age_s(folder) > older_than_s and not is_held(folder / "process.lock"):
            yield Leftover(folder, "unneeded", "output of a job that ended long ago")


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(
        path
        for path in place.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(atomic.ASIDE)
    )


def _is_linked(workspace: Workspace, path: Path) -> bool:
    """Says whether a path leads out of the project by a link; a link itself may go."""
    return not path.parent.resolve().is_relative_to(workspace.root)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
