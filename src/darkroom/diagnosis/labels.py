"""Do labels fit the pictures' features? A logistic regression, asked only about pictures it has not seen.

Where a classifier is most certain, it disagrees with clean labels hardly ever, however hard the other
pictures are; with wrong labels it disagrees as often as labels are wrong, as whether a label is wrong has
nothing to do with how clear the picture is. So the rate among the surest third is the estimate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.records import Interval
from darkroom.statistics import ratio_interval

__all__ = ["SURE", "LabelEvidence", "disagreement", "out_of_fold", "pixel_features"]

FOLDS = 5
COMPONENTS = 64
STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Of the pull of the weights towards zero; the one with the least loss out of fold is taken."""

ROUNDS = 150
SURE = 1 / 3
"""Share of the pictures, the surest first, among which disagreement is counted."""

SIDE_PX = 14
"""Where there are no features, pictures are averaged down to about this side."""


class LabelEvidence(NamedTuple):
    """How labels agree with what features say out of fold."""

    pictures: int
    """Pictures, of train and val together."""
    accuracy: float
    """Share of labels that are answered out of fold."""
    among_sure: Interval
    """Share of labels that are not answered, among the surest third."""
    among_next: float
    """The same among the third after it."""
    among_few: float
    """The same among the surest tenth."""
    basis: str
    """What the features are, in words."""
    doubted: tuple[str, ...]
    """Ids of pictures whose label is the least probable, the first the least."""


def disagreement(
    features: np.ndarray,
    labels: np.ndarray,
    image_ids: Sequence[str],
    groups: Sequence[str | None],
    *,
    classes: int,
    basis: str,
) -> LabelEvidence:
    """Returns how labels agree with features.

    Args:
        features: (N, D).
        labels: (N,) int64.
        image_ids: of the N pictures.
        groups: pictures of one group are asked about together.
        classes: how many there are.
        basis: what the features are, in words.
    """
    probabilities = out_of_fold(features, labels, image_ids, groups, classes=classes)
    answers, sure = probabilities.argmax(1), probabilities.max(1)
    wrong = answers != labels
    order = np.argsort(-sure, kind="stable")
    third = max(1, round(SURE * len(labels)))
    surest, following = np.zeros(len(labels), bool), order[third : 2 * third]
    surest[order[:third]] = True
    few = order[: max(1, len(labels) // 10)]
    known = [group for group in groups if group]
    interval = ratio_interval(wrong & surest, surest, list(groups) if known else None)
    assert interval is not None  # there is at least one picture
    own = probabilities[np.arange(len(labels)), labels]
    doubted = [image_ids[int(place)] for place in np.argsort(own, kind="stable")[:50] if wrong[place]]
    return LabelEvidence(
        pictures=len(labels),
        accuracy=float(1 - wrong.mean()),
        among_sure=interval,
        among_next=float(wrong[following].mean()) if len(following) else 0.0,
        among_few=float(wrong[few].mean()),
        basis=basis,
        doubted=tuple(doubted),
    )


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    image_ids: Sequence[str],
    groups: Sequence[str | None],
    *,
    classes: int,
) -> np.ndarray:
    """Returns the probabilities (N, classes) of a logistic regression for pictures it was not fitted on.

    Which fold a picture lies in depends on its id, or that of its group, alone.
    """
    x = _reduced(np.asarray(features, np.float64))
    keys = [group or image_id for group, image_id in zip(groups, image_ids, strict=True)]
    folds = np.array([int(hashlib.sha256(str(key).encode()).hexdigest()[:8], 16) % FOLDS for key in keys])
    found = []
    for strength in STRENGTHS:
        probabilities = np.full((len(labels), classes), 1 / classes)
        for fold in np.unique(folds):
            inside = folds != fold
            if inside.any():
                weights = _fitted(x[inside], labels[inside], classes, strength)
                probabilities[~inside] = _softmax(_with_one(x[~inside]) @ weights)
        own = probabilities[np.arange(len(labels)), labels]
        found.append((float(-np.log(np.maximum(own, 1e-12)).mean()), probabilities))
    return min(found, key=lambda one: one[0])[1]


def pixel_features(pictures: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, C) uint8 averaged down and laid out flat, (N, D) float32."""
    count, height, width, channels = pictures.shape
    block = max(1, min(height, width) // SIDE_PX)
    rows, columns = height // block, width // block
    cut = pictures[:, : rows * block, : columns * block].astype(np.float32)
    small = cut.reshape(count, rows, block, columns, block, channels).mean((2, 4))
    return small.reshape(count, -1)


def _reduced(x: np.ndarray) -> np.ndarray:
    """Returns the features on their main axes, each of spread 1 but the faint ones; labels have no say."""
    x = x - x.mean(0)
    _, sizes, axes = np.linalg.svd(x, full_matrices=False)
    kept = min(COMPONENTS, len(sizes))
    reduced = x @ axes[:kept].T
    spread = sizes[:kept] / np.sqrt(len(x))
    return reduced / (spread + 0.1 * spread[0] + 1e-12)


def _fitted(x: np.ndarray, labels: np.ndarray, classes: int, strength: float) -> np.ndarray:
    """Returns weights (D + 1, classes) of a softmax regression with a pull towards zero.

    Source: gradient descent with Nesterov's momentum; Beck, Teboulle, A fast iterative
        shrinkage-thresholding algorithm, 2009. The step is one over the largest curvature: half the largest
        eigenvalue of XᵀX / n (Böhning, Multinomial logistic regression algorithm, 1992), plus the pull.
    """
    x, truth = _with_one(x), np.eye(classes)[labels]
    curvature = 0.5 * float(np.linalg.eigvalsh(x.T @ x / len(x))[-1]) + strength
    weights = ahead = np.zeros((x.shape[1], classes))
    momentum = 1.0
    for _ in range(ROUNDS):
        gradient = x.T @ (_softmax(x @ ahead) - truth) / len(x) + strength * ahead
        following = ahead - gradient / curvature
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / faster * (following - weights)
        weights, momentum = following, faster
    return weights


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)
