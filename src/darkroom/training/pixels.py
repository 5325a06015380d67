"""Pictures where the training can reach them: in the device's memory when they fit, else by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from darkroom.errors import InvalidLabel
from darkroom.networks.image_model import scale_and_shift
from darkroom.records import Normalisation, Split

__all__ = ["Pixels", "RenderedSplit", "Rendering", "chunks"]

MOST_BYTES_IN_MEMORY = 1 << 30
CHUNK_IMAGES = 1024


class RenderedSplit(Protocol):
    """Pictures of one split as tensors."""

    @property
    def image_ids(self) -> Sequence[str]:
        """Ids of the images, in order."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: index of each picture's class; empty where each pixel has one. Where a picture may
        have several, (N, classes) of 0 and 1.
        """
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of each picture."""
        ...

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8 for the indices (n,), in `out` when it is given."""
        ...

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W) uint8 for the indices (n,), 255 where nothing is said; asked for masks only."""
        ...


class Rendering(Protocol):
    """A dataset version as tensors."""

    def split(self, name: Split) -> RenderedSplit:
        """Returns one split; it may be empty."""
        ...


class Pixels:
    """One split as the network takes it: normalised, channels-last, on a device.

    Args:
        split: the pictures.
        normalisation: how they are normalised.
        device: where batches are wanted.
        classes: how many classes there are.
        mean_image: (H, W, C) when a mean picture is subtracted.
        most_bytes: memory that pictures may fill; those that do not fit as float32 are kept as uint8, and
            those that do not fit so either are gathered batch by batch. The values are the same.

    Raises:
        InvalidLabel: a label is not one of the classes.
    """

    def __init__(
        self,
        split: RenderedSplit,
        normalisation: Normalisation,
        device: torch.device,
        classes: int,
        *,
        mean_image: Tensor | None = None,
        most_bytes: int = MOST_BYTES_IN_MEMORY,
    ) -> None:
        labels = np.array(split.labels, np.int64)
        check_labels(labels, classes)
        self._split, self._device = split, device
        self._labels = torch.from_numpy(labels).to(device)
        # A product over three channels is not vectorised; a whole row of pixels at once is.
        scale, shift = scale_and_shift(normalisation, mean_image)
        repeats = split.shape[1] if split.shape[2] > 1 else 1
        self._row_scale = scale.repeat(repeats).to(device)
        self._row_shift = (shift.repeat(repeats) if mean_image is None else shift.flatten(1)).to(device)
        self._buffer = np.empty((0, *split.shape), np.uint8)
        self._images: Tensor | None = None
        size_bytes = len(split) * math.prod(split.shape)
        if size_bytes <= most_bytes:
            self._images = self._load(as_float=4 * size_bytes <= most_bytes)

    def __len__(self) -> int:
        return len(self._split)

    @property
    def image_ids(self) -> Sequence[str]:
        """Ids of the images, in order."""
        return self._split.image_ids

    def labels(self, indices: Tensor) -> Tensor:
        """Returns labels (n,) for indices (n,) on the device."""
        return self._labels.index_select(0, indices)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Returns pictures (n, C, H, W) float32, normalised, and labels (n,).

        Args:
            indices: (n,) int64 on the device.
        """
        if self._images is None:
            images = self._gather(indices.cpu().numpy())
        else:
            images = self._images.index_select(0, indices)
        if images.dtype == torch.uint8:
            images = self._normalise(images)
        return images.permute(0, 3, 1, 2), self.labels(indices)

    def _load(self, *, as_float: bool) -> Tensor:
        dtype = torch.float32 if as_float else torch.uint8
        images = torch.empty((len(self), *self._split.shape), dtype=dtype, device=self._device)
        for indices in chunks(len(self)):
            chunk = self._gather(indices)
            images[indices[0] : indices[-1] + 1] = self._normalise(chunk) if as_float else chunk
        return images

    def _gather(self, indices: np.ndarray) -> Tensor:
        if len(self._buffer) < len(indices):
            self._buffer = np.empty((len(indices), *self._split.shape), np.uint8)
        gathered = self._split.gather(indices, out=self._buffer[: len(indices)])
        return torch.from_numpy(gathered).to(self._device)

    def _normalise(self, images: Tensor) -> Tensor:
        rows = images.to(torch.float32).flatten(2)  # (n, H, W·C)
        return rows.mul_(self._row_scale).add_(self._row_shift).view(images.shape)


def chunks(count: int) -> Iterator[np.ndarray]:
    """Yields the indices 0..count in parts that fit into memory as pictures."""
    for start in range(0, count, CHUNK_IMAGES):
        yield np.arange(start, min(start + CHUNK_IMAGES, count))


def check_labels(labels: np.ndarray, classes: int) -> None:
    if labels.ndim == 2:
        classes = 2  # each label by itself: 0 or 1
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise InvalidLabel(
            "training.label-out-of-range",
            "A picture has class {label}; the classes go from 0 to {last}.",
            do="Freeze the dataset again.",
            label=int(wrong[0]),
            last=classes - 1,
        )
