"""How pictures lie among each other in features: groups of errors, and what retrieval finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval
from darkroom.records.record import Fact
from darkroom.statistics import bootstrap_interval, wilson

__all__ = ["ErrorGroup", "ErrorGroups", "Retrieval", "average_linkage", "group_errors", "measure_retrieval"]

SMALLEST = 5
"""Errors that a group needs: fewer may lie together by chance."""

MOST_GROUPS = 12
MOST_ERRORS = 1500
"""Errors that are grouped; of more, so many are drawn at random. Their distances fill 18 MB."""

CELLS_AT_ONCE = 4_000_000
"""Likenesses of queries to the gallery that are in memory together."""

BLOCK_ROWS = 4096


class ErrorGroup(Fact):
    """Errors that lie close to each other."""

    name: str
    """Its commonest mistake."""
    count: int
    pairs: tuple[tuple[str, str, int], ...]
    """What is right, what was answered, how often; the commonest first."""
    image_ids: tuple[str, ...]
    """Its pictures, the one nearest to its middle first."""
    around: int
    """Pictures of the split, right ones too, that lie as close to its middle as half of its errors do."""
    error_rate: Interval
    """Share of errors among these."""


class ErrorGroups(Fact):
    """The errors of a run in groups."""

    groups: tuple[ErrorGroup, ...]
    """The largest first."""
    errors: int
    """All of them, drawn or not."""
    alone: int
    """Of those that were looked at, errors in no group of at least `smallest`."""
    smallest: int = SMALLEST
    error_rate: Interval | None = None
    """Over all pictures of the split."""
    drawn: int = 0
    """Errors that were drawn for grouping; 0 for all."""


class Retrieval(Fact):
    """What is found when each picture asks for those most like it."""

    queries: int
    gallery: int
    precision: dict[int, Interval]
    """For each k: share of the k nearest that are of the picture's class, mean over queries."""
    recall: dict[int, Interval]
    """For each k: share of the class's pictures that are among the k nearest, mean over queries."""
    chance: float
    """The precision of drawing blindly."""
    classes: dict[str, Interval]
    """Precision at the smallest k, by class."""


def group_errors(
    rows: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    image_ids: Sequence[str],
    classes: Sequence[str],
    groups: Sequence[str | None] | None = None,
    *,
    smallest: int = SMALLEST,
    seed: int = 0,
) -> ErrorGroups:
    """Puts errors into groups of pictures that are alike, and says how much is wrong around each.

    Groups are merged by mean distance; of all numbers of groups the one is kept whose errors lie closest to
    their own group against the next one.

    Args:
        rows: (N, D) float, a vector per picture.
        labels: (N,) int, what is right.
        answers: (N,) int, what was answered.
        image_ids: of the N pictures.
        classes: names of the classes.
        groups: of the N pictures; those of one group are drawn together.
        smallest: errors that a group needs.
        seed: of drawing, where there are very many errors.

    Source: average linkage: Sokal and Michener, 1958; number of groups: Rousseeuw, Silhouettes, 1987.
    """
    wrong = np.flatnonzero(labels != answers)
    errors, drawn = len(wrong), len(wrong) > MOST_ERRORS
    rate = bootstrap_interval((labels != answers).astype(float), groups) if len(labels) else None
    if drawn:
        wrong = np.sort(np.random.default_rng(seed).permutation(wrong)[:MOST_ERRORS])
    if len(wrong) < smallest:
        return ErrorGroups(groups=(), errors=errors, alone=errors, smallest=smallest, error_rate=rate)
    apart = _distances(rows[wrong], rows[wrong])
    codes = _best_cut(apart, average_linkage(apart), smallest)
    found = [
        _group(rows, wrong[codes == code], labels, answers, image_ids, classes)
        for code in range(int(codes.max()) + 1)
        if (codes == code).sum() >= smallest
    ]
    found.sort(key=lambda group: (-group.count, group.name))
    return ErrorGroups(
        groups=tuple(found),
        errors=errors,
        alone=len(wrong) - sum(group.count for group in found),
        smallest=smallest,
        error_rate=rate,
        drawn=len(wrong) if drawn else 0,
    )


def average_linkage(apart: np.ndarray) -> list[tuple[int, int, float]]:
    """Returns the n − 1 merges of n things, by increasing distance: two members, and how far apart.

    Args:
        apart: (n, n) distances.

    Source: the nearest-neighbour chain, Murtagh, A survey of recent advances in hierarchical clustering
        algorithms, 1983; mean distances by Lance and Williams, 1967.
    """
    distances, sizes = apart.astype(np.float64).copy(), np.ones(len(apart))
    np.fill_diagonal(distances, np.inf)
    open_ones, chain = np.ones(len(apart), bool), list[int]()
    merges: list[tuple[int, int, float]] = []
    while len(merges) < len(apart) - 1:
        if not chain:
            chain.append(int(np.flatnonzero(open_ones)[0]))
        while True:
            last = chain[-1]
            nearest = int(distances[last].argmin())
            if len(chain) > 1 and distances[last, chain[-2]] <= distances[last, nearest]:
                nearest = chain[-2]
                break
            chain.append(nearest)
        del chain[-2:]
        merges.append((last, nearest, float(distances[last, nearest])))
        total = sizes[last] + sizes[nearest]
        mean = (sizes[last] * distances[last] + sizes[nearest] * distances[nearest]) / total
        distances[nearest], distances[:, nearest] = mean, mean
        distances[nearest, nearest] = np.inf
        distances[last], distances[:, last] = np.inf, np.inf
        sizes[nearest], open_ones[last] = total, False
    return sorted(merges, key=lambda merge: merge[2])


def measure_retrieval(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str | None] | None = None,
    *,
    ks: Sequence[int] = (1, 5, 10),
    own: np.ndarray | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Retrieval:
    """Lets each picture ask for the pictures most like it, by the angle between their vectors.

    Args:
        queries: (n, D) float.
        gallery: (g, D) float, what is searched.
        query_labels: (n,) int.
        gallery_labels: (g,) int.
        classes: names of the classes.
        groups: of the queries; those of one group are drawn together.
        ks: how many are asked for; those above what the gallery holds are left out.
        own: (n,) int, the place of each query in the gallery, which is never found; −1 where it is not
            there.
        draws: how many times the queries are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: the gallery holds fewer pictures than any k, or none of the class of any query.

    Source: Manning, Raghavan and Schütze, Introduction to information retrieval, 2008, ch. 8.
    """
    own = np.full(len(queries), -1, np.int64) if own is None else own
    there = len(gallery) - int((own >= 0).any())
    fitting = sorted({k for k in ks if 0 < k <= there})
    support = np.bincount(gallery_labels, minlength=len(classes)).astype(np.float64)
    relevant = support[query_labels] - (own >= 0)
    _refuse_nothing_to_find(there, ks, fitting, relevant)
    most = fitting[-1]
    hits = _hits(queries, gallery, query_labels, gallery_labels, own, most)
    asked = relevant > 0
    kept = _of_some(groups, asked)
    sums = hits[asked].cumsum(1)
    facts: dict[str, Any] = {"draws": draws, "seed": seed}
    first = sums[:, fitting[0] - 1] / fitting[0]
    mine = query_labels[asked]
    return Retrieval(
        queries=int(asked.sum()),
        gallery=len(gallery),
        precision={k: bootstrap_interval(sums[:, k - 1] / k, kept, **facts) for k in fitting},
        recall={k: bootstrap_interval(sums[:, k - 1] / relevant[asked], kept, **facts) for k in fitting},
        chance=float((relevant[asked] / (len(gallery) - (own[asked] >= 0))).mean()),
        classes={
            label: bootstrap_interval(first[mine == number], _of_some(kept, mine == number), **facts)
            for number, label in enumerate(classes)
            if (mine == number).any()
        },
    )


def _refuse_nothing_to_find(
    there: int, ks: Sequence[int], fitting: Sequence[int], relevant: np.ndarray
) -> None:
    if not fitting:
        raise Invalid(
            "retrieval.k-too-large",
            "A picture can find {there} others at most. Asked for: {ks}.",
            do="Ask for fewer: --ks 1",
            there=there,
            ks=", ".join(map(str, sorted(ks))) or "none",
        )
    if not (relevant > 0).any():
        raise Invalid(
            "retrieval.nothing-to-find",
            "No picture that asks has another one of its class among those that are searched.",
            do="Search a split that has more of each class: --gallery train",
        )


def _of_some(groups: Sequence[str | None] | None, chosen: np.ndarray) -> list[str | None] | None:
    return None if groups is None else [groups[place] for place in np.flatnonzero(chosen).tolist()]


def _hits(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    own: np.ndarray,
    most: int,
) -> np.ndarray:
    """Says of the nearest pictures of each query, the nearest first, whether they are of its class."""
    hits = np.empty((len(queries), most), bool)
    flat, step = _unit(gallery), max(1, CELLS_AT_ONCE // len(gallery))
    for start in range(0, len(queries), step):
        part = slice(start, min(start + step, len(queries)))
        alike = _unit(queries[part]) @ flat.T
        mine = np.flatnonzero(own[part] >= 0)
        alike[mine, own[part][mine]] = -np.inf
        near = np.argpartition(-alike, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(alike, near, 1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, 1)
        hits[part] = gallery_labels[near] == query_labels[part][:, None]
    return hits


def _group(
    rows: np.ndarray,
    members: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    image_ids: Sequence[str],
    classes: Sequence[str],
) -> ErrorGroup:
    middle = _unit(rows[members]).mean(0, keepdims=True)
    from_middle = _distances(rows[members], middle)[:, 0]
    reach = float(np.median(from_middle))
    near = np.flatnonzero(_to_middle(rows, middle) <= reach + 1e-9)
    wrong = int((labels[near] != answers[near]).sum())
    kinds = Counter(zip(labels[members].tolist(), answers[members].tolist(), strict=True)).most_common(5)
    pairs = tuple((classes[int(truth)], classes[int(answer)], count) for (truth, answer), count in kinds)
    truth, answer, count = pairs[0]
    ordered = members[np.lexsort((members, from_middle))]
    return ErrorGroup(
        name=f"{truth} answered {answer}" + ("" if count == len(members) else " and others"),
        count=len(members),
        pairs=pairs,
        image_ids=tuple(image_ids[int(place)] for place in ordered.tolist()),
        around=len(near),
        error_rate=wilson(wrong, len(near)),
    )


def _best_cut(apart: np.ndarray, merges: Sequence[tuple[int, int, float]], smallest: int) -> np.ndarray:
    """Returns the group (n,) of each thing, for the number of groups that sets them apart best."""
    count = len(apart)
    best, chosen = -np.inf, np.zeros(count, np.int64)
    for groups in range(2, min(MOST_GROUPS * 2, count // 2) + 1):
        codes = _cut(count, merges, groups)
        sizes = np.bincount(codes)
        if (sizes >= smallest).sum() < 2:
            continue
        score = _silhouette(apart, codes)
        if score > best + 1e-12:
            best, chosen = score, codes
    return chosen


def _cut(count: int, merges: Sequence[tuple[int, int, float]], groups: int) -> np.ndarray:
    parents = np.arange(count)

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = int(parents[place])
        return place

    for first, second, _ in merges[: count - groups]:
        parents[root(first)] = root(second)
    return np.unique([root(place) for place in range(count)], return_inverse=True)[1].reshape(-1)


def _silhouette(apart: np.ndarray, codes: np.ndarray) -> float:
    """Returns the mean silhouette; one that is alone in its group counts 0."""
    sizes = np.bincount(codes).astype(np.float64)
    sums = np.zeros((len(codes), len(sizes)))
    for code in range(len(sizes)):
        sums[:, code] = apart[:, codes == code].sum(1)
    places = np.arange(len(codes))
    within = sums[places, codes] / np.maximum(sizes[codes] - 1, 1)
    means = sums / sizes
    means[places, codes] = np.inf
    beside = means.min(1)
    scores = np.where(
        sizes[codes] > 1, (beside - within) / np.maximum(np.maximum(beside, within), 1e-12), 0
    )
    return float(scores.mean())


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns 1 − cosine of the angle, (n, m) float64."""
    return np.maximum(1 - _unit(first).astype(np.float64) @ _unit(second).astype(np.float64).T, 0)


def _to_middle(rows: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Returns the distance (N,) of each row from a middle (1, D), some rows at a time."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK_ROWS):
        found[start : start + BLOCK_ROWS] = _distances(rows[start : start + BLOCK_ROWS], middle)[:, 0]
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
