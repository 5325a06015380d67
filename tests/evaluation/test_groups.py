"""Groups of clones against each other, and the ensemble of clones."""

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.evaluation.ensembles import ensemble_gain
from darkroom.evaluation.groups import compare_groups
from darkroom.evaluation.predictions import Predictions
from tests.evaluation.test_clones import IDS, LABELS, predictions


def clones(count, wrong, seed=0):
    """Returns clones that each answer so many images wrongly."""
    generator = np.random.default_rng(seed)
    return [predictions(generator.choice(200, wrong + one % 3, replace=False)) for one in range(count)]


def test_better_clones_are_better_with_what_images_and_seeds_move():
    found = compare_groups(clones(5, 6), clones(5, 60, seed=1))
    assert found.verdict == "better"
    assert found.seeds_counted
    assert found.difference.method.endswith("and t over seeds")
    assert found.between_clones.value == 1
    assert found.on_an_image.low > 0.5
    back = compare_groups(clones(5, 60, seed=1), clones(5, 6))
    assert back.verdict == "worse"
    assert back.between_clones.value == 0


def test_clones_of_one_kind_show_no_difference():
    found = compare_groups(clones(4, 20), clones(4, 20, seed=5))
    assert found.verdict == "no difference shown"
    assert found.between_clones.low < 0.5 < found.between_clones.high
    assert found.on_an_image.low < 0.5 < found.on_an_image.high


def test_seeds_widen_the_interval_of_the_difference():
    first, second = clones(4, 10), [predictions(range(n)) for n in (5, 20, 40, 60)]
    both = compare_groups(first, second)
    alone = compare_groups(first[:1], second)
    assert not alone.seeds_counted
    assert both.difference.high - both.difference.low > alone.difference.high - alone.difference.low


def test_two_runs_have_a_chance_on_an_image_and_none_between_clones():
    found = compare_groups([predictions([0])], [predictions(range(30))])
    assert found.between_clones is None
    assert found.on_an_image.value == 1
    assert (found.first, found.second) == (pytest.approx((0.995,)), pytest.approx((0.85,)))


def test_runs_that_answer_alike_differ_by_nothing_and_say_how_sure_that_is():
    found = compare_groups([predictions([0])], [predictions([0])])
    assert found.on_an_image is None
    assert found.difference.value == 0
    assert found.difference.high > 0.01


def test_groups_are_counted_as_groups():
    groups = tuple(f"g{place // 20}" for place in range(200))
    sides = [[one._replace(groups=groups) for one in side] for side in (clones(2, 10), clones(2, 30, 1))]
    assert compare_groups(*sides).difference.method.startswith("bootstrap by group")


def test_other_truth_or_no_shared_image_is_refused():
    with pytest.raises(Invalid, match="share no image"):
        compare_groups([predictions([0])], [predictions([0], ids=tuple(f"x{n}" for n in range(200)))])
    with pytest.raises(Invalid, match="do not agree"):
        compare_groups([predictions([0])], [predictions([0], labels=1 - LABELS)])


def test_an_ensemble_of_clones_with_different_mistakes_is_better_than_the_mean_clone():
    alone = [predictions(range(40 * n, 40 * n + 40)) for n in range(5)]
    found = ensemble_gain(alone)
    assert (found.value, found.mean) == (1.0, pytest.approx(0.8))
    assert found.gain.value == pytest.approx(0.2)
    assert found.verdict == "better"
    assert found.log_loss.high < 0


def test_an_ensemble_of_clones_that_answer_alike_gains_nothing_shown():
    found = ensemble_gain([predictions([0, 1])] * 3)
    assert found.gain.value == 0
    assert found.gain.low < 0 < found.gain.high
    assert found.verdict == "no difference shown"


def test_the_ensemble_is_the_mean_of_probabilities_not_of_votes():
    sure, doubtful = np.array([[0.95, 0.05]]), np.array([[0.4, 0.6]])
    labels, ids = np.zeros(1, np.int64), ("a",)
    rows = [Predictions(ids, labels, None, one.astype(np.float32)) for one in (sure, doubtful, doubtful)]
    assert ensemble_gain(rows).value == 1.0  # two of three vote for the other class
    assert len(IDS) == 200
