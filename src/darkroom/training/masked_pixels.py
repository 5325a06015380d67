"""Pictures with their masks where the training can reach them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from darkroom.errors import InvalidLabel
from darkroom.records import Normalisation
from darkroom.tasks.overlap import IGNORE
from darkroom.training.pixels import MOST_BYTES_IN_MEMORY, Pixels, RenderedSplit, chunks

__all__ = ["MaskedPixels", "pixel_counts"]


class MaskedPixels(Pixels):
    """One split as a network for masks takes it; its labels are masks.

    Args:
        split: the pictures.
        normalisation: how they are normalised.
        device: where batches are wanted.
        classes: how many classes there are.
        mean_image: (H, W, C) when a mean picture is subtracted.
        most_bytes: memory that masks may fill, and once more that pictures may; see `Pixels`.

    Raises:
        InvalidLabel: a mask holds what is no class.
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
        super().__init__(
            split, normalisation, device, classes, mean_image=mean_image, most_bytes=most_bytes
        )
        self._masks: Tensor | None = None
        size = (len(split), *split.shape[:2])
        if np.prod(size, dtype=np.int64) <= most_bytes:
            self._masks = torch.empty(size, dtype=torch.uint8, device=device)
        for indices in chunks(len(split)):
            part = split.gather_masks(indices)
            _check(part, classes)
            if self._masks is not None:
                self._masks[indices[0] : indices[-1] + 1] = torch.from_numpy(part).to(device)

    def labels(self, indices: Tensor) -> Tensor:
        """Returns masks (n, H, W) uint8, 255 where nothing is said, for indices (n,) on the device."""
        if self._masks is not None:
            return self._masks.index_select(0, indices)
        return torch.from_numpy(self._split.gather_masks(indices.cpu().numpy())).to(self._device)


def pixel_counts(split: RenderedSplit, classes: int) -> np.ndarray:
    """Returns how many pixels of a split show each class, (C,) int64."""
    counts = np.zeros(256, np.int64)
    for indices in chunks(len(split)):
        counts += np.bincount(split.gather_masks(indices).ravel(), minlength=256)
    return counts[:classes]


def _check(masks: np.ndarray, classes: int) -> None:
    wrong = masks[(masks >= classes) & (masks != IGNORE)]
    if wrong.size:
        raise InvalidLabel(
            "training.mask-out-of-range",
            "A mask holds {value}; the classes go from 0 to {last}, and {ignore} is not said.",
            do="Freeze the dataset again.",
            value=int(wrong[0]),
            last=classes - 1,
            ignore=IGNORE,
        )
