"""Draw masks over pictures, each class in a colour of its own."""

from __future__ import annotations

import colorsys

import numpy as np

__all__ = ["class_colours", "overlay"]

OPACITY = 0.5

FIRST = ((230, 75, 60), (60, 130, 230), (70, 190, 90), (245, 190, 40), (165, 90, 210), (60, 200, 210))
"""Colours of the first classes after the background: far apart also for eyes that mix red and green."""

NOT_SAID = (128, 128, 128)
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
