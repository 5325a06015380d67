"""Other ways to resize than the contract's, as libraries do it; to recognise them, never to use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.images import Decoded
from darkroom.records import Contract

__all__ = ["COORDINATES", "FILTERS", "Resize", "by_float", "by_points", "filtered", "sizes_between"]

Pixels: TypeAlias = NDArray[np.uint8]
Resize: TypeAlias = "Callable[[Pixels, int, int], Pixels]"
"""Pixels (H, W, C), width and height to the resized pixels."""

USUAL_SIDES_PX = (256, 299, 300, 320, 384, 400, 480, 512, 600, 640, 768, 800, 1024)
"""Sides to which apps and libraries bring pictures before the network's own size."""


def filtered(
    pixels: Pixels, width: int, height: int, by: Image.Resampling = Image.Resampling.BILINEAR
) -> Pixels:
    """Returns pixels resized by Pillow: horizontal first, rounded to 8 bits between the passes."""
    image = Decoded.from_pixels(pixels).image
    if image.width != width:
        image = image.resize((width, image.height), by)
    if image.height != height:
        image = image.resize((width, height), by)
    array = np.asarray(image, np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


def in_one_call(pixels: Pixels, width: int, height: int, by: Image.Resampling) -> Pixels:
    """Returns pixels resized as most code calls Pillow, which then chooses the order of the passes."""
    array = np.asarray(Decoded.from_pixels(pixels).image.resize((width, height), by), np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


_BY_PILLOW = (
    ("nearest", "by the nearest pixel", Image.Resampling.NEAREST),
    ("box", "by area (box filter)", Image.Resampling.BOX),
    ("bicubic", "bicubic, antialiased", Image.Resampling.BICUBIC),
    ("lanczos", "by Lanczos", Image.Resampling.LANCZOS),
    ("hamming", "by a Hamming window", Image.Resampling.HAMMING),
)

FILTERS: dict[str, tuple[str, Resize]] = {
    **{
        name: (words, lambda pixels, width, height, by=by: in_one_call(pixels, width, height, by))
        for name, words, by in _BY_PILLOW
    },
    **{
        f"{name}-rows-first": (
            words,
            lambda pixels, width, height, by=by: filtered(pixels, width, height, by),
        )
        for name, words, by in _BY_PILLOW[1:]
    },
}
"""Other filters: name, words, resize."""

COORDINATES: dict[str, tuple[str, str]] = {
    "half": ("middles of pixels aligned", "half"),
    "corners": ("corners aligned", "corners"),
    "asymmetric": ("top left corners aligned", "asymmetric"),
}
"""How an output pixel finds its place, as ONNX's Resize names it."""


def by_float() -> Iterator[tuple[str, str, Resize]]:
    """Yields resizes with the contract's filter in floating point: name, words, resize."""
    yield "32", "in 32 bits from the first pass to the last", lambda p, w, h: _float(p, w, h, between=None)
    yield (
        "even",
        "the coefficients are not those in 2⁻²², halves are rounded to even",
        lambda p, w, h: _float(p, w, h, between=np.rint, last=np.rint),
    )
    yield (
        "up",
        "the coefficients are not those in 2⁻²²",
        lambda p, w, h: _float(p, w, h, between=_half_up),
    )
    yield "cut", "the result is cut off, not rounded", lambda p, w, h: _float(p, w, h, None, np.floor)
    yield (
        "cut-between",
        "both results are cut off, not rounded",
        lambda p, w, h: _float(p, w, h, np.floor, np.floor),
    )


def by_points(pixels: Pixels, width: int, height: int, place: str) -> Pixels:
    """Returns pixels resized by mixing four neighbours, without antialiasing.

    Source: ONNX, operator Resize, coordinate_transformation_mode.
    """
    across = _neighbours(pixels.astype(np.float32), width, place, axis=1)
    return _half_up(_neighbours(across, height, place, axis=0)).clip(0, 255).astype(np.uint8)


def sizes_between(contract: Contract, size: tuple[int, int]) -> Iterator[tuple[str, int, int, str]]:
    """Yields sizes through which a picture may have gone: name, width, height, words.

    A name means the same for pictures of any size.

    Args:
        contract: with the tensor's size.
        size: height and width of the picture.
    """
    high, wide = contract.height_px, contract.width_px
    yield "8/7", wide * 8 // 7, high * 8 // 7, "8/7 of the tensor's size"
    for factor in (2, 4):
        yield f"{factor}x", wide * factor, high * factor, f"{factor} times the tensor's size"
    for side in USUAL_SIDES_PX:
        yield f"{side}", side, side, f"{side}×{side} px"
    for side in USUAL_SIDES_PX:
        for end, name in ((min(size), "shorter"), (max(size), "longer")):
            width, height = round(size[1] * side / end), round(size[0] * side / end)
            if min(width, height) >= 1 and max(width, height) <= 4 * max(size):
                yield f"{name}-{side}", width, height, f"{side} px on its {name} side"
    for factor in (2, 3, 4, 8):
        if min(size) >= factor:
            yield f"1/{factor}", size[1] // factor, size[0] // factor, f"1/{factor} of its size"


def _float(
    pixels: Pixels,
    width: int,
    height: int,
    between: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None,
    last: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> Pixels:
    rows = _weighed(pixels.astype(np.float32), width, axis=1)
    if between is not None:
        rows = between(rows).clip(0, 255)
    columns = _weighed(rows, height, axis=0)
    return (last or _half_up)(columns).clip(0, 255).astype(np.uint8)


def _weighed(values: NDArray[np.float32], n_out: int, axis: int) -> NDArray[np.float32]:
    """Resizes one axis with the antialiased triangle in float32."""
    n_in = values.shape[axis]
    if n_in == n_out:
        return values
    scale = n_in / n_out
    reach = max(scale, 1.0)
    middles = (np.arange(n_out) + 0.5) * scale
    places = np.arange(n_in) + 0.5
    weights = np.maximum(0.0, 1 - np.abs(places[None] - middles[:, None]) / reach)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)


def _neighbours(values: NDArray[np.float32], n_out: int, place: str, axis: int) -> NDArray[np.float32]:
    n_in = values.shape[axis]
    index = np.arange(n_out, dtype=np.float64)
    where = {
        "half": (index + 0.5) * n_in / n_out - 0.5,
        "corners": index * (n_in - 1) / max(1, n_out - 1),
        "asymmetric": index * n_in / n_out,
    }[place].clip(0, n_in - 1)
    low = np.floor(where).astype(int)
    share = (where - low).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = n_out
    share = share.reshape(shape)
    high = np.minimum(low + 1, n_in - 1)
    return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share


def _half_up(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.floor(values + np.float32(0.5))
