"""Clones vary what a person says, and nothing else; a training twice is no two clones."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file

from darkroom.errors import InvalidConfig
from darkroom.operations.run_pictures import pictures_of, split_seed_of
from darkroom.operations.varying import distinct_clones, same_recipe
from tests.operations.clone_projects import CONTRACT, DATASET, call, digits_project

RECIPE = {"epochs": 1, "device": "cpu", "threads": 1, "dropout": 0.2, "augment": {"shift": 0.05}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return digits_project(tmp_path_factory.mktemp("varying"), count=150, workers=1)


def clone(workspace, vary, times=2, **recipe):
    asked = {} if vary is None else {"vary": vary}
    return call(
        workspace,
        "model.clone",
        dataset=DATASET,
        recipe={**RECIPE, **recipe},
        times=times,
        side_by_side="no",
        **asked,
    )


def weights(workspace, run):
    found = load_file(workspace.runs_folder / run / "checkpoints/last.safetensors")
    return {name: one.tobytes() for name, one in found.items()}


@pytest.fixture(scope="module")
def plain(workspace):
    return clone(workspace, None)


@pytest.mark.parametrize("source", ["initialisation", "order", "augmentation", "dropout", "split"])
def test_clones_of_one_varied_source_differ_and_begin_with_the_run_of_the_first_seed(
    workspace, plain, source
):
    found = clone(workspace, (source,))
    assert weights(workspace, found.runs[0]) != weights(workspace, found.runs[1])
    assert same_recipe(workspace, found.runs)
    assert distinct_clones(workspace, found.runs).runs == found.runs
    if source == "split":
        assert found.runs[0] != plain.runs[0]  # even the first has a split of its own
    else:
        assert found.runs[0] == plain.runs[0]  # what was held says what its seed says: nothing is trained


def test_a_source_that_is_held_ends_with_the_same_weights_whatever_the_seed(workspace, plain):
    chance = dict.fromkeys(("initialisation", "order", "augmentation", "dropout"), 0)
    found = call(workspace, "model.train", dataset=DATASET, recipe={**RECIPE, "chance": chance}, seed=9)
    assert found.run not in plain.runs
    assert weights(workspace, found.run) == weights(workspace, plain.runs[0])


def test_two_trainings_of_one_seed_are_one_clone(workspace, plain):
    again = call(workspace, "model.train", dataset=DATASET, recipe=RECIPE, seed=1, again=True)
    chance = dict.fromkeys(("initialisation", "order", "augmentation", "dropout"), 0)
    held = call(workspace, "model.train", dataset=DATASET, recipe={**RECIPE, "chance": chance}, seed=9)
    found = distinct_clones(workspace, (*plain.runs, again.run, held.run, plain.runs[0]))
    assert found.runs == plain.runs
    assert found.repeats == {again.run: plain.runs[1], held.run: plain.runs[0]}
    report = call(workspace, "model.evaluate", runs=(*plain.runs, again.run), split="val")
    assert "over 2 clones" in report.spread
    assert (
        f"{again.run} repeats {plain.runs[1]}: the same recipe, data and seed. It counts once."
        in report.said
    )
    assert len(report.rows) == 3


def test_another_split_is_asked_about_the_val_pictures_it_did_not_train_on(workspace):
    found = clone(workspace, ("split",), times=3)
    ids = []
    for run in found.runs:
        drawn = pictures_of(workspace, run)
        train, val = (set(drawn.split(name).image_ids) for name in ("train", "val"))
        assert not train & val
        assert drawn.split("test").image_ids == pictures_of(workspace, "r-1").split("test").image_ids
        call(workspace, "model.evaluate", runs=(run,), split="val")
        answers = json.loads((workspace.runs_folder / run / "predictions-val.json").read_text())
        assert set(answers["image_ids"]) == val
        ids.append(tuple(sorted(val)))
    assert len(set(ids)) == 3
    assert [split_seed_of(workspace, run) for run in found.runs] == [0, 1, 2]
    kept = json.loads((workspace.runs_folder / found.runs[0] / "evaluation-val.json").read_text())
    call(workspace, "model.evaluate", runs=(found.runs[0],), split="val")  # kept, and no second look
    again = json.loads((workspace.runs_folder / found.runs[0] / "evaluation-val.json").read_text())
    assert kept["looks"] == again["looks"] == 1


def test_what_varies_and_what_stays_is_said(workspace, plain):
    found = clone(workspace, ("initialisation",))
    assert found.varied == (
        "What varies: initialisation. The same for all: order, augmentation, dropout, split."
    )
    assert plain.varied == (
        "What varies: initialisation, order, augmentation, dropout. The split is the same."
    )
    spread = found.figures["val.accuracy"]
    assert spread.interval.method == "t over seeds"
    assert spread.min <= spread.mean <= spread.max
    assert "val.loss" in found.figures


def test_clones_in_which_nothing_varies_are_refused_and_idle_sources_named(workspace):
    still = {"augment": {}, "dropout": 0.0}
    with pytest.raises(InvalidConfig, match="Nothing varies: augmentation and dropout"):
        clone(workspace, ("augmentation", "dropout"), **still)
    found = clone(workspace, ("order", "dropout"), **still)
    assert found.remarks == ("dropout varies, and decides nothing with this recipe.",)
    with pytest.raises(InvalidConfig, match="Nothing varies: an empty list"):
        clone(workspace, ())
    with pytest.raises(InvalidConfig, match=r"recipe\.chance\.order a seed of its own"):
        clone(workspace, ("order",), chance={"order": 3})


@pytest.mark.slow
def test_clones_side_by_side_vary_the_same(workspace):
    asked = {"dataset": DATASET, "recipe": RECIPE, "times": 3, "vary": ("order", "split")}
    together = call(workspace, "model.clone", side_by_side="yes", **asked)
    alone = call(workspace, "model.clone", side_by_side="no", **asked)
    assert alone.runs == together.runs


@pytest.mark.slow
def test_limits_are_not_held_against_the_mean_of_clones_with_other_val_pictures(workspace):
    from darkroom.operations.gates import hold_quality

    project = workspace.project
    limits = project.brief.limits.model_copy(update={"accuracy": 0.01})
    brief = project.brief.model_copy(update={"limits": limits})
    workspace.project = project.model_copy(update={"brief": brief})
    try:
        same, other = clone(workspace, None), clone(workspace, ("split",))
        assert "mean of 2 clones" in [gate.subject for gate in hold_quality(workspace, same.runs)]
        assert {gate.subject for gate in hold_quality(workspace, other.runs)} == set(other.runs)
    finally:
        workspace.project = project
    assert CONTRACT["width_px"] == 16
