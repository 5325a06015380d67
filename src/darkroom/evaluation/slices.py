"""Accuracy on parts of the images that share a fact; a part is called out with evidence alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.evaluation.findings import Slice, Slices, SliceVerdict
from darkroom.statistics import (
    bootstrap_interval,
    fisher_two_sided,
    group_codes,
    grouped_two_sided,
    holm,
)
from darkroom.statistics.bootstrap import Groups

__all__ = ["SMALLEST", "Column", "find_slices", "in_quarters", "named_column"]

SMALLEST = 30
"""Images that a slice needs for a verdict, and as many outside it: with fewer an accuracy of 0.9 moves by
±0.11 with the images."""

FEWEST_GROUPS = 10
"""Groups that a slice needs where images come in groups. Source: Cameron, Gelbach and Miller, 2008."""

MOST_VALUES = 12
"""Values of one attribute that are looked at; the rest are put together."""

LEVEL = 0.05

UNKNOWN = "unknown"


class Column(NamedTuple):
    """A fact about each of N images."""

    attribute: str
    codes: np.ndarray
    """(N,) int, place in `values`."""
    values: tuple[str, ...]
    is_group: bool = False
    """Whether each value is one group of images: its images then count one by one."""


def named_column(attribute: str, names: Sequence[str], *, is_group: bool = False) -> Column:
    """Returns a column of names; an empty one is "unknown", and rare ones are put together."""
    counts = Counter(name or UNKNOWN for name in names)
    common = [name for name, _ in counts.most_common()]
    kept = common[:MOST_VALUES] if len(common) > MOST_VALUES + 1 else common
    values = list(kept)
    if len(common) > len(kept):
        values.append(f"{len(common) - len(kept)} others")
    places = {name: place for place, name in enumerate(kept)}
    codes = np.fromiter((places.get(name or UNKNOWN, len(kept)) for name in names), np.int64, len(names))
    return Column(attribute, codes, tuple(values), is_group)


def in_quarters(attribute: str, figures: np.ndarray, *, digits: int = 3) -> Column:
    """Returns a column of four parts of about equally many images, by a figure; NaN is "unknown".

    Args:
        attribute: what is measured, with its unit.
        figures: (N,) float.
        digits: how many digits of the parts' ends are shown.
    """
    known = figures[np.isfinite(figures)]
    if not known.size:
        return Column(attribute, np.zeros(len(figures), np.int64), (UNKNOWN,))
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="lower"))
    edges = edges[edges < known.max()]
    codes = np.searchsorted(edges, figures, side="left")  # NaN sorts last
    values = []
    for place in range(len(edges) + 1):
        inside = known[np.searchsorted(edges, known, side="left") == place]
        low, high = f"{inside.min():.{digits}g}", f"{inside.max():.{digits}g}"
        values.append(low if low == high else f"{low} to {high}")
    if known.size < len(figures):
        codes = np.where(np.isfinite(figures), codes, len(values))
        values.append(UNKNOWN)
    return Column(attribute, codes, tuple(values))


def find_slices(
    right: np.ndarray,
    columns: Sequence[Column],
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Slices:
    """Compares each slice with all other images, and corrects for having looked that often.

    Args:
        right: (N,) bool, whether the answer is right.
        columns: what is known of the images.
        groups: images of one group are drawn, and compared, together.
        level: share of the intervals that hold the true accuracy.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Source: Fisher's exact test, or with groups a test on sums by group; Holm's correction. See
        `statistics.looks`.
    """
    codes, _ = group_codes(groups, len(right))
    rows: list[Slice] = []
    left_out: dict[str, str] = {}
    for column in columns:
        found = np.bincount(column.codes, minlength=len(column.values))
        if (found > 0).sum() < 2:
            only = column.values[int(found.argmax())]
            left_out[column.attribute] = "not known" if only == UNKNOWN else f"always {only}"
            continue
        for place in np.flatnonzero(found).tolist():
            inside = column.codes == place
            facts = (column.attribute, column.values[place])
            own = None if column.is_group else codes
            rows.append(_slice(facts, right, inside, own, level, draws, seed))
    return _called_out(rows, left_out)


def _slice(
    facts: tuple[str, str],
    right: np.ndarray,
    inside: np.ndarray,
    codes: np.ndarray | None,
    level: float,
    draws: int,
    seed: int,
) -> Slice:
    mine, others = right[inside], right[~inside]
    own = None if codes is None else [str(code) for code in codes[inside].tolist()]
    return Slice(
        attribute=facts[0],
        value=facts[1],
        count=len(mine),
        accuracy=bootstrap_interval(mine, own, level=level, draws=draws, seed=seed),
        others=float(others.mean()),
        p_value=_p_value(right, inside, codes),
        verdict="too few",
    )


def _p_value(right: np.ndarray, inside: np.ndarray, codes: np.ndarray | None) -> float | None:
    """Returns the p-value of "as accurate as the others"; None where there is too little to tell."""
    count, others = int(inside.sum()), int((~inside).sum())
    if min(count, others) < SMALLEST:
        return None
    if codes is None:
        hits = int(right[inside].sum())
        return fisher_two_sided(hits, count, int(right.sum()) - hits, others)
    if min(len(np.unique(codes[inside])), len(np.unique(codes[~inside]))) < FEWEST_GROUPS:
        return None
    return grouped_two_sided(right.astype(np.float64), inside, codes)


def _called_out(rows: list[Slice], left_out: dict[str, str]) -> Slices:
    tested = [place for place, row in enumerate(rows) if row.p_value is not None]
    adjusted = holm([row.p_value for row in rows if row.p_value is not None])
    for place, corrected in zip(tested, adjusted, strict=True):
        row = rows[place]
        verdict: SliceVerdict = "no difference shown"
        if corrected <= LEVEL:
            verdict = "worse" if row.accuracy.value < row.others else "better"
        rows[place] = row.model_copy(update={"adjusted_p_value": corrected, "verdict": verdict})
    rank = {"worse": 0, "better": 1}
    ordered = sorted(rows, key=lambda row: rank.get(row.verdict, 2))  # the others stay in their order
    return Slices(
        slices=tuple(ordered), looks=len(tested), smallest=SMALLEST, level=LEVEL, left_out=left_out
    )
