"""Figures of masks: IoU, mean IoU, pixel accuracy, outlines, and their intervals over pictures."""

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.tasks.overlap import confusion_of, iou_of, mean_iou, pixel_accuracy
from darkroom.tasks.segmentation import (
    answers_of,
    count_classes,
    count_pixels,
    image_miou,
    interval_of,
    measure,
    paired_miou,
    resample,
    shared_figure,
)

CLASSES = ("ground", "disc", "box")
SIZE = (24, 20)


def drawn(count, seed=0, wrong=0.2):
    """Returns masks with squares, and answers of which some pixels are off."""
    draw = np.random.default_rng(seed)
    masks = np.zeros((count, *SIZE), np.uint8)
    for number in range(count):
        top, left = draw.integers(0, 12, 2)
        masks[number, top : top + 9, left : left + 8] = 1 + number % 2
    share = wrong * draw.random((count, 1, 1)) * 2
    answers = np.where(draw.random(masks.shape) < share, draw.integers(0, 3, masks.shape), masks)
    masks[:, 0] = 255
    return masks, answers.astype(np.uint8)


def figures(masks, answers, groups=None, classes=CLASSES, **more):
    counts, confusion = count_pixels(masks, answers, len(classes), 2)
    return measure(counts, confusion, classes, groups, size_px=SIZE, tolerance_px=2, **more)


def test_figures_are_those_of_the_sums_over_all_pictures():
    masks, answers = drawn(12)
    confusion = confusion_of(masks, answers, 3).sum(0)
    found = figures(masks, answers, draws=50)
    assert found.miou.value == pytest.approx(mean_iou(confusion))
    assert found.pixel_accuracy.value == pytest.approx(pixel_accuracy(confusion))
    assert [row.iou.value for row in found.classes] == pytest.approx(iou_of(confusion).tolist())
    assert [row.recall.value for row in found.classes] == pytest.approx(
        (np.diag(confusion) / confusion.sum(1)).tolist()
    )
    assert [row.precision.value for row in found.classes] == pytest.approx(
        (np.diag(confusion) / confusion.sum(0)).tolist()
    )
    assert found.confusion == tuple(map(tuple, confusion.tolist()))
    assert (found.pixels, found.ignored) == (12 * 23 * 20, 12 * 20)
    assert [row.support for row in found.classes] == [12, 6, 6]


def test_what_no_mask_says_counts_for_nothing():
    masks, answers = drawn(4)
    before = figures(masks, answers, draws=20)
    answers[masks == 255] = 2
    assert figures(masks, answers, draws=20) == before


def test_a_class_that_no_picture_shows_has_no_iou_and_is_left_out_of_the_mean():
    masks, answers = drawn(6)
    masks[masks == 2] = 0
    answers[0, 5, 5] = 2
    found = figures(masks, answers, draws=20)
    absent = found.classes[2]
    assert (absent.support, absent.iou, absent.recall, absent.boundary_f1) == (0, None, None, None)
    assert absent.answered > 0
    assert absent.precision.value == 0
    assert found.miou.value == pytest.approx(np.mean([row.iou.value for row in found.classes[:2]]))


def test_a_class_of_one_pixel_has_figures():
    masks, answers = np.zeros((10, *SIZE), np.uint8), np.zeros((10, *SIZE), np.uint8)
    masks[3, 7, 7] = answers[3, 7, 7] = 1
    found = figures(masks, answers, classes=("a", "b"), draws=20)
    one = found.classes[1]
    assert (one.pixels, one.hits, one.iou.value, one.boundary_f1.value) == (1, 1, 1.0, 1.0)
    assert one.iou.low < 0.3  # one picture shows it: Wilson's for 1 of 1
    missed = figures(masks, np.zeros_like(answers), classes=("a", "b"), draws=20).classes[1]
    assert (missed.iou.value, missed.boundary_f1.value, missed.precision) == (0.0, 0.0, None)


def test_outlines_within_the_tolerance_are_met():
    masks, _ = drawn(6)
    for shift, expected in ((2, 1.0), (6, None)):
        value = figures(masks[:, 1:], np.roll(masks, shift, 2)[:, 1:], draws=20).boundary_f1.value
        assert value > 0.9 if expected else value < 0.75


def test_all_right_is_1_with_an_interval_that_says_how_few_pictures_there_were():
    masks, _ = drawn(8)
    right = np.where(masks == 255, 0, masks)
    found = figures(masks, right, draws=20)
    for figure in (found.miou, found.pixel_accuracy, found.classes[1].iou):
        assert (figure.value, figure.high, figure.method) == (1.0, 1.0, "wilson")
    assert 0.6 < found.miou.low < 0.7  # 8 of 8
    assert found.classes[1].iou.low < found.miou.low  # 4 of 4


def test_a_single_picture_says_little():
    masks, answers = drawn(1)
    found = figures(masks, answers, draws=20)
    assert found.miou.high - found.miou.low > 0.6


def test_a_figure_that_rests_on_one_picture_of_many_says_little():
    masks, answers = np.zeros((30, *SIZE), np.uint8), np.zeros((30, *SIZE), np.uint8)
    masks[3, 4:12, 4:12] = answers[3, 4:12, 6:12] = 1  # shown in one picture, and a part of it found
    answers[3:9, 0, :2] = 1  # answered in six of them
    found = figures(masks, answers, classes=("a", "b"), draws=200).classes[1]
    assert found.recall.value == pytest.approx(0.75)
    assert found.recall.high - found.recall.low > 0.6
    assert found.precision.method == "bootstrap"
    turned = figures(answers, masks, classes=("a", "b"), draws=200).classes[1]
    assert turned.precision.value == pytest.approx(0.75)
    assert turned.precision.high - turned.precision.low > 0.6


def test_intervals_hold_the_figure_of_many_pictures_about_as_often_as_they_say():
    masks, answers = drawn(2000, seed=5)
    counts = count_classes(masks, answers, 3)
    true = float(mean_iou(confusion_of(masks, answers, 3).sum(0)))
    draw, held = np.random.default_rng(1), 0
    for number in range(150):
        part = counts[draw.integers(0, 2000, 25)]
        interval = interval_of(resample(part, None, draws=300, seed=number), "miou")
        held += interval.low <= true <= interval.high
    assert 0.85 < held / 150 <= 1.0


def test_pictures_of_one_group_are_drawn_together():
    masks, answers = drawn(20)
    groups = [f"g{number // 10}" for number in range(20)]
    alone, together = (figures(masks, answers, g, draws=300) for g in (None, groups))
    assert (alone.groups, together.groups) == (None, 2)
    assert together.miou.method == "bootstrap by group"
    assert together.miou.value == alone.miou.value


def test_the_same_seed_gives_the_same_intervals():
    masks, answers = drawn(9)
    assert figures(masks, answers, draws=40) == figures(masks, answers, draws=40)
    assert figures(masks, answers, draws=40) != figures(masks, answers, draws=40, seed=1)


def test_a_paired_difference_is_narrower_than_two_intervals():
    masks, answers = drawn(30, wrong=0.25)
    better = np.where(np.random.default_rng(2).random(masks.shape) < 0.5, masks, answers)
    better[masks == 255] = 0
    counts = [count_pixels(masks, one.astype(np.uint8), 3, 2)[0] for one in (better, answers)]
    found = paired_miou(*counts, draws=400)
    assert found.value > 0
    assert found.low > 0
    alone = interval_of(resample(counts[1], None, draws=400), "miou")
    assert found.high - found.low < alone.high - alone.low
    back = paired_miou(counts[1], counts[0], draws=400)
    assert back.value == pytest.approx(-found.value)


def test_answers_that_are_alike_differ_by_nothing_shown():
    masks, answers = drawn(10)
    counts = count_pixels(masks, answers, 3, 2)[0]
    found = paired_miou(counts, counts)
    assert found.value == 0
    assert found.low == -found.high < 0


def test_the_mean_over_clones_lies_between_them():
    masks, answers = drawn(15)
    _, others = drawn(15, wrong=0.4)
    both = [resample(count_pixels(masks, one, 3, 2)[0], None, draws=200) for one in (answers, others)]
    values = [interval_of(one, "miou").value for one in both]
    found = shared_figure(both, "miou")
    assert found.value == pytest.approx(np.mean(values))
    assert found.low < found.value < found.high


def test_each_picture_has_its_own_mean():
    masks, answers = drawn(5)
    masks[4] = 255
    counts, _ = count_pixels(masks, answers, 3, 2)
    expected = [mean_iou(confusion_of(masks[n : n + 1], answers[n : n + 1], 3)[0]) for n in range(4)]
    assert image_miou(counts)[:4] == pytest.approx(expected)
    assert np.isnan(image_miou(counts)[4])


def test_the_first_of_equally_probable_classes_is_the_answer():
    assert answers_of(np.array([[[0.5, 0.5], [0.2, 0.8]]])).tolist() == [[0, 1]]


def test_what_does_not_fit_is_refused():
    masks, answers = drawn(2)
    with pytest.raises(Invalid, match="24, 20"):
        count_pixels(masks, answers[:, 1:], 3, 2)
    with pytest.raises(Invalid, match="mask holds 2"):
        count_pixels(masks, np.zeros_like(answers), 2, 2)
    with pytest.raises(Invalid, match="answer holds 3"):
        count_pixels(masks, np.full_like(answers, 3), 3, 2)
    with pytest.raises(Invalid, match="not one pixel"):
        figures(np.full_like(masks, 255), answers)
    with pytest.raises(Invalid, match="not one pixel"):
        figures(masks[:0], answers[:0])
