"""Look deeper into a classifier's answers: curves, calibration, operating point, costs, slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from darkroom.evaluation.calibration import measure_calibration
from darkroom.evaluation.curves import CURVE_DRAWS, measure_curves
from darkroom.evaluation.judgement import judge
from darkroom.evaluation.operating import Prices, measure_point, pair_costs
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import Evaluation
from darkroom.evaluation.slices import Column, find_slices
from darkroom.records import OperatingPoint

__all__ = ["Depth", "at_point", "deepened", "judged_again"]

SLICE_DRAWS = 2000
"""Draws of the intervals of slices."""


class Depth(NamedTuple):
    """What a deeper look needs beside the answers."""

    prices: Prices | None = None
    """What answers cost by the brief."""
    point: OperatingPoint = OperatingPoint()
    """The operating point that is kept with the run."""
    columns: Callable[[Predictions], Sequence[Column]] | None = None
    """Gives what is known of the images."""
    basis: str = ""
    """sha256 of the costs and the operating point: with another one the answers are judged anew."""


def deepened(evaluation: Evaluation, predictions: Predictions, depth: Depth) -> Evaluation:
    """Returns an evaluation with all that a deeper look finds.

    Args:
        evaluation: of the predictions.
        predictions: the answers.
        depth: what else is known.
    """
    labels, probabilities, groups = predictions.labels, predictions.probabilities, predictions.groups
    facts = {"level": evaluation.level, "seed": evaluation.seed}
    curves = measure_curves(
        labels,
        probabilities,
        evaluation.labels,
        groups,
        draws=min(evaluation.draws, CURVE_DRAWS),
        **facts,
    )
    slices = None
    if depth.columns is not None:
        right = predictions.answers == labels
        draws = min(evaluation.draws, SLICE_DRAWS)
        slices = find_slices(right, depth.columns(predictions), groups, draws=draws, **facts)
    found = evaluation.model_copy(update={"curves": curves, "slices": slices, "basis": depth.basis})
    return at_point(found, predictions, depth)


def judged_again(evaluation: Evaluation, predictions: Predictions, depth: Depth) -> Evaluation:
    """Returns an evaluation of the same answers under other costs or another operating point.

    Args:
        evaluation: as it was judged.
        predictions: the answers that it rests on.
        depth: what is known today.
    """
    found = judge(
        predictions.labels,
        predictions.probabilities,
        predictions.image_ids,
        predictions.groups,
        classes=evaluation.labels,
        source=evaluation.source,
        level=evaluation.level,
        draws=evaluation.draws,
        seed=evaluation.seed,
        costs=depth.prices.table if depth.prices else None,
    )
    new = deepened(found, predictions, depth)
    changed = {name: getattr(new, name) for name in JUDGED}
    return evaluation.model_copy(update=changed)


JUDGED = ("figures", "worst", "curves", "calibration", "operating", "pair_costs", "slices", "basis")
"""What of an evaluation is judged; the rest says how the answers came about."""


def at_point(evaluation: Evaluation, predictions: Predictions, depth: Depth) -> Evaluation:
    """Returns an evaluation with what depends on the operating point and on costs, measured anew.

    Args:
        evaluation: of the predictions.
        predictions: the answers.
        depth: the operating point and the costs.
    """
    labels, probabilities, groups = predictions.labels, predictions.probabilities, predictions.groups
    classes, point, prices = evaluation.labels, depth.point, depth.prices
    drawn = {"draws": evaluation.draws, "seed": evaluation.seed}
    calibration = measure_calibration(
        labels, probabilities, groups, temperature=point.temperature, level=evaluation.level, **drawn
    )
    operating = None
    if point != OperatingPoint():
        operating = measure_point(
            labels, probabilities, classes, groups, point, prices, level=evaluation.level, **drawn
        )
    costs = (
        () if prices is None else pair_costs(labels, probabilities, classes, groups, point, prices, **drawn)
    )
    return evaluation.model_copy(
        update={"calibration": calibration, "operating": operating, "pair_costs": costs}
    )
