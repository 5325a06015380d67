"""Multinomial logistic regression on features, and what it says of each picture without having seen it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.features.reduction import blocks, room_for

__all__ = ["STRENGTHS", "OutOfFold", "fit", "folds_of", "out_of_fold", "probabilities_of"]

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Weights of the penalty that are tried; the one with the least log loss on held-out pictures is taken."""

ROUNDS = 60
"""Steps of L-BFGS at most."""

MEMORY = 8
SETTLED = 1e-4
"""A loss that sinks by less than this share in a step has settled."""


class OutOfFold(NamedTuple):
    """What was said of each picture by a fit that had not seen it."""

    probabilities: np.ndarray
    """(N, C) float32."""
    folds: np.ndarray
    """(N,) int, the fold in which each picture was held out."""
    strength: float
    """Of the penalty."""


def folds_of(
    labels: np.ndarray, groups: Sequence[str | None] | None, folds: int, *, seed: int = 0
) -> np.ndarray:
    """Returns a fold (N,) for each picture: classes in equal parts, pictures of one group together.

    Args:
        labels: (N,) int.
        groups: a name per picture, or none.
        folds: how many.
        seed: another seed shares them out otherwise.
    """
    members = _units(len(labels), groups)
    order = np.random.default_rng(seed).permutation(len(members))
    found, have = np.zeros(len(labels), np.int64), np.zeros((int(labels.max()) + 1, folds), np.int64)
    totals = np.zeros(folds, np.int64)
    for number in order.tolist():
        unit = members[number]
        own = have[labels[unit[0]]]
        fold = int(np.lexsort((totals, own))[0])  # where its class, then where anything lacks most
        found[unit] = fold
        own[fold] += len(unit)
        totals[fold] += len(unit)
    return found


def _units(count: int, groups: Sequence[str | None] | None) -> list[list[int]]:
    """Returns the places of pictures that lie in one group; one without a group stands alone."""
    found: dict[str, list[int]] = {}
    for place in range(count):
        group = groups[place] if groups is not None else None
        found.setdefault(f"g{group}" if group else f"i{place}", []).append(place)
    return list(found.values())


def out_of_fold(
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    groups: Sequence[str | None] | None,
    scratch: Path,
    *,
    folds: int = 5,
    seed: int = 0,
    on_done: Callable[[int, int], None] | None = None,
) -> OutOfFold:
    """Fits once without each fold, and lets the fit speak of that fold.

    Args:
        rows: (N, D) float32, as `reduction.reduced` makes them.
        labels: (N,) int, 0 … C − 1.
        classes: C.
        groups: pictures of one group lie in one fold.
        scratch: a folder for an array that is large.
        folds: how many; of fewer groups as many as there are groups.
        seed: of sharing out.
        on_done: told how many fits are done, of how many.

    Raises:
        Invalid: fewer than two classes have pictures, there are fewer than two pictures to a fold, or all
            lie in one group.
    """
    folds = _folds_of_units(labels, groups, folds)
    tell = on_done or (lambda done, total: None)
    places = folds_of(labels, groups, folds, seed=seed)
    out = room_for((len(labels), classes), scratch, "out-of-fold")
    tried: list[tuple[float, float, np.ndarray]] = []
    apart, rest = np.flatnonzero(places == 0), np.flatnonzero(places != 0)
    for strength in STRENGTHS:
        weights = fit(rows, labels, classes, rest, strength)
        tried.append((_loss_at(rows, labels, apart, weights), strength, weights))
        tell(len(tried), len(STRENGTHS) + folds - 1)
    _, strength, weights = min(tried, key=lambda one: one[0])
    _say(rows, apart, weights, out)
    for fold in range(1, folds):
        weights = fit(rows, labels, classes, np.flatnonzero(places != fold), strength, start=weights)
        _say(rows, np.flatnonzero(places == fold), weights, out)
        tell(len(STRENGTHS) + fold, len(STRENGTHS) + folds - 1)
    return OutOfFold(out, places, strength)


def _folds_of_units(labels: np.ndarray, groups: Sequence[str | None] | None, folds: int) -> int:
    """Returns how many folds there can be.

    Raises:
        Invalid: as `out_of_fold`.
    """
    if len(np.unique(labels)) < 2 or len(labels) < 2 * folds:
        raise Invalid(
            "features.too-few-to-fold",
            "Expected pictures of two classes at least, and {least} pictures for {folds} folds. Received: "
            "{count} pictures of {found} classes.",
            least=2 * folds,
            folds=folds,
            count=len(labels),
            found=len(np.unique(labels)),
            do="Add pictures, or ask for fewer folds.",
        )
    units = len(_units(len(labels), groups))
    if units < 2:
        raise Invalid(
            "features.one-group",
            "All {count} pictures lie in one group, so none can be judged by the others without its own "
            "group having a say.",
            do="Put pictures that do not belong together into groups of their own, and freeze again.",
            count=len(labels),
        )
    return min(folds, units)


def fit(
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    places: np.ndarray,
    strength: float,
    *,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Returns weights (D + 1, C), the bias last, with the least mean log loss plus penalty.

    Args:
        rows: (N, D) float32.
        labels: (N,) int.
        classes: C.
        places: (n,) the pictures to learn from, ascending.
        strength: of the penalty strength / 2 · |W|²; the bias is free.
        start: weights to begin with.

    Source: Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.
    """
    shape = (rows.shape[1] + 1, classes)

    def at(weights: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss_and_slope(rows, labels, places, weights.reshape(shape), strength)

    now = np.zeros(shape[0] * shape[1]) if start is None else start.astype(np.float64).ravel()
    loss, slope = at(now)
    kept: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=MEMORY)
    for _ in range(ROUNDS):
        step = -_turned(slope, kept)
        found = _along(at, now, loss, slope, step, first=not kept)
        if found is None:
            break
        length, after, slope_after = found
        moved = length * step
        if moved @ (slope_after - slope) > 1e-12:
            kept.append((moved, slope_after - slope))
        settled = loss - after < SETTLED * abs(loss)
        now, loss, slope = now + moved, after, slope_after
        if settled:
            break
    return now.reshape(shape)


def probabilities_of(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns what weights say of rows (n, D): (n, C) float32."""
    scores = rows @ weights[:-1].astype(np.float32) + weights[-1].astype(np.float32)
    scores -= scores.max(1, keepdims=True)
    np.exp(scores, out=scores)
    return scores / scores.sum(1, keepdims=True)


def _loss_and_slope(
    rows: np.ndarray, labels: np.ndarray, places: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[float, np.ndarray]:
    free = weights.copy()
    free[-1] = 0
    loss, slope = 0.0, np.zeros_like(weights)
    for part in blocks(len(places)):
        chosen = places[part]
        some, said = rows[chosen], labels[chosen]
        answers = probabilities_of(some, weights)
        own = answers[np.arange(len(said)), said]
        loss -= float(np.log(np.maximum(own, 1e-12)).sum(dtype=np.float64))
        answers[np.arange(len(said)), said] -= 1
        slope[:-1] += some.T @ answers
        slope[-1] += answers.sum(0, dtype=np.float64)
    mean = loss / len(places) + 0.5 * strength * float((free**2).sum())
    return mean, (slope / len(places) + strength * free).ravel()


def _turned(slope: np.ndarray, kept: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Returns the slope times what is known of the inverse curvature: the two loops of L-BFGS."""
    found, shares = slope.copy(), []
    for moved, turned in reversed(kept):
        share = (moved @ found) / (moved @ turned)
        found -= share * turned
        shares.append(share)
    if kept:
        moved, turned = kept[-1]
        found *= (moved @ turned) / (turned @ turned)
    for (moved, turned), share in zip(kept, reversed(shares), strict=True):
        found += (share - (turned @ found) / (moved @ turned)) * moved
    return found


def _along(
    at: Callable[[np.ndarray], tuple[float, np.ndarray]],
    now: np.ndarray,
    loss: float,
    slope: np.ndarray,
    step: np.ndarray,
    *,
    first: bool,
) -> tuple[float, float, np.ndarray] | None:
    """Returns how far to go along a step, with loss and slope there; None where nothing sinks any more.

    Source: Armijo, Minimization of functions having Lipschitz continuous first partial derivatives, 1966.
    """
    falls = float(slope @ step)
    if falls >= 0:
        return None
    length = min(1.0, 4.0 / (float(np.linalg.norm(step)) + 1e-12)) if first else 1.0
    for _ in range(20):
        after, slope_after = at(now + length * step)
        if after <= loss + 1e-4 * length * falls:
            return length, after, slope_after
        length *= 0.4
    return None


def _loss_at(rows: np.ndarray, labels: np.ndarray, places: np.ndarray, weights: np.ndarray) -> float:
    loss = 0.0
    for part in blocks(len(places)):
        chosen = places[part]
        own = probabilities_of(rows[chosen], weights)[np.arange(len(chosen)), labels[chosen]]
        loss -= float(np.log(np.maximum(own, 1e-12)).sum(dtype=np.float64))
    return loss / max(1, len(places))


def _say(rows: np.ndarray, places: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    for part in blocks(len(places)):
        out[places[part]] = probabilities_of(rows[places[part]], weights)
