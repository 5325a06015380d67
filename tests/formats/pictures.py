"""Small real pictures and folders of them, for the tests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def png(seed: int = 0, width_px: int = 5, height_px: int = 4) -> bytes:
    """Returns a PNG of random pixels; another seed gives another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def mask_png(indices: np.ndarray, mode: str = "L") -> bytes:
    """Returns a mask (H, W) as PNG, grey or with a palette."""
    image = Image.fromarray(indices.astype(np.uint8))
    if mode == "P":
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def put(folder: Path, *paths: str) -> Path:
    """Writes a different picture at each path."""
    for seed, path in enumerate(paths):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(png(seed))
    return folder
