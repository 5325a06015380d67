"""Options of the looks at errors, labels and pictures: each changes what is said; a stop leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import Cancelled, Invalid, NotFound
from darkroom.workspace import Progress, Workspace
from tests.operations.clone_projects import QUICK, call, digits_project, tree

DIGITS = "digits@1"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    found = digits_project(tmp_path_factory.mktemp("looks"), 300, threads=1)
    recipe = {**QUICK, "threads": 1, "snapshot_every": 1}
    call(found, "model.train", dataset=DIGITS, recipe=recipe)
    call(found, "model.train", dataset=DIGITS, recipe={**recipe, "chance": {"split": 7}}, seed=1)
    return found


def a_picture(workspace: Workspace) -> str:
    return next(iter(workspace.catalogue.datasets.members(DIGITS))).image_id


def test_folds_and_their_seed_decide_what_is_said_of_a_label(workspace: Workspace) -> None:
    asked = {"dataset": DIGITS, "network": "pixels"}
    five, two, other = (
        call(workspace, "label.suspects", **asked, **more) for more in ({}, {"folds": 2}, {"seed": 9})
    )
    assert five.by.endswith("5 folds")
    assert two.by.endswith("2 folds")
    assert two.accuracy.value < five.accuracy.value  # each fit sees half of the pictures, not four fifths
    assert other.accuracy != five.accuracy


def test_sets_are_compared_as_asked(workspace: Workspace) -> None:
    asked = {"dataset": DIGITS, "network": "pixels", "splits": ("train", "val")}
    few = call(workspace, "dataset.alike", **asked, most_images=40)
    assert [(one.first, one.second) for one in few.pairs] == [("train", "val")]
    assert few.pairs[0].counts[0] == 40
    again = call(workspace, "dataset.alike", **asked, most_images=40, seed=3)
    assert again.pairs[0].distance != few.pairs[0].distance
    with pytest.raises(Invalid, match="Two sets of at least 20 pictures"):
        call(workspace, "dataset.alike", dataset=DIGITS, network="pixels", splits=("val",))


def test_who_says_that_a_picture_is_left_out_stands_with_it(workspace: Workspace) -> None:
    image_id = a_picture(workspace)
    for verb in ("require", "relabel", "exclude"):
        call(workspace, f"image.{verb}", images=(image_id,), by="Anna", kind="service")
    said = call(workspace, "image.marked").pictures
    assert {one.by for one in said} == {"service Anna"}
    for verb in ("exclude", "relabel", "require"):
        call(workspace, f"image.{verb}", images=(image_id,), undo=True)
    assert call(workspace, "image.marked").pictures == ()


def test_the_layer_that_is_named_is_weighed(workspace: Workspace) -> None:
    asked = {"image": a_picture(workspace), "run": "r-1"}
    assert {one.layer for one in call(workspace, "model.explain", **asked).classes} == {"conv2"}
    named = call(workspace, "model.explain", **asked, layer="conv1")
    assert {one.layer for one in named.classes} == {"conv1"}
    with pytest.raises(NotFound, match="No layer 'conv9'"):
        call(workspace, "model.explain", **asked, layer="conv9")


def test_more_neighbours_than_there_are_cannot_be_asked_for(workspace: Workspace) -> None:
    with pytest.raises(Invalid, match="others at most. Asked for: 900"):
        call(workspace, "model.retrieval", run="r-1", ks=(900,))


def test_fewer_pictures_make_a_rougher_sketch(workspace: Workspace) -> None:
    few = call(workspace, "model.domain", run="r-1", most_images=50)
    many = call(workspace, "model.domain", run="r-1")
    pictures = [int(one.calibration[0][1].split()[0]) for one in (few, many)]
    assert pictures == [
        min(50, workspace.catalogue.datasets.get(DIGITS).counts["val"]),
        workspace.catalogue.datasets.get(DIGITS).counts["val"],
    ]
    assert few.rows != many.rows


def test_what_begins_with_a_run_may_begin_with_any_of_its_snapshots(workspace: Workspace) -> None:
    recipe = {"network": "lenet5", "epochs": 1, "device": "cpu", "threads": 1}
    begun = {"dataset": DIGITS, "recipe": recipe, "start_from": "r-1"}
    measured = {"batch_size": 32, **{name: recipe[name] for name in ("network", "device", "threads")}}
    early, best = (
        call(workspace, "model.find_rate", **{**begun, "recipe": measured}, **more)
        for more in ({"start_epoch": 1}, {})
    )
    assert early.losses[0] > best.losses[0]
    runs = workspace.catalogue.runs
    for operation, values in (
        ("model.clone", {"times": 1}),
        ("model.fine_tune", {"recipe": {**recipe, "train_layers": "last"}}),
    ):
        early, best = (
            runs.get(call(workspace, operation, **{**begun, **values}, **more).runs[0])
            for more in ({"start_epoch": 1}, {})
        )
        assert early.parent == best.parent == "r-1"
        assert early.metrics["train.loss"] > best.metrics["train.loss"], operation
    with pytest.raises(NotFound, match="kept no snapshot of epoch 9"):
        call(workspace, "model.clone", **begun, times=1, start_epoch=9)


def test_each_run_says_whether_it_learnt_from_the_picture(workspace: Workspace) -> None:
    from darkroom.operations.run_pictures import pictures_of

    theirs = frozenset(pictures_of(workspace, "r-2").split("train").image_ids)
    image_id = next(one for one in pictures_of(workspace, "r-1").split("val").image_ids if one in theirs)
    found = call(workspace, "model.history", image=image_id, runs=("r-1", "r-2"))
    assert found.words == "It lies in val of r-1. It lies in train of r-2; it learnt from it."


def test_without_weights_the_must_pass_list_is_asked_of_nobody(workspace: Workspace) -> None:
    from darkroom.operations.must_pass import must_pass_of

    weights = workspace.runs_folder / "r-2" / "checkpoints" / "best.safetensors"
    aside = weights.with_suffix(".aside")
    weights.rename(aside)
    try:
        wanted = {a_picture(workspace): "3"}
        assert must_pass_of(workspace, "r-2", wanted, ask=False) is None
        with pytest.raises(NotFound, match="r-2 .* has no weights"):
            must_pass_of(workspace, "r-2", wanted)
    finally:
        aside.rename(weights)


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("model.evaluate", {"runs": ("r-1",), "split": "train"}, "evaluating"),
        ("model.try_epoch", {"run": "r-1", "epoch": 2}, "trying"),
        ("label.suspects", {"dataset": DIGITS, "network": "pixels", "seed": 4}, "fitting"),
        ("dataset.alike", {"dataset": DIGITS, "network": "pixels", "seed": 4}, "comparing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_stopped_in_the_middle_leaves_nothing_behind(
    workspace: Workspace, name: str, values: dict[str, Any], what: str
) -> None:
    before = tree(workspace)

    def listen(progress: Progress) -> None:
        if progress.what.startswith(what):
            workspace.stop_requested.set()

    workspace.listener = listen
    try:
        with pytest.raises(Cancelled, match=f"Stopped while {what}"):
            call(workspace, name, **values)
    finally:
        workspace.listener = None
        workspace.stop_requested.clear()
    assert tree(workspace) == before
    assert call(workspace, name, **values)


def test_a_list_that_is_stopped_is_not_handed_over(workspace: Workspace) -> None:
    folder: Path = workspace.root.parent / "photos"

    def listen(progress: Progress) -> None:
        if progress.what == "asking" and progress.done == 5:
            workspace.stop_requested.set()

    workspace.listener = listen
    try:
        with pytest.raises(Cancelled, match="Stopped while asking"):
            call(workspace, "model.ask", images=(folder,), run="r-1")
    finally:
        workspace.listener = None
        workspace.stop_requested.clear()
    assert not list((workspace.deliverables / "08-tuned").glob("asked-*"))
