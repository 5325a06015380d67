"""Operating points: chosen on val by the brief's costs, kept with the run, and used by all that answer."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest

from darkroom.errors import InvalidConfig
from darkroom.evaluation import load_evaluation
from darkroom.operation import find_operation
from darkroom.operations.operating_points import point_content, point_of
from darkroom.records import ModelCard, OperatingPoint
from darkroom.serving import Predictor
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, QUICK, call, digits_project

BRIEF = """
[brief]
human_baseline = 0.995
not_sure_cost = 0.2
mistakes = [{ truth = "*", answer = "*", cost = 1 }]
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A project with one short training, evaluated before there was an operating point."""
    root = digits_project(tmp_path_factory.mktemp("calibrate"), 500).root
    with (root / "darkroom.toml").open("a", encoding="utf-8") as file:
        file.write(BRIEF)
    workspace = Workspace(root)
    call(workspace, "model.train", dataset=DATASET, recipe={**QUICK, "epochs": 4, "threads": 1})
    return workspace, call(workspace, "model.evaluate", runs=("r-1",))


@pytest.fixture(scope="module")
def made(before):
    """The same project, calibrated."""
    workspace, first = before
    figures = load_evaluation(workspace.runs_folder / "r-1").figures
    inputs = dict(point_content(workspace, ("r-1",)))
    return workspace, first, figures, inputs, call(workspace, "model.calibrate", runs=("r-1",))


def test_before_there_is_a_point_nothing_is_not_sure(before):
    workspace, report = before
    found = load_evaluation(workspace.runs_folder / "r-1")
    if point_of(workspace, "r-1") == OperatingPoint():
        assert found.operating is None
        assert not any("operating point" in line for line in report.said)


def test_the_point_is_chosen_on_val_and_kept_in_the_card(made):
    workspace, _, _, inputs, report = made
    point = point_of(workspace, "r-1")
    card = ModelCard.model_validate_json((workspace.runs_folder / "r-1/model-card.json").read_bytes())
    assert card.operating_point == point
    assert point.chosen_on == "val of digits@1"
    assert point.temperature != 1
    assert point.thresholds
    assert report.rows[0][0] == "r-1"
    assert {row[1] for row in report.thresholds} == set(card.labels)
    assert inputs == {}
    assert set(point_content(workspace, ("r-1",))) == {"operating point of r-1"}


def test_choosing_looks_at_val_alone(made):
    workspace = made[0]
    assert load_evaluation(workspace.runs_folder / "r-1", "test").looks == 1
    seen = load_evaluation(workspace.runs_folder / "r-1", "val")
    assert seen.operating is not None
    assert seen.operating.point == point_of(workspace, "r-1")


def test_evaluation_shows_the_point_and_leaves_all_other_figures_as_they_were(made):
    workspace, _, figures, _, _ = made
    report = call(workspace, "model.evaluate", runs=("r-1",))
    found = load_evaluation(workspace.runs_folder / "r-1")
    assert found.figures == figures
    assert found.looks == 1  # the answers that are kept were judged anew
    operating = found.operating
    assert operating is not None
    assert operating.coverage.value < 1
    assert operating.accuracy_of_answered.value > figures.accuracy.value
    assert operating.expected_cost.value < operating.cost_if_all_answered.value
    assert found.calibration.after.temperature == operating.point.temperature
    assert any("at its operating point" in line for line in report.said)
    assert any("against people, who reach 0.995" in line for line in report.said)
    page = (workspace.root / report.path).read_text("utf-8")
    for words in ("At its operating point", "What mistakes cost", "Against people", "Over all thresholds"):
        assert words in page


def test_the_documents_say_what_the_page_says(made):
    workspace = made[0]
    report = call(workspace, "model.evaluate", runs=("r-1",))
    page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", (workspace.root / report.path).read_text("utf-8")))
    with zipfile.ZipFile(workspace.root / report.docx) as file:
        xml = file.read("word/document.xml").decode()
    words = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", xml))
    figures = set(re.findall(r"\d+\.\d+", words))
    assert len(figures) > 40
    assert {one for one in figures if one not in page} == set()
    assert (workspace.root / report.pdf).read_bytes().startswith(b"%PDF")
    assert Path(report.pdf).stem == Path(report.path).stem


def test_without_the_packages_the_page_is_written_and_says_what_is_missing(made, monkeypatch):
    workspace = made[0]
    for name in ("docx", "typst"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    report = call(workspace, "model.evaluate", runs=("r-1",))
    assert (report.docx, report.pdf) == ("", "")
    assert (workspace.root / report.path).is_file()
    assert not (workspace.root / report.path).with_suffix(".docx").exists()
    assert len(report.missing) == 2
    assert all('pip install "darkroom[documents]"' in line for line in report.missing)
    assert set(report.missing) <= set(report.display())


def test_predict_says_not_sure(made):
    workspace = made[0]
    photos = workspace.root.parent / "photos"
    found = call(workspace, "predict", images=[str(photos)], using="torch")
    unsure = [one for one in found.images if not one.sure]
    assert 0 < len(unsure) < len(found.images)
    point = point_of(workspace, "r-1")
    for one in found.images:
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert one.sure == (one.probability >= point.thresholds.get(one.label, 0))
    shown = list(found.display())
    assert sum("not sure (most likely" in str(line) for line in shown) == len(unsure)


@pytest.mark.slow
def test_the_point_travels_with_the_bundle_and_all_files_say_the_same(made):
    workspace = made[0]
    bundle = call(workspace, "export.convert", run="r-1").bundle
    folder = workspace.bundles_folder / bundle
    card = json.loads((folder / "model-card.json").read_text("utf-8"))
    point = point_of(workspace, "r-1")
    assert OperatingPoint.model_validate(card["operating_point"]) == point
    readme = (folder / "README.txt").read_text("utf-8")
    assert f"1/{point.temperature:g}" in readme
    assert '"not sure"' in readme
    photos = str(workspace.root.parent / "photos" / "8")
    torch, onnx, litert = (
        call(workspace, "predict", images=[photos], using=using) for using in ("torch", "onnx", "litert")
    )
    assert any(not one.sure for one in torch.images)
    for other in (onnx, litert):
        for mine, theirs in zip(other.images, torch.images, strict=True):
            assert (mine.label, mine.sure) == (theirs.label, theirs.sure)
            assert mine.probability == pytest.approx(theirs.probability, abs=1e-3)
    predictor = Predictor.open(folder, runtime="onnx")
    for mine in onnx.images:
        answer = predictor.predict(Path(mine.image).read_bytes())
        assert (answer.label, answer.sure) == (mine.label, mine.sure)
        assert answer.probability == pytest.approx(mine.probability)


def test_the_gate_on_cost_is_held_at_the_operating_point(made):
    from darkroom.evaluation import quality_gates
    from darkroom.operations.judged import judged

    workspace = made[0]
    one = judged(workspace, "r-1", "val")
    brief = workspace.project.brief
    limits = brief.limits.model_copy(update={"expected_cost": 0.5})
    [gate] = quality_gates(brief.model_copy(update={"limits": limits}), [one], alike=True)
    assert gate.value == pytest.approx(one.evaluation.operating.expected_cost.value)
    [without] = quality_gates(
        brief.model_copy(update={"limits": limits}), [one._replace(point=OperatingPoint())], alike=True
    )
    assert without.value == pytest.approx(one.evaluation.operating.cost_if_all_answered.value)


def test_pictures_are_sliced_by_what_the_catalogue_knows(made):
    workspace = made[0]
    slices = load_evaluation(workspace.runs_folder / "r-1").slices
    attributes = {row.attribute for row in slices.slices} | set(slices.left_out)
    assert {"brightness", "file size, kB", "shape", "file format"} <= attributes


def test_no_runs_are_refused(before):
    with pytest.raises(InvalidConfig, match="at least one run"):
        call(before[0], "model.calibrate", runs=())


def test_a_point_makes_stale_what_shows_it_and_what_carries_it(made):
    workspace = made[0]
    evaluate, convert = find_operation("model.evaluate"), find_operation("export.convert")
    assert "operating point of r-1" in evaluate.inputs(workspace, runs=("r-1",), split="test")
    assert "operating point of r-1" in convert.inputs(workspace, run="r-1", targets=("onnx",))
