"""Score pictures against a sketch: one number per property, the larger the stranger."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from darkroom.domain.answer import Used
from darkroom.domain.neighbours import nearest_rows
from darkroom.domain.properties import DISTANCE, PROPERTIES
from darkroom.domain.sketch import Sketch

__all__ = ["Scores", "distances", "score"]


class Scores(NamedTuple):
    """The scores of n pictures."""

    names: tuple[str, ...]
    """Of the T properties that the sketch knows."""
    values: NDArray[np.float64]
    """(n, T)."""
    measured: NDArray[np.float64]
    """(n, T): what the scores were given for; NaN where nothing could be measured."""
    used: Used

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest score of each picture, (n,)."""
        return self.values.max(1) if self.values.shape[1] else np.zeros(len(self.values))


def score(
    sketch: Sketch, measured: NDArray[np.float64], features: NDArray[np.floating] | None = None
) -> Scores:
    """Returns the scores of pictures.

    Args:
        sketch: what is known of the training pictures.
        measured: (n, properties), see `measures.measure`.
        features: (n, E) of the same pictures; used where distances to them can be told, else left aside.
    """
    columns = {one.name: measured[:, place] for place, one in enumerate(PROPERTIES)}
    used: Used = "statistics"
    if features is not None and _tells_distances(sketch, features):
        columns[DISTANCE.name], used = distances(sketch, features), "statistics and features"
    traits = [trait for trait in sketch.facts.traits if trait.name in columns]
    values = [trait.scores(columns[trait.name]) for trait in traits]
    taken = [columns[trait.name] for trait in traits]
    empty = np.empty((len(measured), 0))
    return Scores(
        tuple(trait.name for trait in traits),
        np.stack(values, 1) if values else empty,
        np.stack(taken, 1) if taken else empty,
        used,
    )


def _tells_distances(sketch: Sketch, features: NDArray[np.floating]) -> bool:
    """Says whether the sketch knows such features and how far they usually lie, and all are numbers."""
    rows = sketch.rows.features
    known = rows is not None and len(rows) >= 2 and sketch.trait(DISTANCE.name) is not None
    same = features.shape[1:] == (sketch.facts.feature_size,)
    return known and same and bool(np.isfinite(features).all())


def distances(
    sketch: Sketch, features: NDArray[np.floating], *, own: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Returns the mean distance of features (n, E) to the nearest training pictures, (n,).

    Args:
        sketch: with features.
        features: of n pictures.
        own: (n,) row of the sketch that is the picture itself, or −1.
    """
    rows, space = sketch.rows.features, sketch.rows.space
    if rows is None or space is None or len(rows) < 2:
        return np.full(len(features), np.nan)
    return nearest_rows(rows, space.reduced(features), without=own)[1].mean(1)
