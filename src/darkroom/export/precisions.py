"""The precisions that a model file can be written in, and the recipe that a file is written by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from darkroom.errors import NotFound, among

__all__ = ["INT8", "PLAIN", "PRECISIONS", "Precision", "Recipe", "find_precision"]

PLAIN = "plain"
"""Name of the recipe where a format knows only one way to write a precision."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How the numbers of a file are written."""

    name: str
    """What a request calls it."""
    title: str
    """In words."""
    calibrated: bool = False
    """Whether writing it needs pictures, to find the range of each activation."""
    exact: bool = False
    """Whether its answers are held against the limits of float32."""
    half: bool = False
    """Whether its answers are held against the limits of float16."""
    whole_numbers: bool = False
    """Whether weights are whole numbers with a scale, so that a judgement on pictures is due."""


PRECISIONS: dict[str, Precision] = {
    one.name: one
    for one in (
        Precision(name="float32", title="32-bit floating point", exact=True),
        Precision(name="float16", title="16-bit floating point weights", half=True),
        Precision(
            name="dynamic-int8",
            title="8-bit weights, activations quantised while it runs",
            whole_numbers=True,
        ),
        Precision(
            name="weight-int8", title="8-bit weights, floating point activations", whole_numbers=True
        ),
        Precision(
            name="int8",
            title="8-bit weights and activations, calibrated on training pictures",
            calibrated=True,
            whole_numbers=True,
        ),
        Precision(name="palette6", title="weights from a palette of 64 values", whole_numbers=True),
        Precision(name="palette4", title="weights from a palette of 16 values", whole_numbers=True),
    )
}
"""All precisions by name; each format is written in some of them."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to write a precision; made in this process, carried out in a child."""

    precision: str
    """Name in `PRECISIONS`."""
    name: str = PLAIN
    """What tells it from the other recipes of this format and precision."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the writer reads: numbers, words, lists of them."""
    calibration: Path | None = None
    """Calibration tensors: .npy (n, height, width, channels) uint8; None where none are needed."""
    shared: Path | None = None
    """Folder in which recipes of one request keep what all of them start from; None: each starts anew."""

    def with_places(self, calibration: Path | None, shared: Path | None) -> Recipe:
        """Returns the recipe with its calibration tensors, if it needs any, and the shared folder."""
        needed = PRECISIONS[self.precision].calibrated
        return replace(self, calibration=calibration if needed else None, shared=shared)

    @property
    def fits_weights(self) -> bool:
        """Whether weights are fitted to the calibration pictures before anything is converted."""
        return bool(self.options.get("fitted"))

    def shared_path(self, name: str) -> Path | None:
        """Returns where something lies that recipes of the same weights share; None: each starts anew."""
        if self.shared is None:
            return None
        return self.shared / (f"fitted-{name}" if self.fits_weights else name)

    def to_json(self) -> str:
        """Returns the recipe as one line."""
        facts = {
            "precision": self.precision,
            "name": self.name,
            "options": dict(self.options),
            "calibration": str(self.calibration) if self.calibration else None,
            "shared": str(self.shared) if self.shared else None,
        }
        return json.dumps(facts, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> Recipe:
        """Returns the recipe that `to_json` wrote."""
        facts = json.loads(line)
        places = {name: Path(facts[name]) if facts[name] else None for name in ("calibration", "shared")}
        return cls(**{**facts, **places})


INT8 = (
    *(
        Recipe(precision="int8", name=f"fitted-{name}", options={"range": name, "fitted": True})
        for name in ("least-squares", "percentile-99.99", "percentile-99.9")
    ),
    *(Recipe(precision="int8", name=name, options={"range": name}) for name in ("minmax", "entropy")),
    Recipe(
        precision="int8",
        name="least-squares-float-ends",
        options={"range": "least-squares", "float": ["first", "last"]},
    ),
)
"""Ways to write int8, tried for formats that leave the choice, the likeliest first. The first three begin
with weights that were fitted to the calibration pictures, see `fitted_weights`; ranges are those of
`ranges.METHODS`; the last one keeps the first and the last operation with weights in floating point."""


def find_precision(name: str) -> Precision:
    """Returns a precision.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in PRECISIONS:
        raise NotFound(
            "export.precision-unknown",
            'No precision "{name}". Known: {known}.{nearest}',
            do="Name one of them: darkroom export convert --run RUN --precision float32",
            **among(name, PRECISIONS),
        )
    return PRECISIONS[name]
