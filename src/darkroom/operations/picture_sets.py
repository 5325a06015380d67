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
    """Pictures of a folder as the contract makes them; what cannot be read is left out.

    Args:
        tensors: a file of their pixels, one picture behind the other.
        shape: (height, width, channels) of each.
        image_ids: the pictures.
    """

    def __init__(self, tensors: Path, shape: tuple[int, int, int], image_ids: Sequence[str]) -> None:
        self._tensors, self._shape = tensors, shape
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
        scratch: Path,
    ) -> FieldFolder:
        """Reads at most so many pictures of a folder, drawn at random; notes those that cannot be read.

        Args:
            folder: of the pictures.
            version: the dataset whose contract makes them.
            most: how many to read.
            generator: draws them.
            remarks: is told how many cannot be read.
            scratch: a folder for their pixels, which would fill the memory.
        """
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
        image_ids: dict[str, None] = {}
        refused = 0
        with (scratch / "field.pixels").open("wb") as tensors:
            for place in np.sort(generator.permutation(len(paths))[:most]).tolist():
                try:
                    data = paths[place].read_bytes()
                    tensor = prepare(data, version.contract)
                except (DarkroomError, OSError):
                    refused += 1
                    continue
                image_id = hashlib.sha256(data).hexdigest()
                if image_id not in image_ids:
                    tensors.write(tensor.tobytes())
                    image_ids[image_id] = None
        if refused:
            remarks.append(f"Cannot be read, and left out: {counted(refused, 'file')} of {folder.name}.")
        return cls(scratch / "field.pixels", version.contract.shape, list(image_ids))

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8."""
        tensors = np.memmap(self._tensors, np.uint8, "r", shape=(len(self.image_ids), *self._shape))
        return np.take(tensors, indices, axis=0, out=out, mode="clip")


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
