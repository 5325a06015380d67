"""Hold the layers of two models against each other: by name where they share it, else by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from darkroom.export.divergence_report import LayerPair
from darkroom.export.layers import Layer

__all__ = ["Matched", "match_layers"]

ALIKE = 0.5
"""Relative difference up to which two values may be the same layer; that of unrelated ones is about 1.4."""

MOVING = ("transpose", "permute", "reshape", "view", "squeeze", "flatten", "cast", "identity", "dropout")
"""Words in the names of operations that move values and leave them as they are."""

SAMPLE = 4096
"""Values of a layer that are looked at when partners are sought."""


Samples: TypeAlias = "list[tuple[tuple[int, ...], np.ndarray]]"


class Matched(NamedTuple):
    """Layers of two models, held against each other."""

    pairs: tuple[LayerPair, ...]
    """Every layer of the reference in order, with its partner where it has one."""
    last_same: int
    """Place in `pairs` of the last layer that is the same on both sides; −1 for none."""
    first_other: tuple[Layer | None, Layer | None]
    """What follows on each side: the first layers that have no equal."""


def match_layers(reference: Sequence[Layer], other: Sequence[Layer], *, most: float) -> Matched:
    """Finds for each layer of the reference its partner, and where the two models part.

    Converters fold layers into each other, rename them and turn axes, so most names say nothing. Partners
    are those whose values are nearest, in the order of running on both sides, the nearest pairs first. A
    layer without partner is mostly folded into its neighbour.

    Args:
        reference: layers of one model.
        other: layers of the other one, of the same tensors.
        most: relative difference up to which a pair is the same.
    """
    partners = _partners(reference, other)
    pairs = []
    for place, layer in enumerate(reference):
        if place not in partners:
            pairs.append(LayerPair(layer=layer.name, operation=layer.operation))
            continue
        with_it = other[partners[place]]
        relative, largest = _apart(layer.values, with_it.values)
        pairs.append(
            LayerPair(
                layer=layer.name,
                operation=layer.operation,
                other=with_it.name,
                other_operation=with_it.operation,
                relative=relative,
                largest=largest,
                differs=not relative <= most,
            )
        )
    same = [place for place, pair in enumerate(pairs) if pair.other and not pair.differs]
    last = same[-1] if same else -1
    # What differs does not become the same again: before a common layer an unlike partner is none.
    pairs = [
        LayerPair(layer=pair.layer, operation=pair.operation) if pair.differs and place < last else pair
        for place, pair in enumerate(pairs)
    ]
    return Matched(tuple(pairs), last, _following(reference, other, partners, last))


def _following(
    reference: Sequence[Layer], other: Sequence[Layer], partners: dict[int, int], last: int
) -> tuple[Layer | None, Layer | None]:
    """Returns what computes next on each side after the last common layer."""
    start = partners[last] + 1 if last >= 0 else 0
    return _computing(reference[last + 1 :]), _computing(other[start:])


def _computing(layers: Sequence[Layer]) -> Layer | None:
    """Returns the first layer that changes values, not only how they lie in memory."""
    for layer in layers:
        if not any(word in layer.operation.lower() for word in MOVING):
            return layer
    return layers[0] if layers else None


def _partners(reference: Sequence[Layer], other: Sequence[Layer]) -> dict[int, int]:
    """Returns place → place of the partner, growing on both sides."""
    named = {layer.name: place for place, layer in enumerate(other)}
    found: list[tuple[float, int, int]] = []
    samples = [_samples(layer.values) for layer in other]
    for place, layer in enumerate(reference):
        mine = _samples(layer.values)
        own_name = named.get(layer.name)
        for where, theirs in enumerate(samples):
            apart = _nearest(mine, theirs)
            if apart <= ALIKE or (where == own_name and np.isfinite(apart)):
                found.append((apart - 2.0 * (where == own_name), place, where))
    partners: dict[int, int] = {}
    for _, place, where in sorted(found):
        if place in partners or where in partners.values():
            continue
        if all((place < mine) == (where < theirs) for mine, theirs in partners.items()):
            partners[place] = where
    return partners


def _samples(values: np.ndarray) -> Samples:
    """Returns shape and some values, for each order of axes that the layer may be told in."""
    return [(order.shape, _some(order)) for order in _orders(values)]


def _orders(values: np.ndarray) -> list[np.ndarray]:
    """Returns the values as they are and, of maps, with channels behind; lengths of 1 are left out."""
    orders = [values]
    if values.ndim == 4:
        orders.append(values.transpose(0, 2, 3, 1))
    return [
        order.reshape(order.shape[0], *(size for size in order.shape[1:] if size > 1)) for order in orders
    ]


def _some(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)]


def _nearest(mine: Samples, theirs: Samples) -> float:
    apart = (_relative(one, two) for shape, one in mine for other, two in theirs if shape == other)
    return min(apart, default=np.inf)


def _apart(mine: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Returns the relative and the largest difference, in the order of axes that fits best."""
    best = (np.inf, np.inf)
    for one in _orders(mine):
        for two in _orders(theirs):
            if one.shape == two.shape:
                best = min(best, (_relative(one, two), float(np.abs(one - two).max(initial=0.0))))
    return best


def _relative(mine: np.ndarray, theirs: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        size = float(np.sqrt(np.mean(np.square(mine, dtype=np.float64))))
        apart = float(np.sqrt(np.mean(np.square(mine.astype(np.float64) - theirs))))
    if not np.isfinite(apart):
        return np.inf
    return apart / size if size > 0 else (0.0 if apart == 0 else np.inf)
