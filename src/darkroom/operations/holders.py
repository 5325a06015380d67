"""Everything in a project that holds a picture or was made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from darkroom import atomic
from darkroom.errors import DarkroomError, Locked
from darkroom.operations.holding import runs_at_work
from darkroom.operations.looking_through import files_below, folders_in, holds_any
from darkroom.records import DatasetVersion, Image, Location, Mark, Run, content_id
from darkroom.workspace import Workspace

__all__ = ["Holders", "features_of", "find_holders", "refuse_busy", "renderings_of", "tensors_of"]


class Holders(NamedTuple):
    """What holds some pictures, or was made from them."""

    images: dict[str, Image]
    """Their rows; one whose row is gone already is missing."""
    places: tuple[Location, ...]
    """Where their bytes lie."""
    versions: tuple[DatasetVersion, ...]
    """Dataset versions that hold them."""
    trained_on: frozenset[str]
    """Those of the versions that hold one of them in train."""
    runs: tuple[Run, ...]
    """Runs on those versions, and runs that began from the weights of such a run."""
    bundles: tuple[str, ...]
    """Bundles of those runs."""
    marks: tuple[Mark, ...]
    """All of that, as it is noted for ever."""


def find_holders(workspace: Workspace, image_ids: Iterable[str]) -> Holders:
    """Finds what holds some pictures, or was made from them."""
    catalogue, wanted = workspace.catalogue, list(image_ids)
    holdings = catalogue.forgotten.holders(wanted)
    refs = list(dict.fromkeys(one.dataset for one in holdings))
    marks = list[Mark]()
    every_run, every_bundle = catalogue.runs.list(), catalogue.bundles.list()
    runs, bundles = dict[str, Run](), dict[str, None]()
    for image_id in wanted:
        own = {one.dataset for one in holdings if one.image_id == image_id}
        of_image = _runs_on(every_run, own)
        names = {run.id for run in of_image}
        of_runs = [one.id for one in every_bundle if one.run_id in names]
        runs |= {run.id: run for run in of_image}
        bundles |= dict.fromkeys(of_runs)
        marks += [Mark(kind="dataset", name=ref, image_id=image_id) for ref in sorted(own)]
        marks += [Mark(kind="run", name=run.id, image_id=image_id) for run in of_image]
        marks += [Mark(kind="bundle", name=name, image_id=image_id) for name in of_runs]
    return Holders(
        images=catalogue.images.many(wanted),
        places=tuple(
            place for places in catalogue.locations.of_images(wanted).values() for place in places
        ),
        versions=tuple(catalogue.datasets.get(ref) for ref in refs),
        trained_on=frozenset(one.dataset for one in holdings if one.split == "train"),
        runs=tuple(runs.values()),
        bundles=tuple(bundles),
        marks=tuple(marks),
    )


def refuse_busy(workspace: Workspace, image_ids: Iterable[str], holders: Holders) -> None:
    """Refuses while a process trains on the pictures, or reads a rendering or features of them.

    Raises:
        Locked: somebody does.
    """
    at_work = runs_at_work(workspace)
    busy = [run.id for run in holders.runs if run.id in at_work]
    if busy:
        raise Locked(
            "image.in-training",
            "Run {run} is being trained on a dataset that holds the picture.",
            do="Stop it or wait until it ends, then run the same command again.",
            run=", ".join(busy),
        )
    for folder in renderings_of(workspace, holders):
        if atomic.is_held(folder):
            raise Locked(
                "image.in-use",
                "Another process reads the rendering {folder}, which holds the picture.",
                do="Wait until it ends, then run the same command again.",
                folder=folder,
            )
    for file in features_of(workspace, image_ids):
        if atomic.is_held(file.parent):
            raise Locked(
                "image.features-in-use",
                "Another process reads the features {folder}, and those of the picture are among them.",
                do="Wait until it ends, then run the same command again.",
                folder=file.parent,
            )


def renderings_of(workspace: Workspace, holders: Holders) -> Iterator[Path]:
    """Gives the renderings that hold the pictures."""
    for version in holders.versions:
        yield from sorted(
            folder
            for folder in workspace.renderings.glob(f"{version.content[:16]}-*")
            if folder.is_dir() and not folder.is_symlink()
        )


def features_of(workspace: Workspace, image_ids: Iterable[str]) -> Iterator[Path]:
    """Gives the files of features that hold those of the pictures."""
    words = [image_id.encode() for image_id in image_ids]
    for folder in folders_in(workspace.features_folder):
        yield from (file for file in files_below(folder) if holds_any(file, words))


def tensors_of(workspace: Workspace, holders: Holders) -> set[bytes]:
    """Returns what the pictures become under the contracts of their versions, where they can be read."""
    from darkroom.images import prepare

    contracts = {content_id(version.contract): version.contract for version in holders.versions}
    found: set[bytes] = set()
    for image_id in holders.images:
        try:
            data = workspace.read_image(image_id)
            found |= {prepare(data, contract).tobytes() for contract in contracts.values()}
        except (DarkroomError, OSError):
            continue
    return found


def _runs_on(runs: list[Run], datasets: set[str]) -> list[Run]:
    """Returns the runs on some versions and all that began from their weights, the oldest first."""
    found: dict[str, Run] = {}
    for run in runs:  # in the order of their making: whose weights it began from comes before it
        if run.dataset in datasets or run.parent in found:
            found[run.id] = run
    return list(found.values())
