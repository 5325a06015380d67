"""Learn a sketch from training pictures, and choose its thresholds on pictures that are none of them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from darkroom.domain.calibration import calibrate
from darkroom.domain.neighbours import learn_space
from darkroom.domain.properties import DISTANCE, PROPERTIES, Property
from darkroom.domain.scoring import distances, score
from darkroom.domain.sketch import Calibration, Rows, Sketch, SketchFacts, Trait
from darkroom.domain.tail import fit_tails
from darkroom.errors import Invalid
from darkroom.records import Contract, Interval, now
from darkroom.statistics import bootstrap_interval, group_codes, wilson

__all__ = ["FEWEST", "KEPT_ROWS", "Examples", "learn", "measured_on"]

KEPT_ROWS = 1024
"""Training pictures that are kept as rows: enough for the nearest ones, and a file of some 100 kB."""

NO_FEATURES = (
    "The network's features of these pictures could not be had, or are no numbers: they have no say, and "
    "the check rests on statistics alone."
)

FEWEST = {"training": 4, "held-out": 1}
"""Fewer pictures make no sketch. A few dozen make one that notices only what is far off, and says which
rate of false alarms it can keep to."""


class Examples(NamedTuple):
    """Pictures as numbers."""

    image_ids: tuple[str, ...]
    measured: NDArray[np.float64]
    """(n, properties), see `measures.measure`."""
    features: NDArray[np.floating] | None = None
    """(n, E)."""
    groups: tuple[str | None, ...] | None = None

    def joined(self, others: Examples) -> Examples:
        """Returns these pictures and others, such as changed copies of them."""
        both = self.features is not None and others.features is not None
        return Examples(
            self.image_ids + others.image_ids,
            np.concatenate([self.measured, others.measured]),
            np.concatenate([self.features, others.features]) if both else None,  # type: ignore[list-item]
            None if self.groups is None or others.groups is None else self.groups + others.groups,
        )


def learn(
    train: Examples,
    held_out: Examples,
    *,
    contract: Contract,
    rate: float = 0.01,
    held_out_name: str = "val",
    run: str = "",
    dataset: str = "",
    dataset_id: str = "",
    seed: int = 0,
    notes: tuple[str, ...] = (),
) -> Sketch:
    """Returns the sketch of training pictures.

    Args:
        train: pictures that the network was trained on, with changed copies where training changed them.
        held_out: pictures like them that it was not trained on; the thresholds are chosen on these.
        contract: which tensors were measured.
        rate: share of held-out pictures that may be called different, over all properties together.
        held_out_name: what to call the held-out pictures.
        run: whose network gave the features.
        dataset: name@version.
        dataset_id: sha256 of the version.
        seed: which training pictures are kept as rows.
        notes: what a reader of the figures must know.

    Raises:
        Invalid: there are too few pictures.
    """
    _check(train, held_out)
    if not (_has_numbers(train) and _has_numbers(held_out)):
        lost = train.features is not None or held_out.features is not None
        notes = (*notes, NO_FEATURES) if lost and NO_FEATURES not in notes else notes
        train, held_out = train._replace(features=None), held_out._replace(features=None)
    kept = np.sort(
        np.random.default_rng(seed).permutation(len(train.image_ids))[
            : min(KEPT_ROWS, len(train.image_ids))
        ]
    )
    facts = SketchFacts(
        contract=contract,
        run=run,
        dataset=dataset,
        dataset_id=dataset_id,
        asked_rate=rate,
        held_out=held_out_name,
        train_images=len(set(train.image_ids)),
        traits=_traits(train.measured, contract.channels),
        calibrations=(),
        image_ids=tuple(train.image_ids[place] for place in kept),
        feature_size=0 if train.features is None else train.features.shape[1],
        rows_sha256="",
        notes=notes,
        created_at=now(),
    )
    sketch = _with_distance(Sketch(facts, _rows(train, kept)), train, kept)
    return _calibrated(sketch, held_out, rate)


def measured_on(sketch: Sketch, pictures: Examples) -> Sketch:
    """Returns the sketch with the share of these pictures that it calls different, with its interval.

    Args:
        sketch: with thresholds.
        pictures: pictures that had no say in them: the test pictures.
    """
    calibrations = []
    for one in sketch.facts.calibrations:
        with_features = one.used == "statistics and features"
        found = score(sketch, pictures.measured, pictures.features if with_features else None)
        flagged = (found.largest > one.threshold).astype(np.float64)
        whole = found.used == one.used and len(flagged) > 0
        measured = _share(flagged, pictures.groups) if whole else None
        calibrations.append(one.model_copy(update={"measured": measured}))
    return replace(sketch, facts=sketch.facts.model_copy(update={"calibrations": tuple(calibrations)}))


def _share(flagged: NDArray[np.float64], groups: tuple[str | None, ...] | None) -> Interval:
    """Returns a small share with its interval; a bootstrap is too narrow where pictures stand alone."""
    if group_codes(groups, len(flagged))[0] is None:
        return wilson(float(flagged.sum()), len(flagged))
    return bootstrap_interval(flagged, groups)


def _has_numbers(pictures: Examples) -> bool:
    return pictures.features is not None and bool(np.isfinite(pictures.features).all())


def _check(train: Examples, held_out: Examples) -> None:
    for name, found in (("training", len(train.image_ids)), ("held-out", len(held_out.image_ids))):
        if found < FEWEST[name]:
            raise Invalid(
                "domain.too-few",
                "Too few {which} pictures for a sketch: it needs {fewest} or more. Received: {found}.",
                do="Label more pictures, then freeze the dataset again.",
                fewest=FEWEST[name],
                which=name,
                found=found,
            )


def _traits(measured: NDArray[np.float64], channels: int) -> tuple[Trait, ...]:
    found = []
    for column, one in enumerate(PROPERTIES):
        values = measured[:, column]
        values = values[np.isfinite(values)]
        if len(values) >= FEWEST["training"] and (channels == 3 or not one.colour_only):
            found.append(_trait(one, values))
    return tuple(found)


def _trait(known: Property, values: NDArray[np.float64]) -> Trait:
    low, high = fit_tails(known.compared(values), floor=known.floor)
    ends = np.quantile(values, (0.01, 0.05, 0.5, 0.95, 0.99)).tolist()
    return Trait(
        name=known.name,
        low=low,
        high=high,
        quantiles=(ends[0], ends[1], ends[2], ends[3], ends[4]),
        below_zero=float((values < 0).mean()),
    )


def _rows(train: Examples, kept: NDArray[np.int64]) -> Rows:
    measured = train.measured[kept].astype(np.float32)
    if train.features is None:
        return Rows(measured)
    space = learn_space(train.features[kept])
    return Rows(measured, space.reduced(train.features[kept]), space)


def _with_distance(sketch: Sketch, train: Examples, kept: NDArray[np.int64]) -> Sketch:
    """Adds how far training pictures lie from their nearest others."""
    if train.features is None:
        return sketch
    own = np.full(len(train.image_ids), -1, np.int64)
    own[kept] = np.arange(len(kept))
    values = distances(sketch, train.features, own=own)
    if not np.isfinite(values).all():  # one row alone has no neighbours
        return sketch
    traits = (*sketch.facts.traits, _trait(DISTANCE, values))
    return replace(sketch, facts=sketch.facts.model_copy(update={"traits": traits}))


def _calibrated(sketch: Sketch, held_out: Examples, rate: float) -> Sketch:
    calibrations: list[Calibration] = []
    for features in (held_out.features, None):
        found = score(sketch, held_out.measured, features)
        if any(one.used == found.used for one in calibrations):
            continue
        calibrations.append(
            calibrate(
                found.largest,
                rate=rate,
                properties=len(found.names),
                used=found.used,
                groups=held_out.groups,
            )
        )
    update = {"calibrations": tuple(calibrations)}
    return replace(sketch, facts=sketch.facts.model_copy(update=update))
