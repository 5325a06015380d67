"""The domain check: does a picture look like the training pictures, and if not, how does it differ?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from darkroom.domain.answer import DomainAnswer, DomainReason, NearestImage
from darkroom.domain.fixes import fix_for
from darkroom.domain.measures import measure
from darkroom.domain.neighbours import NEAREST, nearest_rows
from darkroom.domain.properties import DISTANCE
from darkroom.domain.scoring import Scores, score
from darkroom.domain.sketch import Sketch
from darkroom.domain.wording import difference, verdict
from darkroom.errors import Invalid
from darkroom.images import Transform

__all__ = ["DomainCheck"]

CAUSES: Mapping[str, tuple[str, ...]] = {
    "brightness": ("contrast", "size"),
    "contrast": ("brightness", "stroke", "sharpness", "noise"),
    "sharpness": ("noise", "pixels", "contrast", "stroke", "size", "aspect"),
    "noise": ("pixels", "contrast", "size", "stroke"),
    "size": ("noise", "aspect"),
    "stroke": ("contrast", "brightness", "sharpness", "noise", "pixels", "size", "aspect"),
    "centre_x": ("size", "noise", "polarity"),
    "centre_y": ("size", "noise", "polarity"),
    "saturation": ("red_green", "yellow_blue", "contrast", "brightness"),
    "red_green": ("saturation", "yellow_blue"),
    "yellow_blue": ("saturation", "red_green"),
    "polarity": ("size", "brightness"),
}
"""What changes along when something else changes: blur makes strokes thick, colour comes with saturation.
A judgement from making such changes to digits and photos; it decides on names, never on the verdict."""

THIN = 0.75
"""Below this share of the usual width, contrast for contrast, strokes are thin rather than faint."""

PLAINER = {"polarity": 3.0, "stroke": 1.5, "aspect": 1.2, "noise": 1.2, "distance": 0.0}
"""Of two that follow from each other the one with the larger score is named as the cause; these weights go
first where both say the same. A distance in features is never a cause."""


class DomainCheck:
    """Holds pictures against a sketch.

    Args:
        sketch: what is known of the training pictures.
    """

    def __init__(self, sketch: Sketch) -> None:
        self.sketch = sketch
        self._placed = sketch.placed(sketch.rows.measured.astype(np.float64))

    def check(
        self,
        tensor: NDArray[np.uint8],
        photo: Transform | None = None,
        features: NDArray[np.floating] | None = None,
    ) -> DomainAnswer:
        """Says whether a picture looks like the training pictures, and how it differs if not.

        Args:
            tensor: (H, W, C) uint8, as the contract makes it.
            photo: the geometry of the contract for the photo, which knows the photo's size.
            features: (E,) the network's features of the picture, where they are known.

        Raises:
            Invalid: the tensor is of another shape than the training pictures.
        """
        if tensor.shape != self.sketch.facts.contract.shape or tensor.dtype != np.uint8:
            raise Invalid(
                "domain.shape",
                "The sketch is of pictures uint8 {expected} (height, width, channels). Received: {found}.",
                do="Bring the picture to the tensor by the contract of the model.",
                expected=self.sketch.facts.contract.shape,
                found=f"{tensor.dtype} {tensor.shape}",
            )
        measured = measure(tensor, photo)[None]
        found = score(self.sketch, measured, None if features is None else np.asarray(features)[None])
        threshold = self._threshold(found)
        reasons: tuple[DomainReason, ...] = ()
        if found.largest[0] > threshold:
            reasons = self._reasons(found, tensor, photo, threshold)
        return DomainAnswer(
            in_domain=not reasons,
            words=verdict(reasons),
            reasons=reasons,
            nearest=self._nearest(found, measured, features),
            used=found.used,
        )

    def _threshold(self, found: Scores) -> float:
        calibration = self.sketch.calibration(found.used)
        assert calibration is not None, "a sketch is calibrated for what it knows"
        return calibration.threshold

    def _reasons(
        self, found: Scores, tensor: NDArray[np.uint8], photo: Transform | None, threshold: float
    ) -> tuple[DomainReason, ...]:
        """Returns what differs, causes first, each followed by its consequences."""
        flagged = _flagged(found, threshold)
        if "polarity" in flagged:
            # What no longer differs once light and dark are swapped is polarity in other words.
            turned = score(self.sketch, measure(np.invert(tensor), photo)[None])
            kept = {name: flagged[name] for name in ("polarity", DISTANCE.name) if name in flagged}
            flagged = kept | {
                name: both for name, both in _flagged(turned, threshold).items() if name != "polarity"
            }
        causes = _causes(flagged, thin=self._is_thin(flagged))
        order = sorted(flagged, key=lambda name: _rank(name, causes, flagged))
        return tuple(self._reason(name, *flagged[name], causes[name]) for name in order)

    def _is_thin(self, flagged: Mapping[str, tuple[float, float]]) -> bool:
        """Says whether strokes are thin for their own contrast; a thin one is a fainter one on pixels."""
        stroke, contrast = self.sketch.trait("stroke"), self.sketch.trait("contrast")
        if stroke is None or contrast is None or not {"stroke", "contrast"} <= flagged.keys():
            return False
        usual = stroke.quantiles[2] / max(contrast.quantiles[2], 1.0)
        return flagged["stroke"][0] / max(flagged["contrast"][0], 1.0) < THIN * usual

    def _reason(self, name: str, value: float, points: float, cause: str) -> DomainReason:
        trait = self.sketch.trait(name)
        assert trait is not None, "only what the sketch knows is scored"
        return DomainReason(
            name=name,
            words=difference(trait, value),
            value=value,
            training=(trait.quantiles[0], trait.quantiles[-1]),
            score=points,
            fix=fix_for(trait, value, self.sketch.facts.contract),
            follows=cause,
        )

    def _nearest(
        self, found: Scores, measured: NDArray[np.float64], features: NDArray[np.floating] | None
    ) -> tuple[NearestImage, ...]:
        rows, queries = self._placed, self.sketch.placed(measured)
        known, space = self.sketch.rows.features, self.sketch.rows.space
        by_features = found.used == "statistics and features"
        if by_features and known is not None and space is not None and features is not None:
            rows, queries = known, space.reduced(np.asarray(features)[None])
        if not len(rows):
            return ()
        order, far = nearest_rows(rows, queries, count=2 * NEAREST)
        nearest: dict[str, float] = {}
        for place, distance in zip(order[0], far[0], strict=True):  # a picture and its copy count once
            nearest.setdefault(self.sketch.facts.image_ids[place], round(float(distance), 6))
        return tuple(NearestImage(image_id=one, distance=far) for one, far in nearest.items())[:NEAREST]


def _flagged(found: Scores, threshold: float) -> dict[str, tuple[float, float]]:
    """Returns value and score of each property beyond the threshold, of the first picture."""
    rows = zip(found.names, found.measured[0].tolist(), found.values[0].tolist(), strict=True)
    return {name: (value, points) for name, value, points in rows if points > threshold}


def _causes(flagged: Mapping[str, tuple[float, float]], *, thin: bool) -> dict[str, str]:
    """Returns for each property that differs the one that it follows from; empty for a cause."""
    weights = PLAINER | {"stroke": PLAINER["stroke"] if thin else 1 / PLAINER["stroke"]}
    causes: dict[str, str] = {}
    for name in sorted(flagged, key=lambda one: -flagged[one][1] * weights.get(one, 1.0)):
        before = [one for one, cause in causes.items() if not cause]
        follows = (
            before if name == DISTANCE.name else [one for one in before if one in CAUSES.get(name, ())]
        )
        causes[name] = follows[0] if follows else ""
    return causes


def _rank(
    name: str, causes: Mapping[str, str], flagged: Mapping[str, tuple[float, float]]
) -> tuple[bool, float]:
    return bool(causes[name]), -flagged[name][1] * PLAINER.get(name, 1.0)
