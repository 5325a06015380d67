"""How much clones differ: on a split, under stress, together; and groups of clones against each other."""

from __future__ import annotations

import json

import pytest

from darkroom.errors import InvalidConfig
from darkroom.operations.spreading import _too_coarse
from darkroom.statistics import spread
from tests.documents.test_pages import TAGS, Page
from tests.operations.clone_projects import DATASET, call, digits_project

RECIPE = {"epochs": 2, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    workspace = digits_project(tmp_path_factory.mktemp("spread"), count=240, workers=1)
    sides = [
        call(
            workspace, "model.clone", dataset=DATASET, recipe={**RECIPE, **more}, times=3, side_by_side="no"
        )
        for more in ({"learning_rate": 0.01}, {"epochs": 1, "learning_rate": 0.0001})
    ]
    return workspace, sides[0].runs, sides[1].runs


@pytest.fixture(scope="module")
def report(made):
    workspace, runs, _ = made
    return call(workspace, "model.spread", runs=runs)


def test_every_headline_figure_has_its_spread_over_clones(made, report):
    assert list(report.figures) == ["accuracy", "macro_f1", "balanced_accuracy", "log_loss"]
    found = report.figures["accuracy"]
    assert len(found.values) == 3
    assert found.min <= found.interval.low or found.interval.low <= found.mean <= found.interval.high
    assert (report.split, report.images) == ("test", 49)
    assert 0 <= report.churn <= 1


def test_stress_stands_beside_the_split_and_takes_something_away(report):
    assert list(report.stress) == ["shift", "blur", "inverted", "recoloured"]
    assert report.stress["inverted"]["accuracy"].mean < report.figures["accuracy"].mean
    table = list(report.display())[1]
    assert [row[0] for row in table.rows] == ["as they are", "shift", "blur", "inverted", "recoloured"]


def test_the_ensemble_is_held_against_the_mean_clone(report):
    assert report.ensemble - report.figures["accuracy"].mean == pytest.approx(report.ensemble_gain.value)
    assert report.ensemble_verdict in ("better", "worse", "no difference shown")


@pytest.mark.parametrize(("values", "lines"), [([0.9, 0.9], 1), ([0.9, 0.8], 0)])
def test_equal_clones_are_said_to_prove_little(values, lines):
    assert len(list(_too_coarse("accuracy", {"accuracy": spread(values)}, 18))) == lines


def test_stress_that_was_measured_is_kept_and_only_what_is_asked_is_shown(made, report, monkeypatch):
    workspace, runs, _ = made
    kept = json.loads((workspace.runs_folder / runs[0] / "stress-test.json").read_text())
    assert kept["figures"]["blur"]["accuracy"] == report.stress["blur"]["accuracy"].values[0]
    monkeypatch.setattr("darkroom.evaluation.panel.ClonePanel", None)  # nobody is asked again
    again = call(workspace, "model.spread", runs=runs, stress=("blur",), ensemble=False)
    assert again.stress == {"blur": report.stress["blur"]}
    assert again.ensemble_gain is None


def test_the_page_draws_the_spread(made, report):
    workspace = made[0]
    page = (workspace.root / report.path).read_text("utf-8")
    looked_at = Page(page)
    assert looked_at.open == []
    assert {tag for tag, _ in looked_at.elements} <= TAGS
    assert "<svg" in page
    assert "Under stress" in page
    assert all(run in page for run in report.runs)
    figures = json.loads((workspace.root / report.path).with_suffix(".json").read_text())
    assert figures["churn"] == report.churn


def test_a_spread_needs_two_clones_of_one_recipe(made):
    workspace, good, poor = made
    with pytest.raises(InvalidConfig, match="needs two clones"):
        call(workspace, "model.spread", runs=good[:1])
    with pytest.raises(InvalidConfig, match="needs two clones"):
        call(workspace, "model.spread", runs=(good[0], good[0]))
    with pytest.raises(InvalidConfig, match="no clones of each other"):
        call(workspace, "model.spread", runs=(good[0], poor[0]))


def test_clones_with_other_splits_share_test_alone(made):
    workspace = made[0]
    found = call(
        workspace, "model.clone", dataset=DATASET, recipe={**RECIPE, "epochs": 1}, times=2,
        vary=("split",), side_by_side="no",
    )  # fmt: skip
    with pytest.raises(InvalidConfig, match="splits of their own"):
        call(workspace, "model.spread", runs=found.runs, split="val")
    report = call(workspace, "model.spread", runs=found.runs, stress=())
    assert report.stress == {}
    assert report.images == 49


def test_clones_are_compared_with_clones(made):
    workspace, good, poor = made
    found = call(
        workspace, "model.compare", first=good[0], second=poor[0], split="test",
        first_clones=good[1:], second_clones=poor[1:],
    )  # fmt: skip
    assert found.verdict == "better"
    assert (found.first_clones, found.second_clones) == (good, poor)
    assert found.between_clones.value == 1
    assert found.on_a_picture.value > 0.5
    assert found.counted == "Intervals (95 %) on 49 pictures count other pictures and other seeds."
    alone = call(workspace, "model.compare", first=good[0], second=poor[0], split="test")
    assert alone.between_clones is None
    assert alone.counted.endswith("count other pictures, not other seeds.")
    text = "\n".join(str(line) for line in found.display())
    assert "A clone of the first beats a clone of the second with a chance of 100.0%" in text


def test_runs_of_other_recipes_are_no_clones_and_repeats_count_once(made):
    workspace, good, poor = made
    with pytest.raises(InvalidConfig, match="no clones of each other"):
        call(workspace, "model.compare", first=good[0], second=poor[0], first_clones=poor[1:])
    found = call(workspace, "model.compare", first=good[0], second=poor[0], first_clones=(good[0], good[1]))
    assert found.first_clones == good[:2]
