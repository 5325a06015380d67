"""Hold the limits on quality (accuracy, recall, expected cost) against what runs answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import InvalidConfig, nearest
from darkroom.evaluation.held import Wanted, blank, held, over_clones
from darkroom.evaluation.operating import Prices, prices_of
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import Evaluation
from darkroom.records import Brief, Gate, OperatingPoint
from darkroom.statistics import bootstrap_interval
from darkroom.tasks.costs import cost_interval, cost_table
from darkroom.tasks.operating import decide

__all__ = ["Judged", "quality_gates", "refuse_unknown_names", "unmeasured_gates", "wanted_of"]

OF_OTHERS = {
    "mean_ap": "for several labels per picture; this model answers one class",
    "miou": "for segmentation; this model answers for whole pictures",
    "iou": "for segmentation; this model answers for whole pictures",
}
"""Limits for other tasks alone."""


class Judged(NamedTuple):
    """One run on one split."""

    evaluation: Evaluation
    predictions: Predictions
    point: OperatingPoint = OperatingPoint()
    """The operating point that costs are counted at."""


def refuse_unknown_names(brief: Brief, classes: Sequence[str]) -> None:
    """Refuses limits and costs that speak of what the dataset does not have.

    Raises:
        InvalidConfig: a name is neither a class of the dataset nor a rule of the brief.
    """
    known = (*classes, *_rules(brief))
    for name in brief.limits.iou:
        if name not in classes:
            raise InvalidConfig(
                "brief.iou-of-no-class",
                '[brief.limits] wants an IoU of "{name}", which is no class.{meant} Known: {known}.',
                do="Correct the name in darkroom.toml.",
                name=name,
                meant=nearest(name, classes),
                known=", ".join(classes),
            )
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
    for wanted in wanted_of(brief):
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
    return tuple(blank(wanted, subject, split, note) for wanted in wanted_of(brief))


def wanted_of(brief: Brief) -> Iterator[Wanted]:
    """Yields the limits on quality that the brief sets, of any task."""
    limits = brief.limits
    if limits.accuracy is not None:
        yield Wanted("accuracy", "", limits.accuracy)
    for label, least in limits.recall.items():
        yield Wanted("recall", label, least)
    if limits.expected_cost is not None:
        yield Wanted("expected_cost", "", limits.expected_cost, at_most=True)
    if limits.mean_ap is not None:
        yield Wanted("mean_ap", "", limits.mean_ap)
    if limits.miou is not None:
        yield Wanted("miou", "", limits.miou)
    for label, least in limits.iou.items():
        yield Wanted("iou", label, least)


def _gate(brief: Brief, wanted: Wanted, one: Judged) -> Gate:
    subject, split = one.evaluation.source.run, one.evaluation.source.split
    labels, figures = one.evaluation.labels, one.evaluation.figures
    if wanted.limit in OF_OTHERS:
        return blank(wanted, subject, split, OF_OTHERS[wanted.limit])
    if wanted.limit == "accuracy":
        return held(wanted, figures.accuracy, subject, split)
    if wanted.limit == "expected_cost":
        costs = _costs(brief, labels)
        if isinstance(costs, str):
            return blank(wanted, subject, split, costs)
        figure = cost_interval(
            _paid(costs, one),
            costs.dearest,
            one.predictions.groups,
            draws=one.evaluation.draws,
            seed=one.evaluation.seed,
        )
        return held(wanted, figure, subject, split, step=costs.dearest, note=costs.note)
    if wanted.label not in labels:
        return blank(wanted, subject, split, _no_class(wanted.label))
    recall = figures.classes[labels.index(wanted.label)].recall
    if recall is None:
        return blank(wanted, subject, split, f'no picture of "{wanted.label}" in {split}')
    return held(wanted, recall, subject, split)


def _over_clones(brief: Brief, wanted: Wanted, judged: Sequence[Judged]) -> Gate | None:
    """Returns the gate of the mean over clones; None where a single clone has no figure.

    The images are drawn once for all, of the mean over clones per image.
    """
    first = judged[0]
    values = _per_image(brief, wanted, first)
    if values is None:
        return None
    per_clone = [values(one) for one in judged]
    groups, step = values.groups, values.step
    level, draws, seed = first.evaluation.level, first.evaluation.draws, first.evaluation.seed
    mean = np.mean(per_clone, axis=0) / step
    images = bootstrap_interval(mean, groups, level=level, draws=draws, seed=seed)
    values_of_clones = [float(one.mean()) / step for one in per_clone]
    subject, split = f"mean of {len(judged)} clones", first.evaluation.source.split
    return over_clones(wanted, images, values_of_clones, subject, split, step=step, note=values.note)


class _PerImage(NamedTuple):
    """One value per image that counts for a limit."""

    of: Callable[[Judged], np.ndarray]
    groups: Sequence[str | None] | None
    step: float = 1.0
    """The most that one image can add."""
    note: str = ""

    def __call__(self, one: Judged) -> np.ndarray:
        return self.of(one).astype(np.float64)


def _per_image(brief: Brief, wanted: Wanted, one: Judged) -> _PerImage | None:
    labels, answers = one.evaluation.labels, one.predictions
    if wanted.limit in OF_OTHERS:
        return None
    if wanted.limit == "accuracy":
        return _PerImage(_right, answers.groups)
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
    return _PerImage(lambda found: _right(found)[shows], groups)


def _costs(brief: Brief, labels: Sequence[str]) -> Prices | str:
    """Returns what answers cost, or why nobody knows."""
    prices = prices_of(brief, labels)
    if prices is None:
        return "no mistake has a cost; write what they cost under [[brief.mistakes]] in darkroom.toml"
    return prices._replace(note=prices.note.replace(" in the brief", "").removesuffix("."))


def _paid(costs: Prices, one: Judged) -> np.ndarray:
    """Returns what each image costs at the run's operating point."""
    found = decide(one.predictions.probabilities, one.evaluation.labels, one.point)
    return costs.paid(one.predictions.labels, found)


def _right(one: Judged) -> np.ndarray:
    return one.predictions.answers == one.predictions.labels


def _rules(brief: Brief) -> tuple[str, ...]:
    return tuple(rule.name for rule in brief.rules)


def _no_class(name: str) -> str:
    return (
        f'no class is called like the rule "{name}"; label pictures that break it with that name and '
        "freeze the dataset again, and its recall is measured"
    )
