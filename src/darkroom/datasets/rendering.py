"""A dataset version as tensors: Arrow files, memory-mapped, of which numpy gathers batches.

<dataset id>-<contract id>/
    manifest.json           what was written, with checksums; there last
    train-00000.arrow       columns image_id, label, group, pixels (uint8, height × width × channels);
                            for segmentation mask (uint8, height × width, index of the class, 255: not said)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from darkroom import atomic
from darkroom.datasets.frozen import labels_of
from darkroom.datasets.manifest import Manifest, ShardFacts
from darkroom.datasets.shards import pixels_of, read_batches
from darkroom.errors import Invalid
from darkroom.records import DatasetVersion, Member, Split

__all__ = ["RenderedSplit", "Rendering"]


class Rendering:
    """The rendered splits of a dataset version.

    Args:
        folder: where the files are; `render` has seen that they are whole.
        version: the dataset version.
        manifest: what was written there.

    Raises:
        FileNotFoundError: the folder was taken away in between.
    """

    def __init__(self, folder: Path, version: DatasetVersion, manifest: Manifest) -> None:
        self.folder = folder
        self._hold = atomic.Hold(folder)
        self.version = version
        self._manifest = manifest
        self._splits: dict[str, RenderedSplit] = {}

    def split(self, name: Split) -> RenderedSplit:
        """Returns one split; it is empty when the version has no picture there."""
        if name not in self._splits:
            shards = self._manifest.of_split(name)
            self._splits[name] = RenderedSplit(self.folder, shards, self.version, self._hold)
        return self._splits[name]


class RenderedSplit:
    """The tensors of one split in the order of the dataset's members, and what is known of them.

    Args:
        folder: of the rendering.
        shards: its files.
        version: the dataset version.
        hold: keeps the folder from being cleaned away.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[ShardFacts],
        version: DatasetVersion,
        hold: atomic.Hold | None = None,
    ) -> None:
        self._version, self._hold = version, hold
        self._batches = [batch for shard in shards for batch in read_batches(folder / shard.file)]
        self._pixels = [pixels_of(batch).reshape(-1, *self.shape) for batch in self._batches]
        self._masks = self._read_masks()
        # Index of the first picture of each batch, and behind the last one the number of all: (B + 1,)
        self._starts = np.cumsum([0, *(len(pixels) for pixels in self._pixels)])
        self.image_ids: tuple[str, ...] = tuple(self._column("image_id"))
        """Ids of the N pictures."""
        self.groups: tuple[str | None, ...] = tuple(self._column("group"))
        """Groups of the N pictures."""
        self.labels: np.ndarray = self._read_labels()
        """(N,) int64: index of each picture's class. For several classes (N, classes) of 0 and 1; for masks
        empty, see `gather_masks`."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of each tensor."""
        return self._version.contract.shape

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copies tensors out of the files.

        Args:
            indices: (n,) of the pictures, each 0 … N − 1, in any order, repeated or not.
            out: (n, height, width, channels) uint8 to write into; a new array when not given.

        Returns:
            (n, height, width, channels) uint8: `out`.

        Raises:
            Invalid: an index is out of range, or `out` has another shape.
        """
        return self._gather(self._pixels, indices, self.shape, out)

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copies masks out of the files; the arguments are those of `gather`.

        Returns:
            (n, height, width) uint8 of class indices, 255 where nothing is said: `out`.

        Raises:
            Invalid: the dataset holds no masks, an index is out of range, or `out` has another shape.
        """
        if self._version.task != "segmentation":
            raise Invalid(
                "rendering.no-masks",
                "Dataset {ref} is for {task}; it has no masks.",
                ref=self._version.ref,
                task=self._version.task,
            )
        return self._gather(self._masks, indices, self.shape[:2], out)

    def _gather(
        self, parts: list[np.ndarray], indices: np.ndarray, shape: tuple[int, ...], out: np.ndarray | None
    ) -> np.ndarray:
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), *shape), np.uint8) if out is None else out
        self._check(indices, shape, out)
        if len(parts) == 1:
            # "clip" lets numpy write straight into `out`; the range was checked.
            return np.take(parts[0], indices, axis=0, out=out, mode="clip")
        batches = np.searchsorted(self._starts, indices, side="right") - 1
        within = indices - self._starts[batches]
        for place, (batch, row) in enumerate(zip(batches.tolist(), within.tolist(), strict=True)):
            out[place] = parts[batch][row]
        return out

    def _check(self, indices: np.ndarray, shape: tuple[int, ...], out: np.ndarray) -> None:
        if out.shape != (len(indices), *shape) or out.dtype != np.uint8:
            raise Invalid(
                "rendering.buffer",
                "Expected a buffer of {expected} uint8. Received: {shape} {dtype}.",
                expected=(len(indices), *shape),
                shape=out.shape,
                dtype=out.dtype,
            )
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(self)):
            raise Invalid(
                "rendering.index",
                "The split has {count} pictures; asked for number {low} to {high}.",
                count=len(self),
                low=int(indices.min()),
                high=int(indices.max()),
            )

    def _read_masks(self) -> list[np.ndarray]:
        if self._version.task != "segmentation":
            return []
        return [pixels_of(batch, "mask").reshape(-1, *self.shape[:2]) for batch in self._batches]

    def _read_labels(self) -> np.ndarray:
        index = {label: place for place, label in enumerate(self._version.classes)}
        texts = self._column("label")
        if self._version.task == "classification":
            return np.fromiter((index[text] for text in texts), np.int64, len(self))
        if self._version.task == "segmentation":
            return np.empty(0, np.int64)
        labels = np.zeros((len(self), len(index)), np.int64)
        for row, text in enumerate(texts):
            for label in labels_of(Member(image_id="", split="train", label=text), self._version.task):
                labels[row, index[label]] = 1
        return labels

    def _column(self, name: str) -> list[str]:
        return [value for batch in self._batches for value in batch.column(name).to_pylist()]
