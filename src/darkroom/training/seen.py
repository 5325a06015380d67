"""What the network really saw: the first pictures of an epoch, after augmentation, as one picture file."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from darkroom import atomic
from darkroom.networks.image_model import scale_and_shift
from darkroom.records import Normalisation

__all__ = [
    "LOSSLESS_PX",
    "MOST_SEEN",
    "WIDEST",
    "as_pictures",
    "encoded",
    "keep_seen",
    "list_seen",
    "row_of",
]

WIDEST = 8
"""Pictures of a batch that are kept."""

MOST_SEEN = 8
"""Files that a run keeps; of more, every second of the older ones goes."""

LOSSLESS_PX = 64
"""Larger pictures are kept as JPEG."""

NAME = re.compile(r"seen-(\d+)\.(?:png|jpg)")


def as_pictures(values: Tensor, normalisation: Normalisation, mean_image: Tensor | None) -> np.ndarray:
    """Returns normalised pictures (n, C, h, w) as (n, h, w, C) uint8, as a person would see them.

    A value that is no number is shown black.
    """
    scale, shift = scale_and_shift(normalisation, mean_image)
    pictures = values.detach().float().cpu().permute(0, 2, 3, 1)
    if shift.ndim == 3 and shift.shape != pictures.shape[1:]:
        shift = shift.mean((0, 1))  # a crop of a picture from which a mean picture was subtracted
    shown = torch.nan_to_num((pictures - shift) / scale, nan=0.0, posinf=255.0, neginf=0.0)
    return shown.round().clamp(0, 255).to(torch.uint8).numpy()


def row_of(pictures: np.ndarray) -> np.ndarray:
    """Returns pictures (n, h, w, C) side by side, (h, n·(w + 1), C), a grey line between them."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=128)
    count, height, width, channels = padded.shape
    return padded.transpose(1, 0, 2, 3).reshape(height, count * width, channels)


def encoded(picture: np.ndarray, *, lossless: bool = True) -> bytes:
    """Returns a picture (H, W, C) uint8 as PNG, or as JPEG."""
    file = io.BytesIO()
    image = PillowImage.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    if lossless:
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "JPEG", quality=88)
    return file.getvalue()


def keep_seen(folder: Path, epoch: int, pictures: np.ndarray) -> None:
    """Writes pictures (n, h, w, C) uint8 that an epoch began with into a folder, and thins the others."""
    lossless = max(pictures.shape[1:3]) <= LOSSLESS_PX
    name = f"seen-{epoch:05d}.{'png' if lossless else 'jpg'}"
    atomic.write_bytes(folder / name, encoded(row_of(pictures), lossless=lossless))
    kept = list_seen(folder)
    if len(kept) > MOST_SEEN:
        for _, path in kept[1:-1:2]:
            path.unlink(missing_ok=True)


def list_seen(folder: Path) -> list[tuple[int, Path]]:
    """Returns epoch and file of what is kept, the first epoch first."""
    found = [(match[1], path) for path in folder.glob("seen-*") if (match := NAME.fullmatch(path.name))]
    return sorted((int(epoch), path) for epoch, path in found)
