"""Share pictures out between train, val and test: without leaks, and for ever.

What a picture or a group was given once, it keeps. Pictures of one group lie together. The others are
taken in the order of a hash of their id, so that neither the order of files nor that of time matters,
and each goes where its class lacks most. Pictures with several labels go label by label, the rarest first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from darkroom.datasets.plan import SplitPlan
from darkroom.records import Split

__all__ = ["SEPARATOR", "Candidate", "Placement", "place", "split_keys"]

SEPARATOR = "|"
"""Between the labels of a picture that has several."""

_SHARED: tuple[Split, ...] = ("train", "val", "test")
_FEWEST_FOR_ALL = 3  # pictures of a class from which on every split gets one


class Candidate(NamedTuple):
    """A labelled picture that wants a split."""

    image_id: str
    label: str
    group: str | None = None
    sequence: int = 0
    """The annotation event that gave the label."""


class Placement(NamedTuple):
    """Where the pictures go."""

    splits: dict[str, Split]
    """Picture → split."""
    new: dict[str, Split]
    """Key → split, for those keys that had none."""
    crossing: list[str]
    """Pictures that lie in another split than the rest of their group, since before they joined it."""


class _Unit(NamedTuple):
    """Pictures that go together: a group, or one picture."""

    key: str
    stratum: str
    members: list[Candidate]
    held: Split | None
    """The split that it has."""
    may: tuple[Split, ...]
    """The splits that it may get."""


def split_keys(candidates: Iterable[Candidate]) -> list[str]:
    """Returns the keys under which the catalogue keeps the splits of pictures and their groups."""
    keys: dict[str, None] = {}
    for candidate in candidates:
        keys[f"image:{candidate.image_id}"] = None
        if candidate.group:
            keys[f"group:{candidate.group}"] = None
    return list(keys)


def place(
    candidates: Sequence[Candidate],
    plan: SplitPlan,
    *,
    held: Mapping[str, Split],
    by_source: Mapping[str, Split],
    sets: bool = False,
) -> Placement:
    """Gives each picture a split.

    Args:
        candidates: the pictures; their order does not matter.
        plan: shares, seed, and what is respected.
        held: key → split that was given before, and stays.
        by_source: key of a picture → split that its source says; only looked at where the plan says so.
        sets: whether each picture has any number of labels, also none.
    """
    by_source = by_source if plan.respect_source_splits else {}
    units = _units(candidates, plan, held, by_source)
    if sets and plan.stratify:
        return _placement(units, _share_out_sets(units, plan), held)
    chosen: dict[str, Split] = {}
    strata: dict[str, list[_Unit]] = {}
    for unit in units:
        strata.setdefault(unit.stratum, []).append(unit)
    for stratum in strata.values():
        chosen.update(_share_out(stratum, plan))
    return _placement(units, chosen, held)


def _units(
    candidates: Sequence[Candidate],
    plan: SplitPlan,
    held: Mapping[str, Split],
    by_source: Mapping[str, Split],
) -> list[_Unit]:
    together: dict[str, list[Candidate]] = {}
    for one in sorted(candidates):
        together.setdefault(f"group:{one.group}" if one.group else f"image:{one.image_id}", []).append(one)
    shares: dict[Split, float] = {"train": 1, "val": plan.val_share, "test": plan.test_share}
    asked: tuple[Split, ...] = tuple(split for split in _SHARED if shares[split] > 0)
    said = {by_source[key] for key in split_keys(candidates) if key in by_source}
    missing: tuple[Split, ...] = tuple(split for split in asked if split == "train" or split not in said)
    units: list[_Unit] = []
    for key, members in together.items():
        of_source = _vote(by_source, members)
        pinned = held.get(key) or _vote(held, members) or (of_source if of_source != "train" else None)
        may = missing if of_source == "train" else asked
        units.append(_Unit(key, _stratum(members) if plan.stratify else "", members, pinned, may))
    return units


def _vote(splits: Mapping[str, Split], members: Sequence[Candidate]) -> Split | None:
    """Returns the split that most of the pictures have; None when none of them has one."""
    votes: Counter[Split] = Counter()
    for one in members:
        split = splits.get(f"image:{one.image_id}")
        if split is not None:
            votes[split] += 1
    # Of equal votes train wins: what was trained on can never be a test again.
    return min(votes, key=lambda split: (-votes[split], split != "train", split)) if votes else None


def _stratum(members: Sequence[Candidate]) -> str:
    labels = Counter(one.label for one in members)
    return min(labels, key=lambda label: (-labels[label], label))


def _share_out(units: Sequence[_Unit], plan: SplitPlan) -> dict[str, Split]:
    """Gives the units of one stratum their splits, each where most is missing."""
    free = sorted((unit for unit in units if unit.held is None), key=lambda unit: _rank(unit.key, plan))
    have: Counter[Split] = Counter()
    for unit in units:
        if unit.held is not None:
            have[unit.held] += len(unit.members)
    open_to_some = {split for unit in free for split in unit.may}
    count = sum(have[split] for split in _SHARED) + sum(len(unit.members) for unit in free)
    wanted = _wanted(count, plan, {split: have[split] for split in _SHARED if split not in open_to_some})
    chosen: dict[str, Split] = {}
    for unit in free:
        split = max(unit.may, key=lambda one: (wanted[one] > 0 and not have[one], wanted[one] - have[one]))
        have[split] += len(unit.members)
        chosen[unit.key] = split
    return chosen


def _share_out_sets(units: Sequence[_Unit], plan: SplitPlan) -> dict[str, Split]:
    """Gives units of label sets their splits: of the rarest label first, each where that label lacks most.

    A picture without labels counts as one of a label of its own, so that such pictures are spread too.

    Source: Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, 2011, algorithm 1
        (iterative stratification), with the shares of `_wanted` in place of equal folds.
    """
    left = sorted((unit for unit in units if unit.held is None), key=lambda unit: _rank(unit.key, plan))
    needs = _Needs(units, {split for unit in left for split in unit.may}, plan)
    chosen: dict[str, Split] = {}
    while left:
        rarest = needs.rarest(left)
        chosen.update((unit.key, needs.place(unit, rarest)) for unit in left if rarest in _labels_of(unit))
        left = [unit for unit in left if unit.key not in chosen]
    return chosen


class _Needs:
    """How many pictures of each label each split should have, and has.

    Args:
        units: all of them; those that have a split count as placed.
        open_to_some: splits that a unit may still be given.
        plan: the shares.
    """

    _ALL = "\0"  # stands for "whatever its labels": no label can be called so

    def __init__(self, units: Sequence[_Unit], open_to_some: set[Split], plan: SplitPlan) -> None:
        totals: Counter[str] = Counter()
        self._have: dict[str, Counter[Split]] = {}
        for unit in units:
            if unit.held is None or unit.held in _SHARED:
                totals.update(self._counts(unit))
            if unit.held is not None:
                self._add(unit, unit.held)
        self._wanted: dict[str, dict[Split, int]] = {}
        for label, count in totals.items():
            have = self._have.setdefault(label, Counter())
            closed: dict[Split, int] = {
                split: have[split] for split in _SHARED if split not in open_to_some
            }
            self._wanted[label] = _wanted(count, plan, closed)

    def rarest(self, left: Sequence[_Unit]) -> str:
        """Returns the label with the fewest pictures among some units; of equal ones the first by name."""
        counts: Counter[str] = Counter()
        for unit in left:
            counts.update(_labels_of(unit))
        return min(counts, key=lambda label: (counts[label], label))

    def place(self, unit: _Unit, label: str) -> Split:
        """Gives a unit the split that lacks most of a label; of equal ones, most of all pictures."""

        def need(split: Split) -> tuple[bool, int, int]:
            wanted, have = self._wanted[label][split], self._have[label][split]
            lacks = self._wanted[self._ALL][split] - self._have[self._ALL][split]
            return (wanted > 0 and not have, wanted - have, lacks)

        split = max(unit.may, key=need)
        self._add(unit, split)
        return split

    def _add(self, unit: _Unit, split: Split) -> None:
        for label, count in self._counts(unit).items():
            self._have.setdefault(label, Counter())[split] += count

    def _counts(self, unit: _Unit) -> Counter[str]:
        return _labels_of(unit) + Counter({self._ALL: len(unit.members)})


def _labels_of(unit: _Unit) -> Counter[str]:
    """Returns how many pictures of a unit show each label; "" for those that show none."""
    return Counter(label for one in unit.members for label in one.label.split(SEPARATOR))


def _wanted(count: int, plan: SplitPlan, closed: Mapping[Split, int]) -> dict[Split, int]:
    """Returns how many of `count` pictures each split should have; a closed split keeps what it has."""
    if count < _FEWEST_FOR_ALL and not closed:
        few: list[Split] = ["train", "val" if plan.val_share else "test" if plan.test_share else "train"]
        given = Counter(few[:count])
        return {split: given[split] for split in _SHARED}
    others = 2 if plan.val_share > 0 and "val" not in closed else 1
    test = closed.get("test", _part(count, plan.test_share, others))
    val = closed.get("val", _part(count - test, plan.val_share, 1))
    return {"train": count - test - val, "val": val, "test": test}


def _part(count: int, share: float, others: int) -> int:
    """Returns a share of a number, rounded: at least one, and so that `others` get one each."""
    return max(0, min(count - others, max(1, int(count * share + 0.5)))) if share > 0 else 0


def _rank(key: str, plan: SplitPlan) -> bytes:
    return hashlib.sha256(f"{plan.seed}:{key}".encode()).digest()


def _placement(units: Sequence[_Unit], chosen: Mapping[str, Split], held: Mapping[str, Split]) -> Placement:
    placement = Placement({}, {}, [])
    for unit in units:
        split = unit.held or chosen[unit.key]
        if unit.key not in held:
            placement.new[unit.key] = split
        for one in unit.members:
            key = f"image:{one.image_id}"
            if held.get(key, split) != split:
                placement.crossing.append(one.image_id)
                continue
            placement.splits[one.image_id] = split
            if key not in held:
                placement.new[key] = split
    return placement
