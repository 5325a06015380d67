"""Sets of pictures that are held against each other: a folder from the field, several sets in a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from darkroom.errors import DarkroomError, Invalid
from darkroom.records import DatasetVersion
from darkroom.records.numbers import counted

if TYPE_CHECKING:
    from darkroom.features.reduction import Vectors

__all__ = ["Chained", "FieldFolder"]


class FieldFolder:
    """Pictures of a folder as the contract makes them; what cannot be read is left out."""

    def __init__(self, tensors: np.ndarray, image_ids: Sequence[str]) -> None:
        self._tensors = tensors
        self.image_ids = tuple(image_ids)
        self.groups: tuple[str | None, ...] = (None,) * len(self.image_ids)

    @classmethod
    def of(
        cls,
        folder: Path,
        version: DatasetVersion,
        most: int,
        generator: np.random.Generator,
        remarks: list[str],
    ) -> FieldFolder:
        """Reads at most so many pictures of a folder, drawn at random; notes those that cannot be read."""
        import hashlib

        from darkroom.formats import is_picture
        from darkroom.images import prepare

        paths = (
            sorted(one for one in folder.rglob("*") if one.is_file() and is_picture(one.name))
            if folder.is_dir()
            else []
        )
        if not paths:
            raise Invalid(
                "alike.empty-folder",
                "No picture in the folder {path}.",
                do="Name a folder of pictures: --field FOLDER",
                path=folder,
            )
        tensors: dict[str, np.ndarray] = {}
        refused = 0
        for place in np.sort(generator.permutation(len(paths))[:most]).tolist():
            try:
                data = paths[place].read_bytes()
                tensors[hashlib.sha256(data).hexdigest()] = prepare(data, version.contract)
            except (DarkroomError, OSError):
                refused += 1
        if refused:
            remarks.append(f"Cannot be read, and left out: {counted(refused, 'file')} of {folder.name}.")
        shape = (0, *version.contract.shape)
        return cls(
            np.stack(list(tensors.values())) if tensors else np.empty(shape, np.uint8), list(tensors)
        )

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8."""
        return np.take(self._tensors, indices, axis=0, out=out, mode="clip")


class Chained:
    """Several sets of vectors behind one another."""

    def __init__(self, parts: Sequence[Vectors]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.size = parts[0].size

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, size) float32."""
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), self.size), np.float32) if out is None else out
        of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(of).tolist():
            here = np.flatnonzero(of == number)
            out[here] = self._parts[number].gather(indices[here] - self._starts[number])
        return out
