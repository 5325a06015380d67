"""The store of features: what is there is taken; what is missing or damaged is computed.

.darkroom/features/<key>/
    key.json              the key in words
    <random>.rows         some hundred vectors each; see part.py

A file is there whole or not at all, and nothing is ever written into one that is there. So a kill costs the
vectors since the last file, and two processes can do no worse than to compute the same twice. A table that
was given out holds the folder: nobody cleans it away beneath its reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from darkroom import atomic
from darkroom.errors import Cancelled, Invalid
from darkroom.features.embedder import Embedder, Pictures
from darkroom.features.part import SUFFIX, Part, read_part, write_part
from darkroom.features.table import FeatureTable

if TYPE_CHECKING:
    from darkroom.workspace import Workspace

__all__ = ["FeatureStore", "OnDone", "of", "project_store"]

PART_BYTES = 16 << 20
"""Largest size of the rows of one file, so that memory stays flat and files stay few."""

PART_S = 20.0
"""A file is written after this long even if it is small: a kill costs no more than this."""

LOOK_S = 0.01

OnDone = Callable[[int, int], None]
"""Told how many images are done, and how many are to be computed."""


class FeatureStore:
    """Features in a folder.

    Args:
        folder: where they are kept; made when needed.
        on_done: told while features are computed.
        should_stop: asked between batches.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_done: OnDone | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.folder = folder
        self._tell = on_done or (lambda done, total: None)
        self._asked_to_stop = should_stop or (lambda: False)

    def of(self, images: Pictures, embedder: Embedder) -> FeatureTable:
        """Returns the features of pictures, computing those that are missing.

        Raises:
            Invalid: the embedder gave something else than it said, or a number that is none.
            Cancelled: `should_stop` said so; what was computed is kept.
            StorageFailed: the disk is full or refuses.
        """
        folder, wanted, size = self.folder / embedder.key.id, images.image_ids, embedder.key.size
        hold, computed = _hold_of(folder), 0
        parts, places = _found(folder, wanted, size) if hold else ([], {})
        if len(places) < len(set(wanted)):
            self.folder.mkdir(parents=True, exist_ok=True)
            # One computes while the others wait; the system lets go of the lock when its process ends.
            with FileLock(f"{folder}.lock"):
                hold = _new_hold_of(folder)
                atomic.sweep(folder)
                parts, places = _found(folder, wanted, size)
                missing = _missing(wanted, places)
                self._compute(folder, images, missing, embedder)
                parts, places = _found(folder, wanted, size)
                computed = len(missing)
        return FeatureTable(wanted, parts, places, size=size, computed=computed, hold=hold)

    def missing(self, image_ids: Sequence[str], embedder: Embedder) -> int:
        """Returns how many of some pictures have no features yet; computes none."""
        places = _found(self.folder / embedder.key.id, image_ids, embedder.key.size)[1]
        return len(set(image_ids)) - len(places)

    def _compute(self, folder: Path, images: Pictures, missing: np.ndarray, embedder: Embedder) -> None:
        """Computes the features of the pictures with these indices (n,)."""
        if not len(missing):
            return
        if not (folder / "key.json").is_file():
            atomic.write_text(folder / "key.json", embedder.key.model_dump_json(indent=1) + "\n")
        heap, buffer = _Heap(folder, embedder.key.size), None
        for start in range(0, len(missing), embedder.batch_size):
            if self._asked_to_stop():
                heap.write()
                raise _cancelled(start, len(missing))
            chosen = missing[start : start + embedder.batch_size]
            fits = buffer is not None and len(buffer) == len(chosen)
            buffer = images.gather(chosen, out=buffer if fits else None)
            image_ids = [images.image_ids[int(index)] for index in chosen]
            heap.add(image_ids, _checked(embedder.embed(buffer, image_ids), image_ids, embedder))
            self._tell(start + len(chosen), len(missing))
        heap.write()


def of(workspace: Workspace, images: Pictures, embedder: Embedder) -> FeatureTable:
    """Returns the features of pictures from the project's store; see `FeatureStore.of`."""
    return project_store(workspace, embedder.key.network).of(images, embedder)


def project_store(workspace: Workspace, network: str) -> FeatureStore:
    """Returns the project's store, which tells the face that listens how far the network's features are."""

    def show(done: int, total: int) -> None:
        workspace.report(f"features of {network}", done=done, total=total, unit="images")

    return FeatureStore(
        workspace.features_folder, on_done=show, should_stop=workspace.stop_requested.is_set
    )


class _Heap:
    """Collects vectors until there are enough for a file."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._most_rows = max(1, PART_BYTES // (4 * size))
        self._image_ids: list[str] = []
        self._rows: list[np.ndarray] = []
        self._since = time.monotonic()

    def add(self, image_ids: Sequence[str], rows: np.ndarray) -> None:
        self._image_ids += image_ids
        self._rows.append(rows)
        if len(self._image_ids) >= self._most_rows or time.monotonic() - self._since > PART_S:
            self.write()

    def write(self) -> None:
        if self._image_ids:
            write_part(self._folder, self._image_ids, np.concatenate(self._rows))
        self._image_ids, self._rows, self._since = [], [], time.monotonic()


def _hold_of(folder: Path) -> atomic.Hold | None:
    """Holds a folder, so that it stays while it is read; None where there is none."""
    try:
        return atomic.Hold(folder)
    except FileNotFoundError:
        return None


def _new_hold_of(folder: Path) -> atomic.Hold:
    """Makes a folder if need be, and holds it; whoever takes it away needs the lock that is ours now."""
    while True:
        folder.mkdir(exist_ok=True)
        hold = _hold_of(folder)
        if hold is not None:
            return hold
        time.sleep(LOOK_S)  # somebody looks right now whether it is held


def _found(
    folder: Path, wanted: Sequence[str], size: int
) -> tuple[list[Part], Mapping[str, tuple[int, int]]]:
    """Returns the files that are whole, and the place of each wanted image; removes damaged files."""
    wanted_ids, parts = set(wanted), list[Part]()
    places: dict[str, tuple[int, int]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        part = read_part(path, size=size)
        if part is None:
            path.unlink(missing_ok=True)
            continue
        for row, image_id in enumerate(part.image_ids):
            if image_id in wanted_ids:
                places.setdefault(image_id, (len(parts), row))
        parts.append(part)
    return parts, places


def _missing(wanted: Sequence[str], places: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """Returns the first index of each image that has no place, (n,) int64."""
    first: dict[str, int] = {}
    for index, image_id in enumerate(wanted):
        if image_id not in places:
            first.setdefault(image_id, index)
    return np.fromiter(first.values(), np.int64, len(first))


def _checked(rows: np.ndarray, image_ids: Sequence[str], embedder: Embedder) -> np.ndarray:
    expected = (len(image_ids), embedder.key.size)
    if rows.shape != expected:
        raise Invalid(
            "features.shape",
            "Network {network} gave features of shape {shape}. Expected: {expected}.",
            network=embedder.key.network,
            shape=rows.shape,
            expected=expected,
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise Invalid(
            "features.not-finite",
            "Network {network} gave features that are no numbers, for picture {image} among others.",
            do="Its weights are damaged or do not fit it: take other weights.",
            network=embedder.key.network,
            image=image_ids[int(np.argmin(finite))],
        )
    return rows.astype(np.float32, copy=True)


def _cancelled(done: int, total: int) -> Cancelled:
    return Cancelled(
        "features.cancelled",
        "Computing features was stopped after {done:,} of {total:,} pictures; those are kept.",
        do="The same command goes on from there.",
        done=done,
        total=total,
    )
