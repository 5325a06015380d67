"""Drawn pictures for golden vectors: together they touch every step of the contract."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from darkroom.images import MAX_SIDE_PX
from darkroom.records import Contract

__all__ = ["synthetic_images"]

_BLOCK_PX = 5
"""Side of the blocks of one colour: edges that a filter feels, and a PNG that stays small."""

_ORIENTATION = 0x0112


def synthetic_images(contract: Contract, count: int = 12, seed: int = 0) -> list[tuple[str, bytes]]:
    """Draws pictures, the same for the same arguments.

    Args:
        contract: sizes are chosen around its tensor's.
        count: how many; past the named cases come random sizes.
        seed: which colours and random sizes.

    Returns:
        Names, unique and fit for a file name, with PNG bytes.
    """
    random = np.random.default_rng(seed)
    w, h = contract.width_px, contract.height_px
    cases = list(_cases(w, h).items())[:count]
    drawn = [(name, _png(draw(random))) for name, draw in cases]
    for number in range(len(drawn), count):
        width = int(random.integers(1, 2 * w + 8))
        height = int(random.integers(1, 2 * h + 8))
        drawn.append((f"random-{number}", _png(_colours(random, width, height))))
    return drawn


def _cases(w: int, h: int) -> dict[str, Callable[[np.random.Generator], Image.Image]]:
    """Returns the named cases; the order is such that the first few already cover most."""
    odd = (w * 3 // 2 + 7, h * 5 // 4 + 3)
    long = min(3 * max(w, h) + 5, MAX_SIDE_PX)
    return {
        "odd-size": lambda random: _colours(random, *odd),
        "alpha": lambda random: _with_alpha(_colours(random, *odd)),
        "grey": lambda random: _colours(random, *odd).convert("L"),
        "orientation-6": lambda random: _turned(_colours(random, *odd), 6),
        "palette": lambda random: _colours(random, *odd).quantize(16, dither=Image.Dither.NONE),
        "one-row": lambda random: _colours(random, long, 1),
        "one-column": lambda random: _colours(random, 1, long),
        "upscale": lambda random: _colours(random, w // 3 + 1, h // 4 + 1),
        "tall": lambda random: _colours(random, w + 1, long),
        "grey-alpha": lambda random: _with_alpha(_colours(random, *odd).convert("L")),
        "orientation-5": lambda random: _turned(_colours(random, *odd), 5),
        "same-size": lambda random: _colours(random, w, h),
        "one-pixel": lambda random: _colours(random, 1, 1),
        "one-bit": lambda random: _colours(random, *odd).convert("1", dither=Image.Dither.NONE),
        "wide": lambda random: _colours(random, long, h + 1),
        "orientation-7": lambda random: _turned(_colours(random, *odd), 7),
    }


def _colours(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draws blocks of random colours under a slope of brightness."""
    blocks = random.integers(0, 256, (-(-height // _BLOCK_PX), -(-width // _BLOCK_PX), 3), dtype=np.uint8)
    pixels = blocks.repeat(_BLOCK_PX, axis=0).repeat(_BLOCK_PX, axis=1)[:height, :width]
    slope = np.arange(width) * 255 // width
    pixels[::7] = np.minimum(pixels[::7], _across(slope))
    return Image.fromarray(np.ascontiguousarray(pixels))


def _with_alpha(image: Image.Image) -> Image.Image:
    slope = (np.arange(image.height) * 255 // max(1, image.height - 1)).astype(np.uint8)
    image.putalpha(Image.fromarray(np.repeat(slope[:, None], image.width, axis=1)))
    return image


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    image.info["exif"] = exif.tobytes()
    return image


def _across(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return values.astype(np.uint8)[None, :, None]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", exif=image.info.get("exif", b""), pnginfo=PngImagePlugin.PngInfo())
    return buffer.getvalue()
