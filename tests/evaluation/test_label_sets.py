"""Judging label sets: figures at thresholds, thresholds chosen, clones, comparisons, limits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn import metrics

from darkroom.errors import Damaged, Invalid
from darkroom.evaluation import (
    LabelSetEvaluation,
    LabelSetsJudged,
    compare_label_sets,
    evaluate_label_sets,
    evaluate_run,
    forget_answers,
    judged_sets_again,
    label_set_ensemble_gain,
    label_set_gates,
    label_set_ranking,
    load_any_evaluation,
    load_evaluation,
    load_mask_evaluation,
    load_predictions,
    quality_gates,
    summarise_label_sets,
)
from darkroom.evaluation.label_set_judgement import judge_label_sets
from darkroom.evaluation.label_set_ranking import draw_images, drawn_mean_ap, micro_ap
from darkroom.evaluation.label_set_thresholds import choose_thresholds
from darkroom.evaluation.predictions import Predictions, save_predictions
from darkroom.evaluation.record import EvaluationSource
from darkroom.networks import build
from darkroom.networks.saved import save
from darkroom.records import Brief, Limits, ModelCard, Normalisation, OperatingPoint, now
from tests.label_sets import FACTS, LABELS, mosaics
from tests.tasks.test_multi_label import CLASSES, made
from tests.training.digits import MemorySplit


def answers(count: int = 300, seed: int = 0, *, sharpness: float = 2.0, groups=None) -> Predictions:
    """Answers of a model; the truth of a seed's images does not depend on the sharpness."""
    draw = np.random.default_rng(seed)
    truth = draw.random((count, 4)) < (0.5, 0.3, 0.1, 0.05)
    scores = draw.normal(size=(count, 4)) + sharpness * truth - 1.5
    ids = tuple(f"{number:064x}" for number in range(count))
    return Predictions(ids, truth.astype(np.int64), groups, (1 / (1 + np.exp(-scores))).astype(np.float32))


def judged(found: Predictions, run: str = "r-1", point: OperatingPoint = OperatingPoint(), **how):
    source = EvaluationSource(run=run, dataset="toys@1", dataset_id="abc", split="val")
    return LabelSetsJudged(
        judge_label_sets(found, classes=CLASSES, source=source, point=point, draws=200, **how), found
    )


def test_average_precisions_are_those_of_scikit_learn_with_intervals() -> None:
    found = answers()
    figures = judged(found).evaluation.figures
    truth, probabilities = found.labels > 0, found.probabilities
    assert figures.mean_ap is not None
    assert figures.micro_ap is not None
    assert figures.mean_ap.value == pytest.approx(
        metrics.average_precision_score(truth, probabilities, average="macro"), abs=1e-6
    )
    assert figures.micro_ap.value == pytest.approx(
        metrics.average_precision_score(truth, probabilities, average="micro"), abs=1e-6
    )
    for one in (figures.mean_ap, figures.micro_ap, *(row.average_precision for row in figures.classes)):
        assert one is not None
        assert one.low < one.value < one.high
    assert figures.kind == "multilabel"


def test_intervals_of_average_precision_hold_the_true_one() -> None:
    whole_truth, whole = made(40_000, seed=9)
    truth = metrics.average_precision_score(whole_truth, whole, average="micro")
    inside = 0
    for seed in range(100):
        rows = np.random.default_rng(1000 + seed).choice(len(whole), 200, replace=False)
        found = micro_ap(whole_truth[rows], whole[rows], draws=150, seed=seed)
        assert found is not None
        inside += found.low <= truth <= found.high
    assert inside >= 86  # 95 % said; fewer than 86 of 100 has a chance below 1 in 1,000


def test_the_worst_pictures_say_what_was_missed_and_what_was_invented() -> None:
    truth = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    probabilities = np.array([[0.1, 0.2, 0.9, 0.4], [0.6, 0.1, 0.1, 0.1], [0.1, 0.9, 0.1, 0.1]], np.float32)
    found = judged(Predictions(("a", "b", "c"), truth, None, probabilities)).evaluation
    assert found.errors == 2
    first, second = found.worst
    assert (first.image_id, first.truth) == ("a", ("ant", "cat"))
    assert dict(first.missed) == pytest.approx({"ant": 0.1})
    assert not first.invented
    assert (second.image_id, second.truth, dict(second.missed)) == ("b", (), {})
    assert dict(second.invented) == pytest.approx({"ant": 0.6})
    assert first.log_loss > second.log_loss
    assert found.figures.empty == 1
    assert (
        len(judged(Predictions(("a", "b", "c"), truth, None, probabilities), worst=1).evaluation.worst) == 1
    )


def test_thresholds_change_what_is_given_and_not_how_it_is_ranked() -> None:
    found = answers()
    plain = judged(found)
    point = OperatingPoint(thresholds=dict.fromkeys(CLASSES, 0.2), chosen_on="val of toys@1")
    low = judged(found, point=point)
    assert low.evaluation.figures.mean_ap == plain.evaluation.figures.mean_ap
    assert low.evaluation.figures.classes[0].answered > plain.evaluation.figures.classes[0].answered
    assert low.evaluation.at_half["macro_f1"] == pytest.approx(plain.evaluation.figures.macro_f1.value)
    assert not plain.evaluation.at_half
    assert "chosen on these very images" in " ".join(low.evaluation.notes)
    again = judged_sets_again(plain.evaluation, found, point)
    assert again.figures == low.evaluation.figures
    assert again.basis != plain.evaluation.basis


def test_chosen_thresholds_are_those_of_the_largest_f1() -> None:
    found = answers(600)
    chosen = choose_thresholds(found.labels, found.probabilities, CLASSES, chosen_on="val of toys@1")
    assert chosen.point.chosen_on == "val of toys@1"
    for place, label in enumerate(CLASSES):
        own, right = found.probabilities[:, place], found.labels[:, place] > 0
        precision, recall, _ = metrics.precision_recall_curve(right, own)
        best = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert metrics.f1_score(right, own >= chosen.point.thresholds[label]) == pytest.approx(best)
    tuned = judged(found, point=chosen.point).evaluation
    assert tuned.figures.macro_f1.value > tuned.at_half["macro_f1"] + 0.05
    assert chosen.notes == ()


def test_chosen_thresholds_help_on_other_pictures() -> None:
    chosen = choose_thresholds(*answers(600)[1::2], CLASSES)
    other = judged(answers(2000, seed=5), point=chosen.point).evaluation
    assert other.figures.macro_f1.value > other.at_half["macro_f1"] + 0.03


def test_a_label_of_few_pictures_takes_the_common_threshold() -> None:
    found = answers(100)
    found.labels[:, 3] = 0
    found.labels[:2, 3] = 1
    chosen = choose_thresholds(found.labels, found.probabilities, CLASSES)
    assert "dog" in chosen.notes[0]
    assert str(round(chosen.point.thresholds["dog"], 6))[:6] in chosen.notes[0]
    with pytest.raises(Invalid, match="none of the 100 has a label"):
        choose_thresholds(found.labels * 0, found.probabilities, CLASSES)


def test_a_reader_is_told_of_labels_that_say_nothing() -> None:
    found = answers(60)
    found.labels[:, 0], found.labels[:, 3] = 1, 0
    notes = " ".join(judged(found).evaluation.notes)
    assert "Every image has “ant”" in notes
    assert "No image of “dog”" in notes
    assert judged(found).evaluation.figures.classes[3].average_precision is None


def test_clones_are_shown_with_their_spread_and_churn() -> None:
    clones = [judged(answers(sharpness=sharpness), f"r-{sharpness}") for sharpness in (2.0, 2.1, 1.8)]
    found = summarise_label_sets(clones)
    assert found.mean_ap is not None
    assert found.mean_ap.sd is not None
    assert found.mean_ap.mean == pytest.approx(
        np.mean([one.evaluation.figures.mean_ap.value for one in clones])
    )
    pairs = [(0, 1), (0, 2), (1, 2)]
    churn = [(clones[a].given != clones[b].given).any(axis=1).mean() for a, b in pairs]
    assert found.churn == pytest.approx(np.mean(churn))
    assert found.classes[1].average_precision is not None
    assert summarise_label_sets(clones[:1]).churn is None
    with pytest.raises(Invalid, match="Received: none"):
        summarise_label_sets([])


def test_a_better_model_is_called_better_and_the_same_is_not() -> None:
    sharp, blunt = judged(answers(sharpness=3.0)), judged(answers(sharpness=1.0))
    found = compare_label_sets(sharp, blunt)
    assert (found.figure, found.verdict) == ("mean AP", "better")
    assert found.difference.value == pytest.approx(
        sharp.evaluation.figures.mean_ap.value - blunt.evaluation.figures.mean_ap.value, abs=1e-9
    )
    assert found.only_first_right > found.only_second_right
    same = compare_label_sets(sharp, sharp)
    assert (same.verdict, same.difference.value, same.churn) == ("no difference shown", 0, 0)
    assert same.difference.low < 0 < same.difference.high  # 0 of so many pictures, and no proof of sameness
    near = compare_label_sets(sharp, judged(answers(sharpness=2.95)))
    assert near.difference.high - near.difference.low < 0.02  # drawn in pairs


def test_two_models_are_compared_on_the_pictures_that_both_saw() -> None:
    sharp, blunt = answers(sharpness=3.0), answers(sharpness=1.0)
    rows = np.arange(299, 99, -1)
    part = blunt._replace(
        image_ids=tuple(blunt.image_ids[row] for row in rows),
        labels=blunt.labels[rows],
        probabilities=blunt.probabilities[rows],
    )
    assert compare_label_sets(judged(sharp), judged(part)).same_images == 200
    other = part._replace(labels=1 - part.labels)
    with pytest.raises(Invalid, match="do not agree on what is right"):
        compare_label_sets(judged(sharp), judged(other))


def test_the_same_draws_serve_two_models_and_groups_are_drawn_whole() -> None:
    found = answers(80)
    groups = [f"g{place // 8}" for place in range(80)]
    weights = draw_images(80, groups, draws=30)
    assert weights.shape == (30, 10)
    value, drawn = drawn_mean_ap(found.labels > 0, found.probabilities, groups, weights)
    assert value == pytest.approx(metrics.average_precision_score(found.labels, found.probabilities))
    assert drawn.mean() == pytest.approx(value, abs=0.02)
    assert np.array_equal(weights, draw_images(80, groups, draws=30))


def test_draws_of_many_pictures_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answers(60)
    groups = [f"g{place % 17}" for place in range(60)]
    weights = draw_images(60, groups, draws=20)
    whole = drawn_mean_ap(found.labels > 0, found.probabilities, groups, weights)
    monkeypatch.setattr(label_set_ranking, "UNITS", 5)
    parts = drawn_mean_ap(found.labels > 0, found.probabilities, groups, weights)
    assert parts[0] == whole[0]
    assert np.array_equal(parts[1], whole[1])


def test_pictures_without_any_label_cannot_be_compared() -> None:
    none = answers(20)
    none = none._replace(labels=np.zeros_like(none.labels))
    clones = [judged(none), judged(none)]
    for compared in (lambda: compare_label_sets(*clones), lambda: label_set_ensemble_gain(clones)):
        with pytest.raises(Invalid, match="None of the 20 images has a label"):
            compared()


def limits(**found) -> Brief:
    return Brief(limits=Limits(**found))


def test_limits_are_held_against_their_figures() -> None:
    one = judged(answers())
    figures = one.evaluation.figures
    brief = limits(accuracy=0.1, recall={"ant": 0.99}, mean_ap=0.3, miou=0.5, expected_cost=1.0)
    gates = {gate.limit: gate for gate in label_set_gates(brief, [one], alike=False)}
    assert gates["accuracy"].value == figures.exact_match.value
    assert gates["accuracy"].verdict == "pass"
    assert gates["recall"].value == figures.classes[0].recall.value
    assert gates["recall"].verdict == "fail"
    assert (gates["mean_ap"].verdict, gates["mean_ap"].name) == ("pass", "mean AP")
    assert gates["miou"].verdict == gates["expected_cost"].verdict == "not measured"
    assert "sets of labels" in gates["expected_cost"].note


def test_the_mean_of_clones_decides() -> None:
    clones = [judged(answers(sharpness=sharpness), f"r-{sharpness}") for sharpness in (2.0, 2.1, 1.9)]
    brief = limits(accuracy=0.99, recall={"ant": 0.01}, mean_ap=0.2)
    gates = label_set_gates(brief, clones, alike=True)
    means = [gate for gate in gates if gate.subject == "mean of 3 clones"]
    assert [(gate.limit, gate.verdict, gate.decides) for gate in means] == [
        ("accuracy", "fail", True),
        ("recall", "pass", True),
        ("mean_ap", "pass", True),
    ]
    assert means[0].value == pytest.approx(
        np.mean([one.evaluation.figures.exact_match.value for one in clones])
    )
    assert means[1].value == pytest.approx(
        np.mean([one.evaluation.figures.classes[0].recall.value for one in clones])
    )
    assert not any(gate.decides for gate in gates if gate.subject != "mean of 3 clones")


def test_a_limit_of_label_sets_says_why_a_classifier_has_no_figure_for_it() -> None:
    from darkroom.evaluation.gates import Judged
    from darkroom.evaluation.judgement import judge

    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]] * 2, np.float32)
    ids = ("a", "b", "c", "d")
    one = Judged(
        judge(labels, probabilities, ids, classes=("x", "y"), draws=20),
        Predictions(ids, labels, None, probabilities),
    )
    (gate,) = quality_gates(limits(mean_ap=0.5), [one], alike=False)
    assert gate.verdict == "not measured"
    assert "one class" in gate.note


@pytest.fixture
def run_folder(tmp_path):
    torch.manual_seed(3)
    card = ModelCard(
        task="multi-label", labels=LABELS, network="lenet5", contract=FACTS.contract,
        normalisation=Normalisation(mean=(0.3,), std=(0.3,)), run="r-7", epoch=4, dataset="mosaics@1",
        dataset_id="abc", created_at=now(),
    )  # fmt: skip
    network = build("lenet5", channels=1, size=(32, 32), classes=len(LABELS))
    save(tmp_path / "r-7" / "checkpoints" / "best.safetensors", network, card)
    return tmp_path / "r-7"


def test_a_run_is_evaluated_kept_and_read_back(run_folder) -> None:
    split = MemorySplit(*mosaics(40))
    found = evaluate_label_sets(run_folder, split, split="val", draws=50, classes=LABELS)
    assert load_any_evaluation(run_folder, "val") == found
    assert isinstance(found, LabelSetEvaluation)
    kept = load_predictions(run_folder, "val")
    assert np.array_equal(kept.labels, split.labels)
    assert (kept.probabilities >= 0).all()
    assert not np.allclose(kept.probabilities.sum(axis=1), 1)
    assert (found.looks, evaluate_label_sets(run_folder, split, split="val", draws=50).looks) == (1, 2)
    for load, words in ((load_evaluation, "any number of labels"), (load_mask_evaluation, "not masks")):
        with pytest.raises(Invalid, match=words):
            load(run_folder, "val")
    with pytest.raises(Invalid, match="any number of labels"):
        evaluate_run(run_folder, split, draws=5)


def test_a_forgotten_picture_leaves_the_answers(run_folder) -> None:
    split = MemorySplit(*mosaics(30))
    found = evaluate_label_sets(run_folder, split, split="val", draws=50)
    gone = found.worst[0].image_id
    assert forget_answers(run_folder, [gone])
    later, kept = load_any_evaluation(run_folder, "val"), load_predictions(run_folder, "val")
    assert gone not in {one.image_id for one in later.worst}
    assert gone not in kept.image_ids
    assert kept.labels.shape == (29, len(LABELS))
    assert later.figures == found.figures


def test_a_label_that_is_none_is_called_damage(tmp_path) -> None:
    found = answers(5)
    save_predictions(tmp_path, "val", found)
    path = tmp_path / "predictions-val.json"
    facts = json.loads(path.read_text())
    assert facts["labels"] == [np.flatnonzero(row).tolist() for row in found.labels]
    facts["labels"][0] = [9]
    path.write_text(json.dumps(facts))
    with pytest.raises(Damaged):
        load_predictions(tmp_path, "val")
