"""Which trial is chosen, what clones show, and the answer in words: from figures alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.evaluation import MaskAnswers, Predictions, compare_groups
from darkroom.records import Gate
from darkroom.tasks.segmentation import miou_of, paired_miou
from darkroom.tuning.budget import Budget
from darkroom.tuning.evidence import (
    compare_clones,
    compare_figures,
    compare_mask_clones,
    paired_masks,
)
from darkroom.tuning.pareto import best_first, pareto_front
from darkroom.tuning.trial import Trial
from darkroom.tuning.words import brief_answer, spoken_best, spoken_count, spoken_end
from tests.tuning.studies import plan_of, trials

PLAN = plan_of()
BOTH = plan_of(aims=("metric", "model_bytes"))


def trial(number: int, accuracy: float = 0.0, size: float = 0.0, state: str = "finished", **facts) -> Trial:
    figures = {"val.accuracy": accuracy, "model_bytes": size, **facts.pop("figures", {})}
    given = {"number": number, "state": state, "values": {}, "run": f"r-{number}", "figures": figures}
    return Trial.model_validate({**given, **facts})


def answers(rights: np.ndarray, names: str = "p") -> Predictions:
    """Returns the answers of a model of two classes that is right where it says so."""
    labels = np.zeros(len(rights), np.int64)
    probabilities = np.stack([rights, 1 - rights], axis=1).astype(np.float32)
    return Predictions(
        tuple(f"{names}{place}" for place in range(len(rights))), labels, None, probabilities
    )


def clones(share: float, count: int, seed: int, pictures: int = 2000) -> list[Predictions]:
    generator = np.random.default_rng(seed)
    return [answers((generator.random(pictures) < share).astype(float)) for _ in range(count)]


def test_the_best_is_told_by_the_metric_then_the_loss_then_the_order() -> None:
    found = [
        trial(0, 0.8, figures={"val.loss": 0.9}),
        trial(1, 0.9, figures={"val.loss": 0.5}),
        trial(2, 0.9, figures={"val.loss": 0.4}),
        trial(3, 0.9, figures={"val.loss": 0.4}),
        trial(4, 0.99, state="pruned"),
    ]
    assert [one.number for one in best_first(PLAN, found)] == [2, 3, 1, 0]
    by_loss = plan_of(metric="val.loss")
    assert best_first(by_loss, found)[0].number == 2


def test_the_front_holds_what_no_other_trial_beats() -> None:
    found = [
        trial(0, 0.9, 100),
        trial(1, 0.8, 50),
        trial(2, 0.8, 60),
        trial(3, 0.7, 10),
        trial(4, 0.9, 100),
    ]
    assert [one.number for one in pareto_front(BOTH, found)] == [0, 1, 3]


def test_a_recipe_that_answers_better_over_clones_is_called_better() -> None:
    found = compare_clones(clones(0.95, 5, 1), clones(0.85, 5, 2))
    assert found.verdict == "better"
    assert found.difference.low < 0.1 < found.difference.high
    assert compare_clones(clones(0.85, 5, 2), clones(0.95, 5, 1)).verdict == "worse"


def test_two_sets_of_clones_that_differ_by_chance_alone_show_no_difference() -> None:
    wrong = 0
    for seed in range(40):
        found = compare_clones(clones(0.9, 3, 2 * seed, 300), clones(0.9, 3, 2 * seed + 1, 300), draws=500)
        wrong += found.verdict != "no difference shown"
    assert wrong <= 5  # a level of 95 % allows 2 of 40 in the mean


def test_seeds_that_differ_much_are_no_evidence_however_many_pictures_there_are() -> None:
    lucky = [clones(share, 1, seed, 20_000)[0] for seed, share in enumerate((0.95, 0.75, 0.85))]
    usual = [clones(share, 1, 9 + seed, 20_000)[0] for seed, share in enumerate((0.80, 0.82, 0.81))]
    assert compare_clones(lucky, usual, draws=500).verdict == "no difference shown"


def test_clones_are_compared_on_the_pictures_that_both_saw() -> None:
    shared = compare_clones(clones(0.9, 2, 1, 50), clones(0.9, 2, 2, 80), draws=200)
    assert shared.pictures == 50
    with pytest.raises(Invalid, match="share no image"):
        compare_clones([answers(np.ones(4), "a")], [answers(np.ones(4), "b")])
    one = answers(np.ones(4))
    with pytest.raises(Invalid, match="do not agree on what is right for 4 images"):
        compare_clones([one], [one._replace(labels=1 - one.labels)])


def test_clones_of_recipes_are_compared_as_any_other_groups_of_clones() -> None:
    sides = clones(0.95, 3, 1, 200), clones(0.9, 3, 2, 200)
    found, group = compare_clones(*sides), compare_groups(*sides, draws=10_000)
    assert (found.verdict, found.difference) == (group.verdict, group.difference)
    assert (found.first, found.second, found.pictures) == (group.first, group.second, group.same_images)


def test_figures_alone_are_compared_over_seeds() -> None:
    assert compare_figures([0.1, 0.11, 0.12], [0.5, 0.52, 0.51], smaller_is_better=True).verdict == "better"
    assert compare_figures([0.5, 0.9], [0.4, 0.8]).verdict == "no difference shown"


def gate(value: float, verdict: str) -> Gate:
    return Gate.model_validate(
        {"limit": "accuracy", "bound": 0.95, "subject": "r-1", "value": value, "verdict": verdict}
    )


def test_a_brief_that_no_trial_holds_is_answered_with_the_best_figure_and_the_budget() -> None:
    found = [
        trial(0, 0.8, gates=[gate(0.8, "fail")]),
        trial(1, 0.93, gates=[gate(0.93, "not enough evidence")]),
    ]
    budget = Budget.of(2, 5, until_brief=True)
    reached, said = brief_answer(PLAN, found, budget.words)
    assert not reached
    assert said.startswith("Not reachable within 2 trials and 5 minutes, because accuracy ≥ 0.95")
    assert "0.93" in said
    assert "trial 1, r-1" in said
    held = [*found, trial(2, 0.97, gates=[gate(0.97, "pass")])]
    assert brief_answer(PLAN, held, budget.words)[0]
    assert budget.is_spent(held)


def test_limits_that_are_never_held_at_once_are_told_apart() -> None:
    given = {"limit": "model_bytes", "bound": 9, "subject": "r", "value": 10, "verdict": "fail"}
    large = Gate.model_validate(given)
    fits = large.model_copy(update={"value": 8, "verdict": "pass"})
    found = [
        trial(0, 0.97, gates=[gate(0.97, "pass"), large]),
        trial(1, 0.9, gates=[gate(0.9, "fail"), fits]),
    ]
    assert "no single trial holds every limit at once" in brief_answer(PLAN, found, "2 trials")[1]


def test_a_figure_is_said_with_its_interval_and_that_it_flatters() -> None:
    said = spoken_best(PLAN, [trial(0, 0.9)], 100)
    assert "0.9000 [0.8" in said
    assert "flatters" in said


def test_why_a_search_ended_early_is_said() -> None:
    done = [trial(0, 0.9), trial(1, state="pruned"), trial(2, state="repeated")]
    assert spoken_count(done) == "1 finished, 1 pruned"
    assert spoken_end(done, trials(2)) == ""
    assert "holds no more than 2 trials" in spoken_end(done, trials(9))
    assert "given up" in spoken_end([trial(0, state="failed")], trials(9))


def masks(share: float, seed: int, pictures: int = 200, names: str = "p") -> MaskAnswers:
    """Returns the counts of a model of two classes that answers about so many of 100 pixels rightly."""
    draw = np.random.default_rng(seed)
    hits = draw.binomial(50, share, (pictures, 2))
    counts = np.zeros((pictures, 7, 2), np.uint32)
    counts[:, 0], counts[:, 1] = hits, 50
    counts[:, 2] = hits + (50 - hits)[:, ::-1]
    ids = tuple(f"{names}{place}" for place in range(pictures))
    return MaskAnswers(ids, None, counts, (10, 10), 1, Path("none"), np.zeros(pictures, np.int64))


def test_masks_of_clones_are_compared_by_mean_iou_picture_by_picture() -> None:
    good, bad = (
        [masks(share, seed + first) for seed in range(3)] for share, first in ((0.95, 0), (0.8, 9))
    )
    found = compare_mask_clones(good, bad, draws=500)
    assert (found.verdict, found.pictures) == ("better", 200)
    assert found.difference.value == pytest.approx(np.mean(found.first) - np.mean(found.second))
    assert found.first[0] == pytest.approx(float(miou_of(good[0].counts.sum(axis=0, dtype=np.int64))))
    assert compare_mask_clones(bad, good, draws=500).verdict == "worse"
    assert "t over seeds" in found.difference.method
    pictures = paired_masks(good[0], bad[0], draws=500)
    same = paired_miou(good[0].counts, bad[0].counts, draws=500)  # the pictures in another order
    assert pictures.value == pytest.approx(same.value)
    assert [pictures.low, pictures.high] == pytest.approx([same.low, same.high], abs=0.003)
    with pytest.raises(Invalid, match="share no image"):
        paired_masks(good[0], masks(0.9, 1, names="q"))


def test_masks_that_are_alike_show_no_difference_and_seeds_alone_are_no_evidence() -> None:
    one = masks(0.9, 3)
    same = paired_masks(one, one)
    assert (same.value, same.method) == (0.0, "wilson")
    assert same.low < 0 < same.high
    lucky = [masks(share, seed, 2000) for seed, share in enumerate((0.95, 0.75, 0.85))]
    usual = [masks(share, 9 + seed, 2000) for seed, share in enumerate((0.80, 0.82, 0.81))]
    assert compare_mask_clones(lucky, usual, draws=200).verdict == "no difference shown"
