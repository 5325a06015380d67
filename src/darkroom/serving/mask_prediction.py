"""What a model for masks answers to one picture, laid on the photo."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.domain import DomainAnswer
from darkroom.errors import Invalid
from darkroom.images import Decoded, Transform, overlay
from darkroom.images.photo import upright_photo
from darkroom.tasks.overlap import IGNORE
from darkroom.tasks.segmentation import answers_of

__all__ = ["MaskPrediction", "mask_on_photo", "png_of", "shares_of"]


@dataclass(frozen=True)
class MaskPrediction:
    """The mask of one picture, at the size of the upright photo."""

    mask: NDArray[np.uint8]
    """(H, W) uint8: the class of each pixel; 255 where there is no answer, as the contract cut it off."""
    photo: NDArray[np.uint8]
    """(H, W, 3) uint8: the upright photo."""
    labels: tuple[str, ...]
    """Names of the classes, by their numbers in the mask."""
    file: str
    """Name of the model file that answered."""
    runtime: str
    """Library that ran it, with its version."""
    domain: DomainAnswer | None = None
    """Whether the picture looks like the training pictures; None where the model came without a sketch."""

    @property
    def shares(self) -> dict[str, float]:
        """Share of the answered pixels per class."""
        return shares_of(self.mask, self.labels)

    @property
    def overlay(self) -> NDArray[np.uint8]:
        """The photo with the mask as a transparent layer, (H, W, 3) uint8."""
        return overlay(self.photo, self.mask)


def mask_on_photo(
    probabilities: NDArray[np.floating], transform: Transform, decoded: Decoded, labels: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lays an answer on the photo: each pixel takes the answer of the tensor's pixel that it lies in.

    Args:
        probabilities: (h, w, C) of the tensor.
        transform: what the contract did with the photo.
        decoded: the photo.
        labels: names of the C classes.

    Returns:
        The mask (H, W) uint8, 255 where the contract cut the photo off; and the upright photo (H, W, 3).

    Raises:
        Invalid: the answer does not fit tensor and labels, or holds what is no number.
    """
    expected = (transform.tensor_height_px, transform.tensor_width_px, len(labels))
    if probabilities.shape != expected:
        raise Invalid(
            "mask.shape",
            "Expected probabilities of {expected} (height, width, classes). Received: {shape}.",
            expected=expected,
            shape=probabilities.shape,
        )
    if not np.isfinite(probabilities).all():
        raise Invalid(
            "mask.not-a-number",
            "The model answered with NaN or infinite probabilities.",
            do="Convert the run again, or train it again: darkroom export verify says which.",
        )
    mask = transform.mask_to_original(answers_of(probabilities), outside=IGNORE)
    return mask.astype(np.uint8, copy=False), upright_photo(decoded)


def shares_of(mask: NDArray[np.uint8], labels: Sequence[str]) -> dict[str, float]:
    """Returns the share of each class among the answered pixels of a mask."""
    counts = np.bincount(mask.ravel(), minlength=256)[: len(labels)]
    return dict(zip(labels, (counts / max(1, counts.sum())).tolist(), strict=True))


def png_of(pixels: NDArray[np.uint8], facts: Mapping[str, str] | None = None) -> bytes:
    """Returns (H, W) or (H, W, 3) uint8 as PNG.

    Args:
        pixels: the pixels.
        facts: what the file says about itself, as its text chunks.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    for name, text in (facts or {}).items():
        said.add_itxt(name, text)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=3, pnginfo=said)
    return file.getvalue()
