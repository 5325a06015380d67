"""Evaluating a run that answers masks: its figures, what it leaves, what is refused, how runs compare."""

import json
import tracemalloc

import numpy as np
import pytest
import torch

from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.evaluation import (
    MaskEvaluation,
    MaskJudged,
    compare_masks,
    evaluate_masks,
    forget_answers,
    load_any_evaluation,
    load_evaluation,
    load_mask_answers,
    load_mask_evaluation,
    mask_gates,
    refuse_unknown_names,
    summarise_masks,
)
from darkroom.evaluation.mask_answers import MaskAnswers, packed, save_mask_answers, unpacked
from darkroom.evaluation.mask_clones import pixel_churn
from darkroom.evaluation.mask_judgement import judge_masks
from darkroom.evaluation.record import EvaluationSource
from darkroom.networks.saved import save
from darkroom.records import Brief, Limits, Mistake
from darkroom.tasks.overlap import confusion_of, mean_iou
from darkroom.tasks.segmentation import count_pixels
from tests.evaluation.masked_runs import LABELS, answers_of, card, network, run_folder, split


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, evaluated on the same pictures."""
    folder, images = tmp_path_factory.mktemp("masks"), split()
    found = []
    for seed, name in ((0, "r-1"), (1, "r-2")):
        place = run_folder(folder, seed, name)
        found.append((place, evaluate_masks(place, images, batch_size=3, draws=60, worst=4)))
    return images, found


@pytest.fixture
def own(tmp_path):
    """A run of the test's own, evaluated."""
    place = run_folder(tmp_path)
    evaluate_masks(place, split(), draws=20)
    return place


class TestOneRun:
    def test_the_figures_are_those_of_what_the_network_answers(self, runs):
        images, ((folder, evaluation), _) = runs
        answers = answers_of(folder, images)
        confusion = confusion_of(images.masks, answers, 3).sum(0)
        assert len({*answers.ravel().tolist()}) == 3  # else the test would show little
        assert evaluation.figures.miou.value == pytest.approx(mean_iou(confusion))
        assert np.array_equal(evaluation.figures.confusion, confusion)
        assert (evaluation.source.run, evaluation.source.epoch, evaluation.labels) == ("r-1", 1, LABELS)
        assert (evaluation.figures.height_px, evaluation.figures.width_px) == (40, 32)
        assert evaluation.weights_sha256

    def test_masks_are_kept_and_read_again(self, runs):
        images, ((folder, evaluation), _) = runs
        kept, answers = load_mask_answers(folder, "test"), answers_of(folder, images)
        assert all(np.array_equal(kept.mask(place), answers[place]) for place in range(7))
        counts, _ = count_pixels(images.masks, answers, 3, kept.tolerance_px)
        assert np.array_equal(kept.counts, counts)
        assert load_mask_evaluation(folder) == evaluation
        assert evaluation.predictions == "predictions-test.npy"

    def test_the_worst_come_first_with_what_was_taken_for_what(self, runs):
        _, ((_, evaluation), _) = runs
        worst = evaluation.worst
        assert len(worst) == 4
        assert [one.miou for one in worst] == sorted(one.miou for one in worst)
        assert worst[0].mix_ups[0].pixels >= worst[0].mix_ups[-1].pixels > 0
        assert all(one.truth != one.answer for one in worst[0].mix_ups)

    def test_another_look_is_counted(self, own):
        assert evaluate_masks(own, split(), draws=20).looks == 2
        assert evaluate_masks(own, split(), split="val", draws=20).looks == 1

    def test_memory_does_not_grow_with_the_pictures(self, tmp_path):
        folder, most = run_folder(tmp_path), []
        for count in (8, 160):
            images = split(count)
            evaluate_masks(folder, split(2), draws=1)
            tracemalloc.start()
            evaluate_masks(folder, images, batch_size=4, draws=1, worst=2)
            most.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        per_picture = (most[1] - most[0]) / 152
        assert per_picture < 40 * 32  # less than a mask, a thirtieth of its probabilities

    def test_a_model_that_answers_no_numbers_is_refused(self, tmp_path):
        broken = network()
        with torch.no_grad():
            broken.head.bias[1] = float("nan")
        save(tmp_path / "checkpoints" / "best.safetensors", broken, card())
        with pytest.raises(Invalid, match="NaN"):
            evaluate_masks(tmp_path, split(), draws=5)
        assert not list(tmp_path.glob("predictions*"))

    def test_other_classes_and_other_sizes_are_refused(self, own):
        with pytest.raises(Invalid, match="ground, red, green; the dataset's classes are ground, red"):
            evaluate_masks(own, split(), classes=LABELS[:2], draws=5)
        small = split()
        small.images = small.images[:, :32]
        with pytest.raises(Invalid, match=r"\(40, 32, 3\).*\(32, 32, 3\)"):
            evaluate_masks(own, small, draws=5)
        strange = split()
        strange.masks[0, 0, 0] = 9
        with pytest.raises(Invalid, match="mask holds 9"):
            evaluate_masks(own, strange, draws=5)

    def test_what_cannot_be_judged_leaves_what_was_kept_alone(self, own):
        before = load_mask_evaluation(own)
        unsaid = split()
        unsaid.masks[:] = 255
        with pytest.raises(Invalid, match="not one pixel to evaluate on"):
            evaluate_masks(own, unsaid, draws=5)
        assert load_mask_evaluation(own) == before
        assert load_mask_answers(own, "test").counts.any()

    def test_a_classifier_is_not_asked_for_masks(self, tmp_path):
        from darkroom.networks import build

        save(
            tmp_path / "checkpoints" / "best.safetensors",
            build("lenet5", channels=3, size=(40, 32), classes=3),
            card().model_copy(update={"task": "classification", "network": "lenet5"}),
        )
        with pytest.raises(Invalid, match="not masks"):
            evaluate_masks(tmp_path, split(), draws=5)


class TestNotes:
    def judged(self, masks, answers, classes=("a", "b", "c"), groups=None):
        counts, confusion = count_pixels(masks, answers, len(classes), 1)
        ids = tuple(f"{number:064x}" for number in range(len(masks)))
        kept = MaskAnswers(ids, groups, counts, masks.shape[1:], 1, None, np.zeros(len(ids), np.int64))
        return judge_masks(
            kept,
            confusion,
            lambda place: (masks[place], answers[place]),
            classes=classes,
            source=EvaluationSource(),
            draws=20,
        )

    def test_absent_and_scarce_classes_and_what_is_not_said_are_named(self):
        masks = np.zeros((12, 8, 8), np.uint8)
        masks[0, 0, 0], masks[:, 7] = 1, 255
        answers = np.zeros_like(masks)
        answers[3, 3, 3] = 2
        notes = " ".join(self.judged(masks, answers).notes)
        assert "No image shows “c”" in notes
        assert "“c” was answered all the same" in notes
        assert "Fewer than 10 images show “b”" in notes
        assert "Fewer than 100 pixels show “b”" in notes
        assert "Of 12.5% of the pixels" in notes

    def test_few_pictures_and_few_groups_are_named(self):
        masks = np.zeros((4, 8, 8), np.uint8)
        masks[:, :4] = 1
        assert "Only 4 images" in " ".join(self.judged(masks, masks).notes)
        found = self.judged(masks, masks, groups=("x", "x", "y", "y"))
        assert "Only 2 groups" in " ".join(found.notes)

    def test_where_all_is_right_nothing_is_worst(self):
        masks = np.zeros((4, 8, 8), np.uint8)
        assert self.judged(masks, masks).worst == ()


class TestFiles:
    def test_what_is_kept_is_read_as_what_it_is(self, own):
        assert isinstance(load_any_evaluation(own), MaskEvaluation)
        with pytest.raises(Invalid, match="answers masks"):
            load_evaluation(own)
        with pytest.raises(NotFound, match="val"):
            load_mask_answers(own, "val")

    def test_an_evaluation_of_a_classifier_of_before_still_loads(self, tmp_path):
        from darkroom.evaluation import Evaluation, judge

        found = judge(
            np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], ["a", "b", "c"], classes=("x", "y"), draws=10
        )
        text = json.loads(found.model_dump_json())
        for newer in ("task", "curves", "calibration", "slices", "weights_sha256", "libraries"):
            text.pop(newer)
        text["figures"].pop("kind")
        (tmp_path / "evaluation-test.json").write_text(json.dumps(text))
        loaded = load_any_evaluation(tmp_path)
        assert isinstance(loaded, Evaluation)
        assert loaded.figures == found.figures
        with pytest.raises(Invalid, match="not masks"):
            load_mask_evaluation(tmp_path)

    @pytest.mark.parametrize("suffix", [".npy", ".masks", ".json"])
    def test_a_file_that_was_changed_is_noticed(self, own, suffix):
        path = own / f"predictions-test{suffix}"
        path.write_bytes(path.read_bytes()[:-3])
        with pytest.raises(Damaged):
            load_mask_answers(own, "test")

    def test_a_mask_takes_few_bytes_and_comes_back(self):
        mask = np.zeros((64, 48), np.uint8)
        mask[20:40, 10:30] = 3
        assert len(packed(mask)) < mask.size / 20
        assert np.array_equal(unpacked(packed(mask), (64, 48)), mask)
        with pytest.raises(ValueError, match="reshape"):
            unpacked(packed(mask), (64, 47))

    def test_a_forgotten_picture_leaves_no_mask_behind(self, own):
        before = load_mask_answers(own, "test")
        gone = load_mask_evaluation(own).worst[0].image_id
        place = before.image_ids.index(gone)
        masks = [before.mask(number) for number in range(7) if number != place]
        changed = forget_answers(own, [gone])
        after = load_mask_answers(own, "test")
        assert len(changed) == 4
        assert gone not in after.image_ids
        assert after.counts.shape[0] == 6
        assert all(np.array_equal(after.mask(n), mask) for n, mask in enumerate(masks))
        found = load_mask_evaluation(own)
        assert all(one.image_id != gone for one in found.worst)
        assert "forgotten" in found.notes[-1]
        assert forget_answers(own, [gone]) == []

    def test_what_cannot_be_read_is_deleted_when_a_picture_is_forgotten(self, own):
        (own / "predictions-test.npy").write_bytes(b"no")
        forget_answers(own, ["0" * 64])
        assert not list(own.glob("predictions-test*"))


class TestSeveralRuns:
    def test_the_spread_is_over_clones_and_churn_over_pixels(self, runs):
        images, ((one, first), (other, second)) = runs
        answers = [load_mask_answers(folder, "test") for folder in (one, other)]
        found = summarise_masks([first, second], answers)
        values = [each.figures.miou.value for each in (first, second)]
        assert found.miou.values == tuple(values)
        assert found.miou.mean == pytest.approx(np.mean(values))
        assert [row.iou.mean for row in found.classes] == pytest.approx(
            np.mean([[row.iou.value for row in each.figures.classes] for each in (first, second)], 0)
        )
        apart = answers_of(one, images) != answers_of(other, images)
        assert found.churn == pytest.approx(apart.mean())
        assert summarise_masks([first]).churn is None

    def test_a_comparison_is_paired_and_turns_round(self, runs):
        _, ((one, first), (other, second)) = runs
        answers = [load_mask_answers(folder, "test") for folder in (one, other)]
        found, back = compare_masks(*answers, draws=200), compare_masks(*answers[::-1], draws=200)
        difference = first.figures.miou.value - second.figures.miou.value
        assert found.difference.value == pytest.approx(difference)
        assert back.difference.value == pytest.approx(-difference)
        assert found.figure == "mean IoU"
        assert (found.only_first_right, found.only_second_right) == (
            back.only_second_right,
            back.only_first_right,
        )
        assert found.only_first_right + found.only_second_right == 7

    def test_only_shared_pictures_are_compared(self, runs):
        _, ((one, _), (other, _)) = runs
        first, second = (load_mask_answers(folder, "test") for folder in (one, other))
        ids = ("f" * 64, *second.image_ids[1:])
        assert compare_masks(first, second._replace(image_ids=ids), draws=20).same_images == 6
        with pytest.raises(Invalid, match="share no image"):
            compare_masks(first, second._replace(image_ids=tuple("abcdefg")), draws=20)

    def test_other_truths_and_other_sizes_are_refused(self, runs):
        _, ((one, _), (other, _)) = runs
        first, second = (load_mask_answers(folder, "test") for folder in (one, other))
        counts = second.counts.copy()
        counts[2, 1, 0] += 1
        with pytest.raises(Invalid, match="for 1 images"):
            compare_masks(first, second._replace(counts=counts), draws=20)
        with pytest.raises(Invalid, match="40×32 and 32×40"):
            compare_masks(first, second._replace(size_px=(32, 40)), draws=20)
        with pytest.raises(Invalid, match="classes"):
            pixel_churn(first, second._replace(counts=second.counts[:, :, :2]))


class TestTheBrief:
    def gates(self, runs, limits, alike=True, **brief):
        _, found = runs
        judged = [MaskJudged(one, load_mask_answers(folder, "test")) for folder, one in found]
        return mask_gates(Brief(limits=limits, **brief), judged, alike=alike)

    def test_each_run_and_the_mean_of_clones_are_held_against_the_limit(self, runs):
        gates = self.gates(runs, Limits(miou=0.0001, iou={"red": 0.9999}))
        assert [(gate.limit, gate.subject, gate.decides) for gate in gates] == [
            ("miou", "r-1", False),
            ("miou", "r-2", False),
            ("miou", "mean of 2 clones", True),
            ("iou", "r-1", False),
            ("iou", "r-2", False),
            ("iou", "mean of 2 clones", True),
        ]
        values = [one.figures.miou.value for _, one in runs[1]]
        assert [gate.value for gate in gates[:2]] == pytest.approx(values)
        assert gates[2].value == pytest.approx(np.mean(values))
        assert {gate.verdict for gate in gates[:2]} == {"pass"}
        assert {gate.verdict for gate in gates[3:5]} == {"fail"}
        assert gates[3].name == 'IoU of "red"'
        assert gates[0].name == "mean IoU"

    def test_among_runs_of_different_recipes_one_that_holds_is_enough(self, runs):
        values = sorted(one.figures.pixel_accuracy.value for _, one in runs[1])
        gates = self.gates(runs, Limits(miou=0.0001), alike=False)
        assert [gate.decides for gate in gates] == [False, False]
        gates = self.gates(runs, Limits(accuracy=0.9999), alike=False)
        assert [gate.value for gate in gates] == pytest.approx(values, abs=1)
        assert [gate.decides for gate in gates] == [True, True]

    def test_what_is_for_whole_pictures_is_not_measured(self, runs):
        gates = self.gates(
            runs, Limits(expected_cost=0.1), mistakes=(Mistake(truth="*", answer="*", cost=1),)
        )
        assert {gate.verdict for gate in gates} == {"not measured"}
        assert "whole pictures" in gates[0].note

    def test_an_iou_of_no_class_is_refused_before_any_work(self):
        with pytest.raises(Exception, match='IoU of "persn".*Did you mean "person"'):
            refuse_unknown_names(Brief(limits=Limits(iou={"persn": 0.8})), ("ground", "person"))

    def test_limits_of_masks_are_not_measured_of_a_classifier(self):
        from darkroom.evaluation import Judged, judge, quality_gates
        from darkroom.evaluation.predictions import Predictions

        labels, probabilities = np.array([0, 1]), np.eye(2, dtype=np.float32)
        one = judge(labels, probabilities, ["a", "b"], classes=("x", "y"), draws=10)
        judged = Judged(one, Predictions(("a", "b"), labels, None, probabilities))
        gates = quality_gates(Brief(limits=Limits(miou=0.5, accuracy=0.1)), [judged, judged], alike=True)
        assert [gate.verdict for gate in gates if gate.limit == "miou"] == ["not measured"] * 2
        assert all("segmentation" in gate.note for gate in gates if gate.limit == "miou")

    def test_a_brief_of_before_keeps_its_id(self):
        from darkroom.records import content_id
        from darkroom.records.record import plain

        assert not {"miou", "iou", "parity_pixels", "parity_margin"} & set(plain(Limits()))
        assert content_id(Limits()) != content_id(Limits(miou=0.5))


def test_saved_answers_can_be_saved_again(own, tmp_path):
    found = load_mask_answers(own, "test")
    masks = [packed(found.mask(place)) for place in range(7)]
    save_mask_answers(tmp_path, "val", found, masks)
    again = load_mask_answers(tmp_path, "val")
    assert np.array_equal(again.counts, found.counts)
    assert np.array_equal(again.mask(6), found.mask(6))
