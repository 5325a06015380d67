"""Hold limits on quality (mean AP, exact match, recall per label) against runs that answer label sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from darkroom.evaluation.clones import shared_places
from darkroom.evaluation.gates import refuse_unknown_names, wanted_of
from darkroom.evaluation.held import Wanted, blank, held, over_clones
from darkroom.evaluation.label_set_clones import LabelSetsJudged
from darkroom.evaluation.label_set_ranking import draw_images, drawn_mean_ap
from darkroom.records import Brief, Gate, Interval
from darkroom.statistics import bootstrap_interval, group_codes, percentile_interval

__all__ = ["label_set_gates"]

NOTES = {
    "expected_cost": "the brief's costs are about one class taken for another, not about sets of labels",
    "miou": "for segmentation; this model answers for whole pictures",
    "iou": "for segmentation; this model answers for whole pictures",
}


def label_set_gates(brief: Brief, judged: Sequence[LabelSetsJudged], *, alike: bool) -> tuple[Gate, ...]:
    """Returns a gate per limit and run, and one per limit over clones; see `quality_gates`.

    Accuracy is the share of pictures whose labels are all right.

    Args:
        brief: the limits.
        judged: the runs, on the same images.
        alike: whether they are clones: of one recipe.

    Raises:
        InvalidConfig: a name is neither a label nor a rule.
    """
    refuse_unknown_names(brief, judged[0].evaluation.labels)
    gates: list[Gate] = []

    @cache
    def rankings() -> tuple[tuple[float, np.ndarray], ...]:
        return _drawn(judged)

    for wanted in wanted_of(brief):
        rows = [_gate(wanted, one) for one in judged]
        if len(rows) > 1:
            clones = alike and all(row.value is not None for row in rows)
            mean = _over_clones(wanted, judged, rankings) if clones else None
            decides = mean is None and all(row.verdict == "fail" for row in rows)
            rows = [row.model_copy(update={"decides": decides}) for row in rows]
            rows += [mean] if mean is not None else []
        gates += rows
    return tuple(gates)


def _gate(wanted: Wanted, one: LabelSetsJudged) -> Gate:
    subject, split = one.evaluation.source.run, one.evaluation.source.split
    figures, labels = one.evaluation.figures, one.evaluation.labels
    if wanted.limit in NOTES:
        return blank(wanted, subject, split, NOTES[wanted.limit])
    if wanted.limit == "accuracy":
        return held(wanted, figures.exact_match, subject, split, note="pictures whose labels are all right")
    if wanted.limit == "mean_ap":
        if figures.mean_ap is None:
            return blank(wanted, subject, split, f"no picture in {split} has a label")
        return held(wanted, figures.mean_ap, subject, split)
    if wanted.label not in labels:
        return blank(wanted, subject, split, f'"{wanted.label}" is a rule, and no label')
    recall = figures.classes[labels.index(wanted.label)].recall
    if recall is None:
        return blank(wanted, subject, split, f'no picture in {split} has "{wanted.label}"')
    return held(wanted, recall, subject, split)


def _over_clones(wanted: Wanted, judged: Sequence[LabelSetsJudged], rankings) -> Gate | None:
    """Returns the gate of the mean over clones; the images are drawn once for all of them."""
    first = judged[0].evaluation
    subject, split = f"mean of {len(judged)} clones", first.source.split
    if wanted.limit == "mean_ap":
        found = rankings()
        values = [value for value, _ in found]
        mean = float(np.mean(values))
        drawn = np.mean([draws for _, draws in found], axis=0)
        groups, count = judged[0].predictions.groups, first.figures.count
        _, method = group_codes(groups, count)
        images = percentile_interval(mean, drawn, level=first.level, count=count, method=method)
        return over_clones(wanted, images, values, subject, split)
    per_clone, groups = _per_image(wanted, judged)
    images = _mean_of(per_clone, groups, judged)
    return over_clones(wanted, images, [float(one.mean()) for one in per_clone], subject, split)


def _per_image(
    wanted: Wanted, judged: Sequence[LabelSetsJudged]
) -> tuple[list[np.ndarray], list[str | None] | None]:
    """Returns what counts for a limit, one value per image and clone, and the groups of these images."""
    places = shared_places([one.predictions for one in judged])
    found = [(one.truth[at], one.given[at]) for one, at in zip(judged, places, strict=True)]
    groups = judged[0].predictions.groups
    own = None if groups is None else [groups[place] for place in places[0].tolist()]
    if wanted.limit == "accuracy":
        return [(truth == answer).all(axis=1).astype(float) for truth, answer in found], own
    at = judged[0].evaluation.labels.index(wanted.label)
    having = np.flatnonzero(found[0][0][:, at])
    own = None if own is None else [own[place] for place in having.tolist()]
    return [answer[having, at].astype(float) for _, answer in found], own


def _mean_of(
    per_clone: Sequence[np.ndarray], groups: Sequence[str | None] | None, judged: Sequence[LabelSetsJudged]
) -> Interval:
    first = judged[0].evaluation
    mean = np.mean(per_clone, axis=0)
    return bootstrap_interval(mean, groups, level=first.level, draws=first.draws, seed=first.seed)


def _drawn(judged: Sequence[LabelSetsJudged]) -> tuple[tuple[float, np.ndarray], ...]:
    """Returns the mean AP of each clone on the images that all saw, and that of the same draws."""
    places = shared_places([one.predictions for one in judged])
    groups = judged[0].predictions.groups
    own = None if groups is None else [groups[place] for place in places[0].tolist()]
    weights = draw_images(len(places[0]), own, seed=judged[0].evaluation.seed)
    return tuple(
        drawn_mean_ap(one.truth[at], np.asarray(one.predictions.probabilities)[at], own, weights)
        for one, at in zip(judged, places, strict=True)
    )
