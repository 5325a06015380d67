"""The sketch: what is remembered of the training pictures, so that a new one can be held against them."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime

from darkroom.domain.answer import Used
from darkroom.domain.neighbours import FeatureSpace
from darkroom.domain.properties import DISTANCE, PROPERTIES, Property
from darkroom.domain.tail import Tail
from darkroom.records import Contract, Fact, Interval, Record

__all__ = ["SKETCH_VERSION", "Calibration", "Rows", "Sketch", "SketchFacts", "Trait"]

SKETCH_VERSION = 1
"""Version of the two files' shape and of what the measures mean; raised when either changes."""


class Trait(Fact):
    """One property over the training pictures."""

    name: str
    low: Tail
    high: Tail
    quantiles: tuple[float, float, float, float, float]
    """1, 5, 50, 95 and 99 in 100 pictures lie at or below; as measured."""
    below_zero: float
    """Share of the pictures whose value lies below 0."""

    @property
    def spread(self) -> float:
        """How wide the middle nine tenths are, on the scale where it is compared, at least the floor."""
        compared = self.known.compared(np.array([self.quantiles[1], self.quantiles[3]]))
        return max(float(compared[1] - compared[0]) / 3.29, self.known.floor)  # ± 1.645 σ of a normal

    @property
    def known(self) -> Property:
        """The property's line in the table."""
        return next(one for one in (*PROPERTIES, DISTANCE) if one.name == self.name)

    def scores(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns how far out values (n,) lie, as −ln of a share; 0 for NaN."""
        compared = self.known.compared(np.asarray(values, np.float64))
        found = np.zeros(len(compared))
        with np.errstate(invalid="ignore"):
            if self.known.side != "below":
                found = np.maximum(found, self.high.score(compared - self.high.start))
            if self.known.side != "above":
                found = np.maximum(found, self.low.score(self.low.start - compared))
        return np.nan_to_num(found, nan=0.0)


class Calibration(Fact):
    """From which score on a picture is called different, and how often that is a false alarm."""

    used: Used
    threshold: float
    """A picture differs when the score of one of its properties lies above."""
    rate: float
    """Share of false alarms that is kept to: what was asked for, or what so few pictures can show."""
    expected: Interval
    """Share of false alarms to be expected on pictures like the held-out ones."""
    images: int
    """Held-out pictures that the threshold was chosen on."""
    measured: Interval | None = None
    """Share of the test pictures that it calls different; the threshold does not know them."""


class SketchFacts(Record):
    """All of a sketch but its rows of numbers; `sketch.json`."""

    schema_version: int = SKETCH_VERSION
    contract: Contract
    """Which tensors were measured."""
    run: str = ""
    """The run whose network gave the features."""
    dataset: str = ""
    dataset_id: str = ""
    asked_rate: float
    """Share of false alarms that was asked for."""
    held_out: str
    """The pictures that the thresholds were chosen on: "val"."""
    train_images: int
    """Training pictures that were measured."""
    traits: tuple[Trait, ...]
    calibrations: tuple[Calibration, ...]
    image_ids: tuple[str, ...]
    """Of the training pictures that are kept as rows, to name the nearest."""
    feature_size: int = 0
    """Numbers in the network's features; 0 where the sketch knows no features."""
    forgotten: int = 0
    """Rows that are gone because their pictures were forgotten."""
    rows_sha256: str
    """Of the file with the rows."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know."""
    created_at: AwareDatetime


class Rows(NamedTuple):
    """The numbers of a sketch."""

    measured: NDArray[np.float32]
    """(R, properties): the kept training pictures as measured; NaN for what could not be."""
    features: NDArray[np.float32] | None = None
    """(R, A + 1): their features, made short."""
    space: FeatureSpace | None = None


@dataclass(frozen=True)
class Sketch:
    """A sketch in memory."""

    facts: SketchFacts
    rows: Rows

    def trait(self, name: str) -> Trait | None:
        """Returns a property over the training pictures; None for one that could not be measured."""
        return next((one for one in self.facts.traits if one.name == name), None)

    def calibration(self, used: Used) -> Calibration | None:
        """Returns the threshold for a kind of check; None where it was not calibrated."""
        return next((one for one in self.facts.calibrations if one.used == used), None)

    def placed(self, measured: NDArray[np.float64]) -> NDArray[np.float32]:
        """Returns measures (n, properties) such that distances between rows compare properties fairly.

        What was not measured lies where most training pictures do.
        """
        placed = np.zeros(measured.shape, np.float32)
        for column, one in enumerate(PROPERTIES):
            trait = self.trait(one.name)
            if trait is not None:
                middle = float(one.compared(np.array([trait.quantiles[2]]))[0])
                values = (one.compared(measured[:, column].astype(np.float64)) - middle) / trait.spread
                placed[:, column] = np.nan_to_num(np.clip(values, -20, 20), nan=0.0)
        return placed

    def without(self, image_ids: Container[str]) -> Sketch:
        """Returns the sketch without the rows of some pictures; thresholds and tails stay."""
        keep = [place for place, one in enumerate(self.facts.image_ids) if one not in image_ids]
        gone = len(self.facts.image_ids) - len(keep)
        features = None if self.rows.features is None else self.rows.features[keep]
        facts = self.facts.model_copy(
            update={
                "image_ids": tuple(self.facts.image_ids[place] for place in keep),
                "forgotten": self.facts.forgotten + gone,
            }
        )
        return replace(self, facts=facts, rows=Rows(self.rows.measured[keep], features, self.rows.space))


def worst_case(properties: int, rate: float) -> float:
    """Returns the score that one of several properties passes in a share of the pictures, at most."""
    return -math.log(rate / properties)
