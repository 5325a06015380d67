"""Hold the limits on quality (accuracy, recall, expected cost) against what runs answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import InvalidConfig, nearest
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import Evaluation
from darkroom.records import Brief, Gate, Interval
from darkroom.statistics import against_limit, bootstrap_interval, images_to_settle, spread
from darkroom.tasks.costs import cost_interval, cost_table, unpriced

__all__ = ["Judged", "quality_gates", "refuse_unknown_names", "unmeasured_gates"]


class Judged(NamedTuple):
    """One run on one split."""

    evaluation: Evaluation
    predictions: Predictions


class _Wanted(NamedTuple):
    """One limit on quality."""

    limit: str
    label: str
    bound: float
    at_most: bool = False


class _Costs(NamedTuple):
    table: np.ndarray
    dearest: float
    note: str


def refuse_unknown_names(brief: Brief, classes: Sequence[str]) -> None:
    """Refuses limits and costs that speak of what the dataset does not have.

    Raises:
        InvalidConfig: a name is neither a class of the dataset nor a rule of the brief.
    """
    known = (*classes, *_rules(brief))
    for name in brief.limits.recall:
        if name not in known:
            raise InvalidConfig(
                "brief.recall-of-no-class",
                '[brief.limits] wants a recall of "{name}", which is neither a class nor a rule.{meant} '
                "Known: {known}.",
                do="Correct the name in darkroom.toml.",
                name=name,
                meant=nearest(name, known),
                known=", ".join(known),
            )
    cost_table(brief.mistakes, classes, _rules(brief))


def quality_gates(brief: Brief, judged: Sequence[Judged], *, alike: bool) -> tuple[Gate, ...]:
    """Returns a gate per limit and run, and one per limit over clones.

    Clones differ by chance alone, so their mean decides. Among runs of different recipes one that holds is
    enough, since one of them is going to be chosen.

    Args:
        brief: the limits, costs and rules.
        judged: the runs, on the same images.
        alike: whether they are clones: of one recipe.

    Raises:
        InvalidConfig: a name is neither a class nor a rule.
    """
    refuse_unknown_names(brief, judged[0].evaluation.labels)
    gates: list[Gate] = []
    for wanted in _wanted(brief):
        rows = [_gate(brief, wanted, one) for one in judged]
        if len(rows) > 1:
            mean = _over_clones(brief, wanted, judged) if alike else None
            decides = mean is None and all(row.verdict == "fail" for row in rows)
            rows = [row.model_copy(update={"decides": decides}) for row in rows]
            rows += [mean] if mean is not None else []
        gates += rows
    return tuple(gates)


def unmeasured_gates(brief: Brief, subject: str, split: str, note: str) -> tuple[Gate, ...]:
    """Returns a gate per limit on quality that says why there is no figure."""
    return tuple(_blank(wanted, subject, split, note) for wanted in _wanted(brief))


def _wanted(brief: Brief) -> Iterator[_Wanted]:
    limits = brief.limits
    if limits.accuracy is not None:
        yield _Wanted("accuracy", "", limits.accuracy)
    for label, least in limits.recall.items():
        yield _Wanted("recall", label, least)
    if limits.expected_cost is not None:
        yield _Wanted("expected_cost", "", limits.expected_cost, at_most=True)


def _gate(brief: Brief, wanted: _Wanted, one: Judged) -> Gate:
    subject, split = one.evaluation.source.run, one.evaluation.source.split
    labels, figures = one.evaluation.labels, one.evaluation.figures
    if wanted.limit == "accuracy":
        return _held(wanted, figures.accuracy, subject, split)
    if wanted.limit == "expected_cost":
        costs = _costs(brief, labels)
        if isinstance(costs, str):
            return _blank(wanted, subject, split, costs)
        figure = cost_interval(
            _paid(costs, one.predictions),
            costs.dearest,
            one.predictions.groups,
            draws=one.evaluation.draws,
            seed=one.evaluation.seed,
        )
        return _held(wanted, figure, subject, split, step=costs.dearest, note=costs.note)
    if wanted.label not in labels:
        return _blank(wanted, subject, split, _no_class(wanted.label))
    recall = figures.classes[labels.index(wanted.label)].recall
    if recall is None:
        return _blank(wanted, subject, split, f'no picture of "{wanted.label}" in {split}')
    return _held(wanted, recall, subject, split)


def _over_clones(brief: Brief, wanted: _Wanted, judged: Sequence[Judged]) -> Gate | None:
    """Returns the gate of the mean over clones; None where a single clone has no figure.

    Two things move that mean: other images (drawn, of the mean over clones per image) and other seeds (the
    t interval over clones). Their half-widths are added in squares.

    Source: variances of independent causes add; Student, 1908, for the seeds.
    """
    first = judged[0]
    values = _per_image(brief, wanted, first)
    if values is None:
        return None
    per_clone = [values(one.predictions) for one in judged]
    groups, step = values.groups, values.step
    level, draws, seed = first.evaluation.level, first.evaluation.draws, first.evaluation.seed
    mean = np.mean(per_clone, axis=0) / step
    images = bootstrap_interval(mean, groups, level=level, draws=draws, seed=seed)
    seeds = spread([float(one.mean()) / step for one in per_clone], level=level).interval
    beside = seeds.high - seeds.value if seeds is not None else 0.0
    figure = _widened(images, beside, largest=1.0)
    subject, split = f"mean of {len(judged)} clones", first.evaluation.source.split
    gate = _held(wanted, _times(figure, step), subject, split, note=values.note)
    if gate.verdict != "not enough evidence":
        return gate
    more, note = _more_beside(images, wanted.bound / values.step, beside)
    return gate.model_copy(update={"more_images": more, "note": _joined(values.note, note)})


class _PerImage(NamedTuple):
    """One value per image that counts for a limit."""

    of: Callable[[Predictions], np.ndarray]
    groups: Sequence[str | None] | None
    step: float = 1.0
    """The most that one image can add."""
    note: str = ""

    def __call__(self, predictions: Predictions) -> np.ndarray:
        return self.of(predictions).astype(np.float64)


def _per_image(brief: Brief, wanted: _Wanted, one: Judged) -> _PerImage | None:
    labels, answers = one.evaluation.labels, one.predictions
    if wanted.limit == "accuracy":
        return _PerImage(lambda found: found.answers == found.labels, answers.groups)
    if wanted.limit == "expected_cost":
        costs = _costs(brief, labels)
        if isinstance(costs, str):
            return None
        return _PerImage(lambda found: _paid(costs, found), answers.groups, costs.dearest, costs.note)
    if wanted.label not in labels:
        return None
    shows = np.flatnonzero(answers.labels == labels.index(wanted.label))
    if not shows.size:
        return None
    groups = None if answers.groups is None else [answers.groups[place] for place in shows.tolist()]
    return _PerImage(lambda found: (found.answers == found.labels)[shows], groups)


def _held(
    wanted: _Wanted, figure: Interval, subject: str, split: str, *, step: float = 1.0, note: str = ""
) -> Gate:
    """Returns the gate of a figure with its interval."""
    verdict = against_limit(figure, wanted.bound, at_most=wanted.at_most)
    more = None
    if verdict == "not enough evidence":
        more = images_to_settle(figure, wanted.bound, step=step)
        note = _joined(note, "" if more is not None else ON_THE_LIMIT)
    return _blank(wanted, subject, split, note).model_copy(
        update={
            "value": figure.value,
            "interval": figure,
            "verdict": verdict,
            "missed_by": abs(figure.value - wanted.bound) if verdict == "fail" else None,
            "more_images": more,
        }
    )


ON_THE_LIMIT = "the figure lies on the limit, so that no number of pictures settles it"
ON_IT = 1e-9
MORE_CLONES = "pictures alone do not settle it: the seeds differ too much; train more clones"


def _more_beside(images: Interval, limit: float, beside: float) -> tuple[int | None, str]:
    """Returns how many more images would settle it while the seeds' share of the interval stays."""
    distance = abs(images.value - limit)
    if distance <= ON_IT:
        return None, ON_THE_LIMIT
    if distance <= beside:
        return None, MORE_CLONES
    left = math.sqrt(distance**2 - beside**2)
    side = 1 if limit > images.value else -1
    more = images_to_settle(images, images.value + side * left)
    return more, "" if more is not None else ON_THE_LIMIT


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _widened(figure: Interval, beside: float, *, largest: float) -> Interval:
    low = figure.value - math.hypot(figure.value - figure.low, beside)
    high = figure.value + math.hypot(figure.high - figure.value, beside)
    ends = {"low": max(0.0, low), "high": min(largest, high)}
    return figure.model_copy(update=ends | {"method": f"{figure.method}, and t over seeds"})


def _times(figure: Interval, step: float) -> Interval:
    ends = {end: getattr(figure, end) * step for end in ("value", "low", "high")}
    return figure.model_copy(update=ends)


def _blank(wanted: _Wanted, subject: str, split: str, note: str) -> Gate:
    return Gate(
        limit=wanted.limit,
        label=wanted.label,
        bound=wanted.bound,
        at_most=wanted.at_most,
        unit="cost" if wanted.limit == "expected_cost" else "share",
        subject=subject,
        split=split,
        verdict="not measured",
        note=note,
    )


def _costs(brief: Brief, labels: Sequence[str]) -> _Costs | str:
    """Returns the table of costs, or why there is none."""
    table = cost_table(brief.mistakes, labels, _rules(brief))
    dearest = float(table.max())
    if dearest == 0:
        return "no mistake has a cost; write what they cost under [[brief.mistakes]] in darkroom.toml"
    free = unpriced(brief.mistakes, labels)
    pairs = len(labels) * (len(labels) - 1)
    note = f"{free} of {pairs} kinds of mistakes have no entry and count as 0" if free else ""
    return _Costs(table, dearest, note)


def _paid(costs: _Costs, predictions: Predictions) -> np.ndarray:
    return costs.table[predictions.labels, predictions.answers]


def _rules(brief: Brief) -> tuple[str, ...]:
    return tuple(rule.name for rule in brief.rules)


def _no_class(name: str) -> str:
    return (
        f'no class is called like the rule "{name}"; label pictures that break it with that name and '
        "freeze the dataset again, and its recall is measured"
    )
