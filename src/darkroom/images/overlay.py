"""Draw masks over pictures, each class in a colour of its own."""

from __future__ import annotations

import colorsys

import numpy as np

__all__ = ["class_colours", "difference", "overlay"]

OPACITY = 0.5

FIRST = (
    (213, 94, 0),  # vermillion
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (0, 114, 178),  # blue
    (230, 159, 0),  # orange
)
"""Colours of the first classes after the background: far apart also for eyes that mix red and green.
Source: Okabe and Ito, Color universal design, 2008."""

NOT_SAID = (128, 128, 128)

APART = (255, 225, 60)
"""Pixels that were answered otherwise, on a dark picture: told by their brightness alone."""

DARKENED = 0.35
TURN = 0.618033988749895
"""Of the colour circle between two further classes: the golden ratio keeps any number of them apart."""


def class_colours(count: int) -> np.ndarray:
    """Returns a colour for each class (256, 3) uint8 RGB; class 0 is black, and 255 ("not said") grey."""
    colours = np.zeros((256, 3), np.uint8)
    for index in range(1, min(count, 255)):
        if index <= len(FIRST):
            colours[index] = FIRST[index - 1]
        else:
            hue = (index * TURN) % 1
            value = (0.95, 0.7)[index // 2 % 2]
            colours[index] = [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, value)]
    colours[255] = NOT_SAID
    return colours


def overlay(pictures: np.ndarray, masks: np.ndarray, *, opacity: float = OPACITY) -> np.ndarray:
    """Returns pictures with masks drawn over them.

    Class 0 stays as it is: it is the background wherever there is one.

    Args:
        pictures: (..., H, W, C) uint8, grey or RGB.
        masks: (..., H, W) uint8 of class indices; 255 ("not said") is drawn in grey.
        opacity: of the colours, 0..1.

    Returns:
        (..., H, W, 3) uint8.
    """
    colours = class_colours(255)
    alpha = np.full(256, opacity, np.float32)
    alpha[0] = 0.0
    share = alpha[masks][..., None]
    shown = pictures * (1 - share) + colours[masks] * share
    return np.rint(shown).astype(np.uint8)


def difference(pictures: np.ndarray, masks: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns dark grey pictures on which bright pixels are answered otherwise than the mask says.

    Args:
        pictures: (..., H, W, C) uint8, grey or RGB.
        masks: (..., H, W) uint8, what is right; 255 ("not said") is drawn in grey.
        answers: (..., H, W) uint8, what was answered.

    Returns:
        (..., H, W, 3) uint8.
    """
    dark = np.rint(pictures.mean(axis=-1, keepdims=True) * DARKENED).astype(np.uint8)
    shown = np.repeat(dark, 3, axis=-1)
    shown[(masks != answers) & (masks != 255)] = APART
    shown[masks == 255] = NOT_SAID
    return shown
