"""Splits: by share and class, groups together, for ever, and whatever the order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.datasets.plan import SplitPlan
from darkroom.datasets.split import Candidate, Placement, place, split_keys
from darkroom.records import Split


def candidates(counts: dict[str, int], **groups: str | None) -> list[Candidate]:
    return [
        Candidate(hashlib.sha256(f"{label}{number}".encode()).hexdigest(), label)
        for label, count in counts.items()
        for number in range(count)
    ]


def split(found: list[Candidate], plan: SplitPlan = SplitPlan(), held=None, by_source=None) -> Placement:
    return place(found, plan, held=held or {}, by_source=by_source or {})


def counted(found: list[Candidate], placement: Placement) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for one in found:
        counts.setdefault(one.label, Counter())[placement.splits[one.image_id]] += 1
    return counts


def test_each_class_is_shared_out_as_asked() -> None:
    found = candidates({"a": 100, "b": 20})
    assert counted(found, split(found)) == {
        "a": {"train": 60, "val": 20, "test": 20},
        "b": {"train": 12, "val": 4, "test": 4},
    }


def test_without_classes_only_the_whole_is_shared_out() -> None:
    found = candidates({"a": 100, "b": 20})
    placement = split(found, SplitPlan(stratify=False))
    assert Counter(placement.splits.values()) == {"train": 72, "val": 24, "test": 24}


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "val": 1}),
        (3, {"train": 1, "val": 1, "test": 1}),
        (4, {"train": 2, "val": 1, "test": 1}),
        (5, {"train": 3, "val": 1, "test": 1}),
    ],
)
def test_small_classes_reach_every_split_from_three_pictures_on(
    count: int, expected: dict[str, int]
) -> None:
    found = candidates({"a": count})
    assert counted(found, split(found)) == {"a": expected}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (SplitPlan(test_share=0), {"train": 75, "val": 25}),
        (SplitPlan(val_share=0), {"train": 80, "test": 20}),
        (SplitPlan(val_share=0, test_share=0), {"train": 100}),
    ],
)
def test_a_split_that_is_not_asked_for_stays_empty(plan: SplitPlan, expected: dict[str, int]) -> None:
    assert Counter(split(candidates({"a": 100}), plan).splits.values()) == expected


def test_another_seed_shares_out_other_pictures() -> None:
    found = candidates({"a": 100})
    assert split(found, SplitPlan(seed=1)).splits != split(found, SplitPlan(seed=2)).splits
    assert split(found, SplitPlan(seed=1)).splits == split(found, SplitPlan(seed=1)).splits


def test_what_a_picture_has_it_keeps() -> None:
    found = candidates({"a": 40})
    first = split(found)
    again = split([*found, *candidates({"b": 40})], SplitPlan(seed=9, test_share=0.5), held=first.new)
    assert all(again.splits[image_id] == where for image_id, where in first.splits.items())
    assert not set(again.new) & set(first.new)


def test_a_class_that_grows_keeps_its_shares() -> None:
    found = candidates({"a": 200})
    first = split(found[:20])
    grown = split(found, held=first.new)
    assert Counter(grown.splits.values()) == {"train": 120, "val": 40, "test": 40}


def grouped(sizes: list[int]) -> list[Candidate]:
    return [
        Candidate(f"{group:03d}-{number:03d}", "ab"[group % 2], f"g{group}")
        for group, size in enumerate(sizes)
        for number in range(size)
    ]


def test_pictures_of_one_group_lie_together() -> None:
    found = grouped([5, 1, 8, 2, 2, 9, 4, 4, 3, 3, 7, 1])
    placement = split(found)
    for group in {one.group for one in found}:
        assert len({placement.splits[one.image_id] for one in found if one.group == group}) == 1
    assert {f"group:{one.group}" for one in found} <= set(placement.new)
    assert set(placement.splits.values()) == {"train", "val", "test"}


def test_a_picture_that_joins_a_group_goes_where_the_group_is() -> None:
    found = grouped([5, 4, 6, 3, 2])
    first = split(found)
    more = [*found, Candidate("zzz", "a", "g0")]
    assert split(more, held=first.new).splits["zzz"] == first.splits["000-000"]


def test_pictures_that_were_apart_before_their_group_are_not_brought_together() -> None:
    found = [Candidate(f"{number}", "a", "scene") for number in range(5)] + candidates({"a": 10})
    held: dict[str, Split] = {"image:0": "train", "image:1": "train", "image:2": "test"}
    placement = split(found, held=held)
    assert placement.crossing == ["2"]
    assert {placement.splits[one] for one in "0134"} == {"train"}
    assert placement.new["group:scene"] == "train"
    assert "2" not in placement.splits


def test_of_equal_votes_train_keeps_the_group() -> None:
    found = [Candidate(one, "a", "scene") for one in "ab"] + candidates({"a": 9})
    placement = split(found, held={"image:a": "test", "image:b": "train"})
    assert (placement.new["group:scene"], placement.crossing) == ("train", ["a"])


def sources(found: list[Candidate], *parts: tuple[Split, int]) -> dict[str, Split]:
    wanted = [where for where, count in parts for _ in range(count)]
    return {f"image:{one.image_id}": where for one, where in zip(found, wanted, strict=False)}


def test_splits_of_the_source_are_respected() -> None:
    found = candidates({"a": 30})
    by_source = sources(found, ("train", 10), ("val", 10), ("test", 10))
    placement = split(found, by_source=by_source)
    assert {f"image:{image_id}": where for image_id, where in placement.splits.items()} == by_source


def test_a_split_that_the_source_lacks_is_taken_from_its_train() -> None:
    found = candidates({"a": 100})
    by_source = sources(found, ("train", 80), ("test", 20))
    placement = split(found, by_source=by_source)
    assert Counter(placement.splits.values()) == {"train": 60, "val": 20, "test": 20}
    assert all(placement.splits[one.image_id] == "test" for one in found[80:])


def test_splits_of_the_source_can_be_left_out_of_account() -> None:
    found = candidates({"a": 100})
    by_source = sources(found, ("train", 99), ("test", 1))
    plan = SplitPlan(respect_source_splits=False)
    assert split(found, plan, by_source=by_source).splits == split(found, plan).splits


def test_named_sets_take_no_part_in_the_shares() -> None:
    found = candidates({"a": 110})
    by_source = sources(found, ("field", 5), ("must-pass", 5))
    counts = Counter(split(found, by_source=by_source).splits.values())
    assert counts == {"train": 60, "val": 20, "test": 20, "field": 5, "must-pass": 5}


def test_keys_are_of_pictures_and_groups() -> None:
    found = [Candidate("x", "a", "g"), Candidate("y", "a", "g"), Candidate("z", "a")]
    assert split_keys(found) == ["image:x", "group:g", "image:y", "image:z"]


PLANS = st.builds(
    SplitPlan,
    test_share=st.sampled_from([0, 0.1, 0.2, 0.5, 0.9]),
    val_share=st.sampled_from([0, 0.25, 0.8]),
    seed=st.integers(0, 5),
    stratify=st.booleans(),
)
MANY = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.sampled_from("wxyz")), min_size=1, max_size=60
).map(lambda rows: [Candidate(f"{number:04d}", *row) for number, row in enumerate(rows)])


@settings(deadline=None)
@given(MANY, PLANS, st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter(
    found: list[Candidate], plan: SplitPlan, rng: random.Random
) -> None:
    shuffled = rng.sample(found, len(found))
    assert split(shuffled, plan).splits == split(found, plan).splits


@settings(deadline=None)
@given(MANY, PLANS, PLANS, st.integers(0, 60))
def test_no_group_ever_crosses_and_nothing_ever_moves(
    found: list[Candidate], before: SplitPlan, after: SplitPlan, known: int
) -> None:
    first = split(found[:known], before)
    second = split(found, after, held=first.new)
    assert not second.crossing
    assert {one.image_id for one in found} == set(second.splits)
    assert all(second.splits[image_id] == where for image_id, where in first.splits.items())
    of_groups: dict[str, set[str]] = {}
    for one in found:
        if one.group:
            of_groups.setdefault(one.group, set()).add(second.splits[one.image_id])
    assert all(len(splits) == 1 for splits in of_groups.values())


@settings(deadline=None)
@given(st.integers(3, 300), PLANS)
def test_a_class_of_three_or_more_reaches_every_split_asked_for(count: int, plan: SplitPlan) -> None:
    placement = split(candidates({"a": count}), plan)
    asked = {"train", *(["val"] if plan.val_share else []), *(["test"] if plan.test_share else [])}
    assert set(placement.splits.values()) == asked
