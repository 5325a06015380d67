"""Training pictures as augmentation changes them, brought back to the contract's tensors."""

from __future__ import annotations

import numpy as np
import torch

from darkroom.networks.image_model import scale_and_shift
from darkroom.records import Normalisation
from darkroom.training.augment import Augmenter
from darkroom.training.recipe import Augment

__all__ = ["changed_copies"]


def changed_copies(images: np.ndarray, augment: Augment, *, seed: int) -> np.ndarray:
    """Returns one randomly changed copy of each picture, (n, H, W, C) uint8.

    Args:
        images: (n, H, W, C) uint8.
        augment: which changes.
        seed: what decides the draws.
    """
    channels = images.shape[3]
    mean = images.mean((0, 1, 2), dtype=np.float64) / 255
    normalisation = Normalisation(mean=tuple(mean.tolist()), std=(1.0,) * channels)
    generator = torch.Generator().manual_seed(seed)
    shape = (images.shape[1], images.shape[2], channels)
    augmenter = Augmenter(augment, shape, normalisation, torch.device("cpu"))
    scale, shift = (row[:, None, None] for row in scale_and_shift(normalisation))
    values = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) * scale + shift
    changed = augmenter.apply(values, augmenter.draw(len(images), generator), generator)
    pixels = ((changed - shift) / scale).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
