"""Choose an operating point on validation images, and measure what it does on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.clones import verdict
from darkroom.evaluation.findings import ClassDecisions, OperatingFigures, PairCost
from darkroom.records import Brief, Interval, OperatingPoint
from darkroom.records.numbers import counted
from darkroom.statistics import bootstrap_interval, paired_difference, ratio_interval
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.calibration import LARGEST_TEMPERATURE, SMALLEST_TEMPERATURE, fit_temperature
from darkroom.tasks.costs import cost_interval, cost_table, unpriced
from darkroom.tasks.operating import NOT_SURE, Decisions, decide, thresholds_of

__all__ = ["Choice", "Prices", "choose_point", "measure_point", "pair_costs", "prices_of"]

FEWEST_MISTAKES = 5
"""With fewer mistakes on validation images a temperature would be fitted to chance."""

FEWEST_OF_A_CLASS = 30
"""A class with fewer answers on validation images takes the common threshold."""

MOST_PAIRS = 12
"""Kinds of mistakes that are listed, the dearest first."""


class Prices(NamedTuple):
    """What answers cost."""

    table: np.ndarray
    """(C, C): a row per class that is right, a column per answer."""
    not_sure: float | None = None
    """Of an image that gets no answer; None: nobody said."""
    note: str = ""
    """What a reader must know."""

    @property
    def dearest(self) -> float:
        """The most that one image can cost."""
        return max(float(self.table.max()), self.not_sure or 0.0)

    def paid(self, labels: np.ndarray, decisions: Decisions) -> np.ndarray:
        """Returns what each image costs, (N,); without a price of "not sure" every answer counts."""
        costs = self.table[labels, decisions.answers]
        return costs if self.not_sure is None else np.where(decisions.sure, costs, self.not_sure)


class Choice(NamedTuple):
    """An operating point, and what a person should know of how it was chosen."""

    point: OperatingPoint
    notes: tuple[str, ...]


def prices_of(brief: Brief, classes: Sequence[str]) -> Prices | None:
    """Returns what answers cost by the brief; None where it gives no mistake a cost.

    Raises:
        InvalidConfig: an entry names what is neither a class nor a rule.
    """
    table = cost_table(brief.mistakes, classes, tuple(rule.name for rule in brief.rules))
    if not table.any():
        return None
    free, kinds = unpriced(brief.mistakes, classes), len(classes) * (len(classes) - 1)
    note = f"{free} of {kinds} kinds of mistakes have no entry in the brief and count as 0." if free else ""
    return Prices(table, brief.not_sure_cost, note)


def choose_point(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    prices: Prices | None,
    *,
    chosen_on: str = "",
) -> Choice:
    """Returns the temperature and the thresholds that suit validation images best.

    The temperature is the one of least log loss. At it, each threshold is the one of least cost: an answer
    below it costs what "not sure" costs, an answer from it on what it costs if it is wrong. A class with
    few answers takes the threshold that all images together would have. Of equally cheap thresholds the
    lowest is taken, so that as much as possible is answered; it lies half-way between two confidences.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float, as the model gives them.
        classes: names of the C classes.
        prices: what answers cost.
        chosen_on: which images these are, for the record.

    Raises:
        Invalid: there are no images.

    Source: Guo and others, 2017 (temperature on validation data); Chow, On optimum recognition error and
        reject tradeoff, 1970 (reject where a mistake is expected to cost more than to reject), here with
        the least mean cost over the images instead of probabilities that are taken to be true.
    """
    if len(labels) == 0:
        raise Invalid(
            "calibrate.no-images",
            "An operating point is chosen on validation pictures, and there are none.",
            do="Give val a share when freezing the dataset: [stage.splits] in darkroom.toml.",
        )
    temperature, notes = _temperature(labels, probabilities)
    point = OperatingPoint(temperature=temperature, chosen_on=chosen_on)
    if prices is None:
        return Choice(point, (*notes, NO_COSTS))
    if prices.not_sure is None:
        return Choice(point, (*notes, NO_PRICE))
    thresholds, scarce = _thresholds(labels, decide(probabilities, classes, point), classes, prices)
    return Choice(point.model_copy(update={"thresholds": thresholds}), (*notes, *scarce))


NO_COSTS = (
    "No mistake has a cost, so every answer counts; write costs under [[brief.mistakes]] in darkroom.toml "
    "and thresholds are chosen."
)
NO_PRICE = (
    'What "not sure" costs is not said, so every answer counts; set not_sure_cost in [brief] of '
    "darkroom.toml and thresholds are chosen."
)


TOO_UNSURE = "the model is right far more often than it says. Mostly it was trained for too few epochs."
TOO_SURE = (
    "the model is right far less often than it says. Look at the labels of val, and whether it overfits."
)


def measure_point(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: Groups,
    point: OperatingPoint,
    prices: Prices | None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> OperatingFigures:
    """Returns how a model does at an operating point: coverage, accuracy of what was answered, cost.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float, as the model gives them.
        classes: names of the C classes.
        groups: images of one group are drawn together.
        point: the operating point.
        prices: what answers cost; None where nobody said.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.
    """
    found = decide(probabilities, classes, point)
    right = found.answers == labels
    drawn = {"level": level, "draws": draws, "seed": seed}
    figures = OperatingFigures(
        point=point,
        count=len(labels),
        coverage=bootstrap_interval(found.sure, groups, **drawn),
        accuracy_of_answered=ratio_interval(right & found.sure, found.sure, groups, **drawn),
        not_sure_cost=prices.not_sure if prices else None,
        classes=_by_class(found, right, classes, point),
    )
    if prices is None or (prices.not_sure is None and not found.sure.all()):
        return figures
    at_point, always = prices.paid(labels, found), prices.table[labels, found.answers]
    saved = paired_difference(always, at_point, groups, **drawn)
    return figures.model_copy(
        update={
            "expected_cost": cost_interval(at_point, prices.dearest, groups, draws=draws, seed=seed),
            "cost_if_all_answered": cost_interval(always, prices.dearest, groups, draws=draws, seed=seed),
            "saved": saved,
            "verdict": verdict(saved),
        }
    )


def pair_costs(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: Groups,
    point: OperatingPoint,
    prices: Prices,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[PairCost, ...]:
    """Returns what each kind of mistake, and "not sure", costs per image, the dearest first.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float, as the model gives them.
        classes: names of the C classes.
        groups: images of one group are drawn together.
        point: the operating point.
        prices: what answers cost.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.
    """
    found = decide(probabilities, classes, point)
    unsure = ~found.sure if prices.not_sure is not None else np.zeros(len(labels), bool)
    answers = np.where(unsure, len(classes), found.answers)
    table = np.column_stack([prices.table, np.full(len(classes), prices.not_sure or 0.0)])
    counts = np.zeros_like(table, np.int64)
    np.add.at(counts, (labels, answers), 1)
    costs = counts * table
    order = np.argsort(-costs, axis=None, kind="stable")[:MOST_PAIRS]
    names = (*classes, NOT_SURE)
    rows = []
    for truth, answer in (divmod(int(place), len(names)) for place in order):
        cost = float(table[truth, answer])
        if not counts[truth, answer] or cost == 0:
            continue
        here = (labels == truth) & (answers == answer)
        share = bootstrap_interval(here, groups, draws=draws, seed=seed)
        rows.append(
            PairCost(
                truth=classes[truth],
                answer=names[answer],
                count=int(counts[truth, answer]),
                cost=cost,
                expected_cost=_times(share, cost),
            )
        )
    return tuple(rows)


def _temperature(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, tuple[str, ...]]:
    mistakes = int((probabilities.argmax(axis=1) != labels).sum())
    if mistakes < FEWEST_MISTAKES:
        return 1.0, (
            f"Too few to fit a temperature to: {counted(mistakes, 'mistake')} on {len(labels):,} "
            f"validation pictures. It stays at 1. With {FEWEST_MISTAKES} or more it is fitted.",
        )
    found = fit_temperature(labels, probabilities)
    if found == SMALLEST_TEMPERATURE:
        return found, (f"The temperature lies at the end of what is tried, {found:g}: {TOO_UNSURE}",)
    if found == LARGEST_TEMPERATURE:
        return found, (f"The temperature lies at the end of what is tried, {found:g}: {TOO_SURE}",)
    return found, ()


def _thresholds(
    labels: np.ndarray, found: Decisions, classes: Sequence[str], prices: Prices
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns each class's threshold, where it has one, and which classes have too few answers."""
    costs, not_sure = prices.table[labels, found.answers], prices.not_sure or 0.0
    common = _cheapest(found.confidences, costs, not_sure)
    chosen, scarce = {}, 0
    for place, label in enumerate(classes):
        mine = found.answers == place
        few = int(mine.sum()) < FEWEST_OF_A_CLASS
        scarce += few
        chosen[label] = common if few else _cheapest(found.confidences[mine], costs[mine], not_sure)
    note = (
        f"Fewer than {FEWEST_OF_A_CLASS} answers of {scarce} of {len(classes)} classes: they take the "
        f"common threshold, {common:g}."
    )
    return {label: value for label, value in chosen.items() if value > 0}, (note,) if scarce else ()


def _cheapest(confidences: np.ndarray, costs: np.ndarray, not_sure: float) -> float:
    """Returns the lowest of the cheapest thresholds; 0 where answering everything is as cheap as any."""
    order = np.argsort(confidences, kind="stable")
    ranked, above = confidences[order].astype(np.float64), costs[order]
    # Cost if the first k are not answered, (n + 1,).
    totals = np.concatenate([[0.0], np.cumsum(not_sure - above)]) + above.sum()
    cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] > ranked[:-1], [True]]))
    best = int(cuts[np.argmin(np.round(totals[cuts], 9))])
    if best == 0:
        return 0.0
    upper = ranked[best] if best < len(ranked) else max(1.0, ranked[-1])
    if upper <= ranked[best - 1]:
        return 1.000001
    middle = float((ranked[best - 1] + upper) / 2)
    short = round(middle, 6)  # unless two confidences are as near as that
    return short if ranked[best - 1] < short <= upper else middle


def _by_class(
    found: Decisions, right: np.ndarray, classes: Sequence[str], point: OperatingPoint
) -> tuple[ClassDecisions, ...]:
    given = np.bincount(found.answers[found.sure], minlength=len(classes))
    withheld = np.bincount(found.answers[~found.sure], minlength=len(classes))
    hits = np.bincount(found.answers[found.sure & right], minlength=len(classes))
    return tuple(
        ClassDecisions(
            label=label,
            threshold=float(threshold),
            answered=int(given[place]),
            right=int(hits[place]),
            not_sure=int(withheld[place]),
        )
        for place, (label, threshold) in enumerate(zip(classes, thresholds_of(classes, point), strict=True))
    )


def _times(figure: Interval, factor: float) -> Interval:
    return figure.model_copy(
        update={end: getattr(figure, end) * factor for end in ("value", "low", "high")}
    )
