"""Clones and paired comparison."""

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.evaluation import EvaluationSource
from darkroom.evaluation.clones import compare, summarise
from darkroom.evaluation.judgement import judge
from darkroom.evaluation.predictions import Predictions

CLASSES = ("ant", "bee")
LABELS = np.arange(200) % 2
IDS = tuple(f"image-{n:03}" for n in range(200))


def predictions(wrong, ids=IDS, labels=LABELS):
    given = np.where(np.isin(np.arange(len(labels)), wrong), 1 - labels, labels)
    return Predictions(ids, labels, None, np.where(np.eye(2)[given] == 1, 0.9, 0.1).astype(np.float32))


def evaluation(answers, run="r-1", dataset_id="d"):
    source = EvaluationSource(run=run, dataset_id=dataset_id)
    return judge(
        answers.labels, answers.probabilities, answers.image_ids, classes=CLASSES, source=source, draws=20
    )


def test_spread_over_clones_is_that_of_their_figures():
    answers = [predictions(range(n)) for n in (4, 8, 12)]
    found = summarise([evaluation(one, f"r-{n}") for n, one in enumerate(answers)], answers)
    assert found.runs == ("r-0", "r-1", "r-2")
    assert found.accuracy.values == pytest.approx((0.98, 0.96, 0.94))
    assert (found.accuracy.mean, found.accuracy.sd) == pytest.approx((0.96, 0.02))
    assert found.classes[0].recall.values == pytest.approx((0.98, 0.96, 0.94))
    assert found.churn == pytest.approx((0.02 + 0.02 + 0.04) / 3)


def test_a_figure_that_one_clone_does_not_define_has_no_spread():
    never_bee = predictions(np.flatnonzero(LABELS == 1))
    found = summarise([evaluation(predictions([0])), evaluation(never_bee)])
    assert found.classes[1].precision is None
    assert found.classes[1].recall is not None


def test_one_clone_has_neither_spread_nor_churn():
    found = summarise([evaluation(predictions([0]))], [predictions([0])])
    assert (found.accuracy.sd, found.churn) == (None, None)


def test_clones_on_other_images_are_refused():
    with pytest.raises(Invalid, match="2 different sets"):
        summarise([evaluation(predictions([0])), evaluation(predictions([0]), dataset_id="other")])
    with pytest.raises(Invalid):
        summarise([])


def test_a_clear_difference_is_better_and_worse_from_the_other_side():
    found = compare(predictions([0]), predictions(range(30)))
    assert found.verdict == "better"
    assert found.difference.value == pytest.approx(29 / 200)
    assert (found.only_first_right, found.only_second_right) == (29, 0)
    assert found.churn == pytest.approx(29 / 200)
    assert found.metrics["log_loss"].value < 0
    assert compare(predictions(range(30)), predictions([0])).verdict == "worse"


def test_one_image_more_is_no_evidence():
    found = compare(predictions([0]), predictions([0, 1]))
    assert found.verdict == "no difference shown"
    assert found.difference.low <= 0 <= found.difference.high


def test_only_shared_images_count_in_whatever_order():
    order = np.random.default_rng(0).permutation(200)[:150]
    first = predictions(range(30))
    second = Predictions(
        tuple(IDS[place] for place in order), LABELS[order], None, predictions([0]).probabilities[order]
    )
    found = compare(first, second)
    kept = np.isin(np.arange(200), order)
    assert found.same_images == 150
    assert found.only_second_right == kept[1:30].sum()


def test_two_truths_are_refused():
    with pytest.raises(Invalid, match="2 images"):
        compare(predictions([0]), predictions([0], labels=np.r_[1 - LABELS[:2], LABELS[2:]]))


def test_no_shared_image_is_refused():
    with pytest.raises(Invalid, match="share no image"):
        compare(predictions([0]), predictions([0], ids=tuple(f"other-{n}" for n in range(200))))


def test_groups_make_evidence_harder_to_come_by():
    groups = tuple(f"scene-{n // 50}" for n in range(200))
    first, second = predictions([0])._replace(groups=groups), predictions(range(12))
    assert compare(predictions([0]), second).verdict == "better"
    assert compare(first, second).verdict == "no difference shown"


def test_the_interval_of_a_share_ends_at_one():
    found = summarise([evaluation(predictions([])), evaluation(predictions([0]))])
    assert found.accuracy.interval.high == 1.0
    assert found.accuracy.interval.low < 0.98
