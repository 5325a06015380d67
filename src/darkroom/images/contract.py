"""Run the preprocessing contract: from a decoded picture to the tensor, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.errors import Unsupported
from darkroom.images.colour import flatten, grey_of, in_colour
from darkroom.images.decode import Decoded, decode, pixels_of
from darkroom.images.enhance import ENHANCEMENTS
from darkroom.images.opening import MAX_PIXELS
from darkroom.images.orientation import upright
from darkroom.images.transform import Transform, transform_of
from darkroom.records import CONTRACT_VERSION, Contract, Enhancement

__all__ = ["Held", "Prepared", "Step", "apply_contract", "contract_steps", "prepare"]

Held: TypeAlias = Image.Image | NDArray[np.uint8]
"""A picture between two steps: the first ones work on Pillow's, the last ones on arrays (H, W, C)."""


class Step(NamedTuple):
    """What one step left behind."""

    name: str
    """"decode", "orient", "alpha", "colour", "crop", "resize_horizontal", "resize_vertical", "pad", and
    "enhance_" with the name of each enhancement; a step that had nothing to do stands there as well."""
    pixels: NDArray[np.uint8]
    """(H, W, C) uint8."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the network takes it, and the way back."""

    tensor: NDArray[np.uint8]
    """(height, width, channels) uint8."""
    transform: Transform
    """From the tensor to the upright photo and back."""
    steps: tuple[Step, ...] = ()
    """Each step's pixels, where they were asked for; the last is the tensor."""


def prepare(data: bytes, contract: Contract, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decodes a picture and brings it to the tensor, (height, width, channels) uint8.

    Args:
        data: the encoded bytes.
        contract: what is asked for.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        InvalidImage: the bytes are no picture, are broken or cut short, or hold too many pixels.
        Unsupported: a picture of a kind that is known and not read here, or a newer contract.
    """
    return apply_contract(decode(data, max_pixels=max_pixels), contract).tensor


def apply_contract(decoded: Decoded, contract: Contract, *, trace: bool = False) -> Prepared:
    """Brings a decoded picture to the tensor.

    Args:
        decoded: the picture.
        contract: what is asked for.
        trace: keep what each step left behind.

    Raises:
        Unsupported: the contract is of a version that this Darkroom does not know.
    """
    if contract.version != CONTRACT_VERSION:
        raise Unsupported(
            "contract.version",
            "The contract is of version {version}; this Darkroom computes version {known}.",
            do="Update Darkroom: pip install --upgrade darkroom",
            version=contract.version,
            known=CONTRACT_VERSION,
        )
    width_px, height_px = decoded.image.size
    if decoded.orientation in {5, 6, 7, 8}:
        width_px, height_px = height_px, width_px
    transform = transform_of(width_px, height_px, contract, orientation=decoded.orientation)
    held: Held = decoded.image
    kept = [Step("decode", _pixels(held))] if trace else []
    for name, step in contract_steps(contract, transform, decoded.orientation):
        held = step(held)
        if trace:
            kept.append(Step(name, _pixels(held)))
    return Prepared(_pixels(held), transform, tuple(kept))


def contract_steps(
    contract: Contract, transform: Transform, orientation: int = 1
) -> tuple[tuple[str, Callable[[Held], Held]], ...]:
    """Returns the steps after decoding, each with its name, in the contract's order.

    Args:
        contract: what is asked for.
        transform: its geometry for the photo.
        orientation: EXIF orientation that is still to be applied.
    """
    wide, high = transform.resized_width_px, transform.resized_height_px
    return (
        ("orient", lambda held: upright(_image(held), orientation)),
        ("alpha", lambda held: flatten(_image(held), contract.alpha_colour)),
        ("colour", lambda held: in_colour(_image(held), contract.colour)),
        ("crop", lambda held: _crop(_image(held), transform.crop_box)),
        # One axis a call: the order of the passes inside one call is Pillow's own choice, and it changed.
        ("resize_horizontal", lambda held: _resize(_image(held), width_px=wide)),
        ("resize_vertical", lambda held: _resize(_image(held), height_px=high)),
        ("pad", lambda held: _pad(_pixels(held), contract, transform)),
        *((f"enhance_{name}", _enhancement(name)) for name in contract.enhance),
    )


def _enhancement(name: Enhancement) -> Callable[[Held], Held]:
    return lambda held: ENHANCEMENTS[name](_pixels(held))


def _crop(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    # Not resize(box=…): its filter would reach over the edge of the box.
    return image if box == (0, 0, *image.size) else image.crop(box)


def _resize(image: Image.Image, *, width_px: int = 0, height_px: int = 0) -> Image.Image:
    size = (width_px or image.width, height_px or image.height)
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _pad(pixels: NDArray[np.uint8], contract: Contract, transform: Transform) -> NDArray[np.uint8]:
    if pixels.shape == contract.shape:
        return pixels
    grey = contract.colour == "grey"
    tensor = np.empty(contract.shape, np.uint8)
    tensor[:] = grey_of(contract.pad_colour) if grey else contract.pad_colour
    left, top, right, bottom = transform.tensor_box
    tensor[top:bottom, left:right] = pixels
    return tensor


def _pixels(held: Held) -> NDArray[np.uint8]:
    return pixels_of(held) if isinstance(held, Image.Image) else held


def _image(held: Held) -> Image.Image:
    return held if isinstance(held, Image.Image) else Decoded.from_pixels(held).image
