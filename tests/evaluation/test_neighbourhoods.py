"""Groups of errors and retrieval, on vectors whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from darkroom.errors import Invalid
from darkroom.evaluation import neighbourhoods
from darkroom.evaluation.neighbourhoods import average_linkage, group_errors, measure_retrieval

CLASSES = ("rose", "tulip", "daisy")


def test_merges_are_those_of_scipy() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 5))
    apart = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(-1))
    theirs = linkage(squareform(apart, checks=False), "average")
    ours = average_linkage(apart)
    assert [merge[2] for merge in ours] == pytest.approx(theirs[:, 2].tolist())
    codes = neighbourhoods._cut(60, ours, 7)
    expected = fcluster(theirs, 7, "maxclust")
    assert len({*zip(codes.tolist(), expected.tolist(), strict=True)}) == 7


@pytest.fixture(scope="module")
def planted():
    """Pictures around three middles; a corner of the roses and one of the daisies are answered wrongly."""
    generator = np.random.default_rng(1)
    middles = np.eye(8)[:5] * 3
    rows, labels, answers = [], [], []
    for middle, label, answer, count in (
        (middles[0], 0, 0, 60),
        (middles[1], 1, 1, 60),
        (middles[2], 2, 2, 60),
        (middles[3], 0, 1, 14),
        (middles[4], 2, 0, 9),
    ):
        rows.append(middle + 0.3 * generator.normal(size=(count, 8)))
        labels += [label] * count
        answers += [answer] * count
    ids = tuple(f"{place:064x}" for place in range(len(labels)))
    return np.concatenate(rows).astype(np.float32), np.array(labels), np.array(answers), ids


def test_planted_corners_are_found_and_named(planted) -> None:
    rows, labels, answers, ids = planted
    found = group_errors(rows, labels, answers, ids, CLASSES)
    assert [(one.name, one.count) for one in found.groups] == [
        ("rose answered tulip", 14),
        ("daisy answered rose", 9),
    ]
    assert found.errors == 23
    assert found.alone == 0
    for group in found.groups:
        assert group.error_rate.value == 1.0
        assert found.error_rate is not None
        assert group.error_rate.low > found.error_rate.high
        wrong = {ids[place] for place in np.flatnonzero(labels != answers).tolist()}
        assert set(group.image_ids) <= wrong


def test_small_groups_are_left_out(planted) -> None:
    found = group_errors(*planted[:3], planted[3], CLASSES, smallest=10)
    assert all(one.count >= 10 for one in found.groups)
    assert found.alone == 23 - sum(one.count for one in found.groups)


def test_few_errors_make_no_group(planted) -> None:
    rows, labels, _, ids = planted
    answers = labels.copy()
    answers[:3] = 1
    found = group_errors(rows, labels, answers, ids, CLASSES)
    assert found.groups == ()
    assert found.alone == 3


def test_very_many_errors_are_drawn(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhoods, "MOST_ERRORS", 15)
    found = group_errors(*planted[:3], planted[3], CLASSES)
    assert (found.drawn, found.errors) == (15, 23)
    assert found.alone <= 15


def test_shared_scenes_widen_the_rate_of_errors(planted) -> None:
    scenes = [f"s{place // 10}" for place in range(len(planted[1]))]
    alone = group_errors(*planted, CLASSES).error_rate
    together = group_errors(*planted, CLASSES, scenes).error_rate
    assert alone.value == together.value
    assert together.high - together.low > alone.high - alone.low


def test_retrieval_by_hand() -> None:
    rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.2]], np.float32)
    labels = np.array([0, 0, 1, 1, 1])
    found = measure_retrieval(rows, rows, labels, labels, CLASSES[:2], ks=(1, 2, 50), own=np.arange(5))
    assert list(found.precision) == [1, 2]  # five pictures have four others at most, and 50 is no question
    assert found.precision[1].value == pytest.approx(3 / 5)  # picture 4 is nearest to picture 1
    # nearest two: 0: {1, 4}, 1: {0, 4}, 2: {3, 4}, 3: {2, 4}, 4: {1, 0}
    assert found.precision[2].value == pytest.approx((1 + 1 + 2 + 2 + 0) / 10)
    assert found.recall[2].value == pytest.approx((1 + 1 + 1 + 1 + 0) / 5)
    assert found.chance == pytest.approx((2 * 1 / 4 + 3 * 2 / 4) / 5)


def test_what_cannot_be_found_is_refused_in_words() -> None:
    rows, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    with pytest.raises(Invalid, match="can find 2 others at most. Asked for: 5, 10"):
        measure_retrieval(rows, rows, labels, labels, CLASSES, ks=(10, 5), own=np.arange(3))
    with pytest.raises(Invalid, match="another one of its class"):
        measure_retrieval(rows, rows, labels, labels, CLASSES, ks=(1,), own=np.arange(3))


def test_precision_by_class_draws_groups_as_a_whole() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], 60)
    scenes = [f"s{place // 20}" for place in range(120)]
    rows = np.repeat(generator.normal(size=(6, 4)), 20, axis=0) + 0.6 * generator.normal(size=(120, 4))
    asked = {"ks": (1,), "own": np.arange(120)}
    alone = measure_retrieval(rows, rows, labels, labels, CLASSES[:2], **asked)
    together = measure_retrieval(rows, rows, labels, labels, CLASSES[:2], scenes, **asked)
    for label in CLASSES[:2]:
        assert alone.classes[label].value == together.classes[label].value
        assert together.classes[label].method == "bootstrap by group"


def test_a_picture_never_finds_itself_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    rows, labels = generator.normal(size=(80, 6)), generator.integers(0, 3, 80)
    whole = measure_retrieval(rows, rows, labels, labels, CLASSES, own=np.arange(80))
    assert whole.precision[1].value < 0.7
    monkeypatch.setattr(neighbourhoods, "CELLS_AT_ONCE", 300)
    assert measure_retrieval(rows, rows, labels, labels, CLASSES, own=np.arange(80)) == whole
