"""The run table: figures with intervals, what differs, filters, sorting, notes, tags, choosing."""

from __future__ import annotations

import csv
import json
import math

import pytest

from darkroom.cli import main
from darkroom.errors import Conflict, InvalidConfig, NotFound
from darkroom.records import Table
from tests.documents.test_pages import TAGS, Page
from tests.operations.clone_projects import DATASET, call, digits_project

RATES = (0.0001, 0.003, 0.01)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = digits_project(tmp_path_factory.mktemp("table"), count=150, workers=1)
    for rate in RATES:
        recipe = {"epochs": 1, "device": "cpu", "threads": 1, "learning_rate": rate}
        call(workspace, "model.clone", dataset=DATASET, recipe=recipe, times=2, side_by_side="no")
    return workspace


def table(workspace, **asked):
    return call(workspace, "model.runs", **asked)


def names(found):
    return [row.run for row in found.rows]


def test_only_what_differs_is_shown_beside_what_decides(workspace):
    found = table(workspace)
    assert set(found.parameters) == {"seed", "recipe.learning_rate"}
    assert found.columns == ("val.accuracy", "val.loss")
    assert names(found) == ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"]
    accuracy = found.rows[0].figures["val.accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    drawn = next(part for part in found.display() if isinstance(part, Table))
    assert drawn.columns == ("run", "seed", "learning_rate", "val.accuracy", "val.loss", "tags")


def test_any_figure_and_any_parameter_can_be_shown(workspace):
    call(workspace, "model.evaluate", runs=("r-5",), split="val")
    found = table(
        workspace, figures=("val.macro_f1", "val.recall.3", "duration_s"), parameters=("batch_size",)
    )
    assert found.parameters == ("recipe.batch_size",)
    assert found.rows[0].parameters == {"recipe.batch_size": 64}
    by_run = {row.run: row for row in found.rows}
    assert by_run["r-5"].figures["val.macro_f1"].method == "bootstrap"
    assert "val.macro_f1" not in by_run["r-1"].figures
    assert by_run["r-1"].figures["duration_s"].method == ""
    assert len(table(workspace, parameters=("all",)).parameters) > 40
    with pytest.raises(NotFound, match="val.macro_f1"):
        table(workspace, figures=("val.macrof1",))
    with pytest.raises(NotFound, match="batch_size"):
        table(workspace, parameters=("batchsize",))


def test_rows_are_sorted_best_first_or_by_a_parameter_or_turned_round(workspace):
    best = table(workspace, sort="val.accuracy")
    values = [row.figures["val.accuracy"].value for row in best.rows]
    assert values == sorted(values, reverse=True)
    losses = [row.figures["val.loss"].value for row in table(workspace, sort="val.loss").rows]
    assert losses == sorted(losses)
    rates = [
        row.parameters["recipe.learning_rate"] for row in table(workspace, sort="recipe.learning_rate").rows
    ]
    assert rates == sorted(rates)
    assert names(table(workspace, sort="run", reverse=True)) == names(table(workspace))[::-1]
    assert names(table(workspace, sort="val.accuracy", reverse=True)) != names(best)
    with pytest.raises(NotFound):
        table(workspace, sort="val.acuracy")


def test_filters_hold_together(workspace):
    found = table(workspace, where=("learning_rate>=0.003", "seed=0"))
    assert names(found) == ["r-3", "r-5"]
    assert found.left_out == 4
    assert names(table(workspace, where=("state!=finished",))) == []
    assert names(table(workspace, where=("recipe.network=lenet5", "run=r-2"))) == ["r-2"]
    assert len(names(table(workspace, where=("val.accuracy>=0",)))) == 6
    assert table(workspace, most=2).left_out == 4
    assert names(table(workspace, runs=("r-4", "r-2"))) == ["r-4", "r-2"]
    assert names(table(workspace, dataset=DATASET)) == names(table(workspace))
    for wrong in ("learning_rate", "val.accuracy>much"):
        with pytest.raises(InvalidConfig):
            table(workspace, where=(wrong,))
    with pytest.raises(NotFound, match="learning_rate"):
        table(workspace, where=("lerning_rate=1",))


def test_clones_fold_into_one_row_with_the_interval_over_seeds(workspace):
    call(workspace, "model.train", dataset=DATASET, recipe=_recipe(RATES[0]), seed=1, again=True)
    found = table(workspace, fold=True, where=("run!=r-99",))
    assert [row.runs for row in found.rows] == [("r-1", "r-2"), ("r-3", "r-4"), ("r-5", "r-6")]
    assert found.parameters == ("recipe.learning_rate",)
    assert found.rows[0].figures["val.accuracy"].method == "t over seeds"
    assert found.rows[0].figures["val.accuracy"].count == 2
    assert "r-1 + 1" in next(part for part in found.display() if isinstance(part, Table)).rows[0][0]


def _recipe(rate):
    return {"epochs": 1, "device": "cpu", "threads": 1, "learning_rate": rate}


def test_notes_and_tags_are_kept_found_and_taken_back(workspace):
    first = call(workspace, "model.note", run="r-3", text="learns slowly", by="ada")
    assert (first.note, first.tags) == ("learns slowly", ())
    call(workspace, "model.tag", run="r-3", tags=("best", "shown"), by="bob")
    call(workspace, "model.tag", run="r-4", tags=("best",))
    assert names(table(workspace, where=("tag=best",))) == ["r-3", "r-4"]
    assert names(table(workspace, where=("tag!=best", "seed=0", "run!=r-7"))) == ["r-1", "r-5"]
    assert names(table(workspace, where=("note~SLOW",))) == ["r-3"]
    row = table(workspace, runs=("r-3",)).rows[0]
    assert (row.note, row.tags) == ("learns slowly", ("best", "shown"))
    after = call(workspace, "model.tag", run="r-3", tags=("best",), remove=True)
    assert after.tags == ("shown",)
    assert call(workspace, "model.note", run="r-3").note == ""
    kept = json.loads((workspace.runs_folder / "r-3" / "notes.json").read_text())["log"]
    assert [(one["kind"], one["text"]) for one in kept] == [
        ("note", "learns slowly"), ("tag", "best"), ("tag", "shown"), ("untag", "best"), ("note", ""),
    ]  # fmt: skip
    assert [one["author"] for one in kept[:3]] == ["ada", "bob", "bob"]


def test_what_cannot_be_a_tag_or_is_none_is_refused(workspace):
    for wrong in ("", " x", "a,b", "a=b", "x" * 61):
        with pytest.raises(InvalidConfig):
            call(workspace, "model.tag", run="r-1", tags=(wrong,))
    with pytest.raises(InvalidConfig, match="no tag to give"):
        call(workspace, "model.tag", run="r-1", tags=())
    with pytest.raises(NotFound, match='has no tag "worst"'):
        call(workspace, "model.tag", run="r-1", tags=("worst",), remove=True)
    with pytest.raises(NotFound):
        call(workspace, "model.note", run="r-99", text="x")
    workspace.catalogue.runs.update("r-2", tags=("study-s-1",))
    with pytest.raises(Conflict, match="stays"):
        call(workspace, "model.tag", run="r-2", tags=("study-s-1",), remove=True)
    assert call(workspace, "model.tag", run="r-2", tags=("mine",)).tags == ("study-s-1", "mine")


def test_the_table_is_handed_over_as_page_and_csv(workspace):
    call(workspace, "model.note", run="r-1", text="=SUM(A1)")
    found = table(workspace, save=True, sort="val.accuracy")
    page = (workspace.root / found.path).read_bytes()
    looked_at = Page(page.decode())
    assert looked_at.open == []
    assert {tag for tag, _ in looked_at.elements} <= TAGS
    assert b"<svg" in page
    with (workspace.root / found.csv).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == names(found)
    by_run = {row["run"]: row for row in rows}
    first = next(row for row in found.rows if row.run == "r-1").figures["val.accuracy"]
    assert float(by_run["r-1"]["val.accuracy.low"]) == first.low
    assert by_run["r-1"]["note"] == "'=SUM(A1)"
    assert by_run["r-1"]["val.loss.low"] == ""


def test_a_run_is_chosen_by_val_from_those_named_or_from_all(workspace):
    found = call(workspace, "model.select", by="val.loss")
    losses = {run.id: run.metrics["val.loss"] for run in workspace.catalogue.runs.list()}
    assert found.run == min(losses, key=lambda run: losses[run])
    assert call(workspace, "model.select", runs=("r-1", "r-2")).run in ("r-1", "r-2")
    assert (
        call(workspace, "model.select", runs=("r-5",), by="val.recall.3")
        .rows[0][1]
        .startswith(("0.", "1."))
    )
    with pytest.raises(NotFound, match=r"val\.accuracy"):
        call(workspace, "model.select", by="val.acuracy")
    with pytest.raises(InvalidConfig, match="figure of the val pictures"):
        call(workspace, "model.select", by="duration_s")


def test_a_figure_that_is_no_number_is_never_the_best_and_no_run_is_lost_by_it(workspace, tmp_path):
    other, made = digits_project(tmp_path, count=40, workers=1), workspace.catalogue.runs.get("r-1")
    for number, loss in enumerate((math.nan, 0.5, math.nan, math.inf)):
        figures = {"val.loss": loss, "val.accuracy": 0.5}
        other.catalogue.runs.create(made.model_copy(update={"key": f"{number}", "metrics": figures}))
    for runs in ((), ("r-1", "r-2"), ("r-2", "r-4", "r-3")):
        found = call(other, "model.select", runs=runs, by="val.loss")
        assert found.run == "r-2"
        assert [row[1] for row in found.rows[1:]] == ["—"] * (len(found.rows) - 1)
    with pytest.raises(NotFound, match=r"None of these runs has a figure val\.loss"):
        call(other, "model.select", runs=("r-1", "r-3"), by="val.loss")
    assert len(call(other, "model.list").rows) == 4


@pytest.mark.parametrize("by", ["test.accuracy", "field.accuracy", "must-pass.accuracy", "test.nonsense"])
def test_no_run_is_chosen_by_a_test_figure_and_the_shell_says_why(workspace, by, capsys):
    place = ["--project", str(workspace.root)]
    assert main(["model", "select", "--by", by, *place]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"No run is chosen by {by}" in said
    assert "partly the luckiest" in said


@pytest.mark.slow
def test_between_datasets_no_figure_chooses_and_a_redrawn_val_is_said(tmp_path):
    other = digits_project(tmp_path, count=60, workers=1)
    recipe = {"epochs": 1, "device": "cpu", "threads": 1}
    with pytest.raises(InvalidConfig, match="no finished run"):
        call(other, "model.select")
    call(other, "model.clone", dataset=DATASET, recipe=recipe, times=2, vary=("split",), side_by_side="no")
    assert "split of its own" in call(other, "model.select").remarks[0]
    call(
        other,
        "dataset.freeze",
        dataset="more",
        contract={"width_px": 12, "height_px": 12, "colour": "grey"},
    )
    call(other, "model.train", dataset="more@1", recipe=recipe)
    with pytest.raises(InvalidConfig, match="several dataset versions"):
        call(other, "model.select")
    assert call(other, "model.select", dataset="more@1").run == "r-3"


def test_sorting_by_test_is_shown_with_a_warning(workspace):
    call(workspace, "model.evaluate", runs=("r-1",))
    found = table(workspace, sort="test.accuracy")
    assert found.rows[0].run == "r-1"
    assert "choose by val" in found.remarks[0]
    assert found.columns == ("val.accuracy", "val.loss")  # test is shown when it is asked for
    shown = table(workspace, figures=("test.accuracy",), runs=("r-1",))
    assert shown.rows[0].figures["test.accuracy"].method == "bootstrap"
