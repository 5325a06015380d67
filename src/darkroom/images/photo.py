"""The photo as a person sees it: upright, without transparency, in RGB, at its own size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkroom.images.colour import flatten, in_colour
from darkroom.images.decode import Decoded, pixels_of
from darkroom.images.orientation import upright

__all__ = ["upright_photo"]

WHITE = (255, 255, 255)


def upright_photo(decoded: Decoded) -> NDArray[np.uint8]:
    """Returns the pixels of the upright photo, (H, W, 3) uint8; what is transparent becomes white."""
    image = upright(decoded.image, decoded.orientation)
    return pixels_of(in_colour(flatten(image, WHITE), "rgb"))
