"""The contract once more, in plain integers only: the oracle that every implementation must equal.

It follows docs/contract.md line by line and shares no code with the path that runs; it is slow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from darkroom.records import Contract

__all__ = ["reference_contract", "reference_steps"]

Pixels = NDArray[np.uint8]


class _Geometry(NamedTuple):
    crop: tuple[int, int, int, int]  # left, top, width, height
    resized: tuple[int, int]  # width, height
    pad: tuple[int, int]  # left, top


def reference_contract(pixels: Pixels, contract: Contract, *, orientation: int = 1) -> Pixels:
    """Returns the tensor of decoded pixels, (height, width, channels) uint8.

    Args:
        pixels: (H, W, C) uint8, sRGB; C of 1, 3 or 4, alpha not premultiplied.
        contract: what is asked for.
        orientation: EXIF orientation still to be applied.
    """
    return reference_steps(pixels, contract, orientation=orientation)[-1][1]


def reference_steps(
    pixels: Pixels, contract: Contract, *, orientation: int = 1
) -> list[tuple[str, Pixels]]:
    """Returns the name and the pixels of each step, under the names that `apply_contract` gives them."""
    steps = [("decode", pixels)]

    def then(name: str, result: Pixels) -> Pixels:
        steps.append((name, result.astype(np.uint8)))
        return steps[-1][1]

    now = then("orient", _orient(pixels, orientation))
    now = then("alpha", _flatten(now, contract.alpha_colour))
    now = then("colour", _grey(now) if contract.colour == "grey" else _rgb(now))
    geometry = _geometry(now.shape[1], now.shape[0], contract)
    left, top, width, height = geometry.crop
    now = then("crop", now[top : top + height, left : left + width])
    now = then("resize_horizontal", _pass(now, geometry.resized[0]))
    now = then("resize_vertical", _pass(now.swapaxes(0, 1), geometry.resized[1]).swapaxes(0, 1))
    now = then("pad", _pad(now, geometry, contract))
    for name in contract.enhance:
        now = then(f"enhance_{name}", _ENHANCE[name](now))
    return steps


def axis_coefficients(n_in: int, n_out: int) -> list[tuple[int, list[int]]]:
    """Returns for each output pixel the first input pixel and the coefficients, in units of 2⁻²².

    Source: Pillow's antialiased bilinear filter; docs/contract.md derives the integers.
    """
    larger = max(n_in, n_out)
    rows = []
    for i in range(n_out):
        c = (2 * i + 1) * n_in
        lo = max(0, (c - 2 * larger + n_out) // (2 * n_out))
        hi = min(n_in, (c + 2 * larger + n_out) // (2 * n_out))
        w = [max(0, 2 * larger - abs((2 * x + 1) * n_out - c)) for x in range(lo, hi)]
        total = sum(w)
        rows.append((lo, [(w_x * 2**23 + total) // (2 * total) for w_x in w]))
    return rows


def _pass(pixels: Pixels, n_out: int) -> Pixels:
    """Resizes the second axis."""
    n_in = pixels.shape[1]
    if n_in == n_out:
        return pixels
    wide = pixels.astype(np.int64)
    columns = []
    for lo, k in axis_coefficients(n_in, n_out):
        p = wide[:, lo : lo + len(k)]  # (rows, taps, channels)
        total = (p * np.array(k, np.int64)[None, :, None]).sum(axis=1)
        columns.append(np.clip((total + 2**21) >> 22, 0, 255))
    return np.stack(columns, axis=1).astype(np.uint8)


def _orient(pixels: Pixels, orientation: int) -> Pixels:
    height, width = pixels.shape[:2]
    y, x = np.indices((width, height) if orientation >= 5 else (height, width))
    rows, columns = {
        1: (y, x),
        2: (y, width - 1 - x),
        3: (height - 1 - y, width - 1 - x),
        4: (height - 1 - y, x),
        5: (x, y),
        6: (height - 1 - x, y),
        7: (height - 1 - x, width - 1 - y),
        8: (x, width - 1 - y),
    }[orientation]
    return pixels[rows, columns]


def _flatten(pixels: Pixels, colour: tuple[int, int, int]) -> Pixels:
    if pixels.shape[2] != 4:
        return pixels
    p, a = pixels[:, :, :3].astype(np.int64), pixels[:, :, 3:].astype(np.int64)
    return ((2 * (p * a + np.array(colour) * (255 - a)) + 255) // 510).astype(np.uint8)


def _grey(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 1:
        return pixels
    red, green, blue = (pixels[:, :, channel].astype(np.int64) for channel in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)[:, :, None].astype(np.uint8)


def _rgb(pixels: Pixels) -> Pixels:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _geometry(wide: int, high: int, contract: Contract) -> _Geometry:
    w, h = contract.width_px, contract.height_px
    too_wide = wide * h > high * w
    kept_w, kept_h, out_w, out_h = wide, high, w, h
    if contract.resize == "crop" and too_wide:
        kept_w = (2 * high * w + h) // (2 * h)
    elif contract.resize == "crop":
        kept_h = (2 * wide * h + w) // (2 * w)
    elif contract.resize == "fill" and too_wide:
        out_h = (2 * high * w + wide) // (2 * wide)
    elif contract.resize == "fill":
        out_w = (2 * wide * h + high) // (2 * high)
    elif contract.resize == "half_crop":
        s = wide * h + high * w
        if too_wide:
            kept_w, out_h = (s + h) // (2 * h), (4 * w * h * high + s) // (2 * s)
        else:
            kept_h, out_w = (s + w) // (2 * w), (4 * w * h * wide + s) // (2 * s)
    kept_w, kept_h, out_w, out_h = (max(1, n) for n in (kept_w, kept_h, out_w, out_h))
    crop = ((wide - kept_w) // 2, (high - kept_h) // 2, kept_w, kept_h)
    return _Geometry(crop, (out_w, out_h), ((w - out_w) // 2, (h - out_h) // 2))


def _pad(pixels: Pixels, geometry: _Geometry, contract: Contract) -> Pixels:
    colour = np.array(contract.pad_colour, np.uint8)[None, None]
    tensor = np.tile(_grey(colour) if contract.colour == "grey" else colour, (*contract.shape[:2], 1))
    left, top = geometry.pad
    tensor[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return tensor


def _autocontrast(pixels: Pixels) -> Pixels:
    p = pixels.astype(np.int64)
    low, high = p.min(axis=(0, 1), keepdims=True), p.max(axis=(0, 1), keepdims=True)
    span = np.maximum(high - low, 1)
    return np.where(high == low, p, ((p - low) * 510 + span) // (2 * span)).astype(np.uint8)


def _median3(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    y, x = np.indices((height, width))
    nine = [
        pixels[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    return np.sort(np.stack(nine), axis=0)[4]


def _dark_background(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    rim = [
        int(value)
        for y in range(height)
        for x in range(width)
        if y in (0, height - 1) or x in (0, width - 1)
        for value in pixels[y, x]
    ]
    return 255 - pixels if 2 * sum(rim) > 255 * len(rim) else pixels


_ENHANCE = {
    "invert": lambda pixels: 255 - pixels,
    "autocontrast": _autocontrast,
    "median3": _median3,
    "dark_background": _dark_background,
}
