"""Confusion of pixels, and what follows from it: IoU of each class, their mean, pixel accuracy."""

from __future__ import annotations

import numpy as np

__all__ = ["IGNORE", "confusion_of", "iou_of", "mean_iou", "pixel_accuracy"]

IGNORE = 255
"""In a mask: nothing is said about this pixel, so nothing is learnt from it or measured there."""


def confusion_of(masks: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each class was answered where each is right, (N, C, C) int64, one per picture.

    Args:
        masks: (N, H, W) uint8, what is right; `IGNORE` counts for nothing.
        answers: (N, H, W) of class indices.
        classes: how many classes there are.
    """
    counts = np.empty((len(masks), classes, classes), np.int64)
    for place, (mask, answer) in enumerate(zip(masks, answers, strict=True)):
        known = mask != IGNORE
        pairs = mask[known].astype(np.int64) * classes + answer[known]
        counts[place] = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return counts


def iou_of(confusion: np.ndarray) -> np.ndarray:
    """Returns the IoU of each class, (…, C) float64; NaN for a class that is neither right nor answered.

    IoU = right and answered / right or answered. Source: the Jaccard index, as in Everingham et al., The
    Pascal visual object classes challenge, 2010, section 4.1.3.

    Args:
        confusion: (…, C, C) pixels; row: the class that is right; column: the class that was answered.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    either = confusion.sum(-1) + confusion.sum(-2) - hits
    return np.divide(hits, either, out=np.full(hits.shape, np.nan), where=either > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Returns the mean IoU of the classes that are right somewhere; 0 where no pixel is known.

    A class without pixels has no IoU that could be compared: it is left out, whatever was answered.
    """
    shown = confusion.sum(-1) > 0
    return float(iou_of(confusion)[shown].mean()) if shown.any() else 0.0


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Returns the share of known pixels that were answered rightly; 0 where none is known."""
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else 0.0
