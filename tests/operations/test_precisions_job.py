"""Smaller files: tried, chosen, verified, refused; and a run that goes on with rounding."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import read_bundle
from darkroom.errors import Invalid, Unsupported
from darkroom.operations.precision_choice import kept_precisions
from darkroom.serving import open_session
from darkroom.workspace import Workspace
from tests.jobs.projects import pictures, project
from tests.operations.clone_projects import CONTRACT, DATASET, QUICK, call, digits_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A project with a trained LeNet on 600 digits."""
    workspace = digits_project(tmp_path_factory.mktemp("digits"), 600)
    recipe = {"network": "lenet5", "epochs": 12, "threads": 1, "device": "cpu"}
    return workspace, call(workspace, "model.train", dataset=DATASET, recipe=recipe).run


@pytest.fixture(scope="module")
def converted(made: tuple[Workspace, str]):
    workspace, run = made
    return call(
        workspace,
        "export.convert",
        run=run,
        targets=("onnx",),
        precision=("float32", "float16", "int8"),
    )


def test_all_that_was_tried_is_listed_and_one_of_each_precision_is_in_the_bundle(
    made: tuple[Workspace, str], converted
) -> None:
    workspace, _ = made
    assert [row[1] for row in converted.tried] == ["float32", "float16", *["int8"] * 6]
    assert [(row[0], row[1]) for row in converted.rows] == [
        ("onnx", "float32"),
        ("onnx", "float16"),
        ("onnx", "int8"),
    ]
    bundle = read_bundle(workspace.bundles_folder / converted.bundle)
    names = sorted(Path(model.path).name for model in bundle.models)
    assert [name.partition("-")[2] for name in names if "-" in name] == ["float16.onnx", "int8.onnx"]
    (why,) = converted.chosen
    assert "int8" in why
    assert "is chosen, the smallest of" in why


def test_the_report_says_on_which_pictures_and_never_names_test(
    made: tuple[Workspace, str], converted
) -> None:
    report = kept_precisions(made[0], converted.bundle)
    assert report is not None
    assert "val and" in report.pictures
    assert "test" not in report.pictures
    assert 0 < report.calibration_count <= 200
    (chosen,) = [one for one in report.candidates if one.chosen]
    kept = [one for one in report.candidates if one.kept]
    assert chosen.precision == "int8"
    assert len(kept) == 3
    assert all(one.latency_ms for one in report.candidates)


def test_verify_holds_each_precision_against_its_own_limits_and_the_page_shows_the_table(
    made: tuple[Workspace, str], converted
) -> None:
    workspace, _ = made
    verified = call(workspace, "export.verify", bundle=converted.bundle)
    assert verified.passed, verified.why
    limits = {(gate.subject.rpartition("-")[2], gate.limit) for gate in verified.gates}
    assert {("int8.onnx", "parity_int8_agreement"), ("int8.onnx", "accuracy_loss")} <= limits
    assert ("float16.onnx", "parity_float16_max_abs") in limits
    page = (workspace.root / verified.page).read_text("utf-8")
    assert "What was tried" in page
    assert "percentile-99.99" in page


def test_a_small_file_answers_the_same_pixels_with_float32_probabilities(
    made: tuple[Workspace, str], converted
) -> None:
    workspace, _ = made
    models = read_bundle(workspace.bundles_folder / converted.bundle)
    paths = {one.precision: models.folder / one.path for one in models.models}
    shape = open_session(paths["float32"]).input_shape
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    answers = {name: open_session(path).run(pixels).probabilities for name, path in paths.items()}
    for one in answers.values():
        assert (one.dtype, one.shape) == (np.float32, (4, 10))
    assert paths["int8"].stat().st_size < 0.45 * paths["float32"].stat().st_size


def test_a_limit_that_no_int8_file_meets_leaves_it_out_and_says_what_may_help(
    made: tuple[Workspace, str],
) -> None:
    workspace, run = made
    file = workspace.root / "darkroom.toml"
    before = file.read_text("utf-8")
    file.write_text(f"{before}\n[brief.limits]\nmodel_bytes = 1\n", "utf-8")
    try:
        strict = Workspace(workspace.root, settings=workspace.settings)
        found = call(strict, "export.convert", run=run, targets=("onnx",), precision=("float32", "int8"))
        with pytest.raises(Unsupported, match="No file meets the brief"):
            call(strict, "export.convert", run=run, targets=("onnx",), precision=("int8",))
    finally:
        file.write_text(before, "utf-8")
    assert [row[1] for row in found.rows] == ["float32"], "float32 is held against the brief by verify"
    assert "darkroom model networks says which can meet the brief" in found.chosen[-1]


def test_a_run_goes_on_with_rounding_and_its_int8_file_agrees_with_it(
    made: tuple[Workspace, str],
) -> None:
    workspace, run = made
    made_run = call(workspace, "model.quantise", run=run, epochs=1)
    found = workspace.catalogue.runs.get(made_run.run)
    assert found.parent == run
    assert "export convert" in made_run.remarks[-1]
    again = call(workspace, "model.quantise", run=run, epochs=1)
    assert (again.run, again.reused) == (made_run.run, True)
    bundle = call(
        workspace, "export.convert", run=found.id, targets=("onnx",), precision=("float32", "int8")
    )
    assert [row[1] for row in bundle.rows] == ["float32", "int8"]


def test_train_pictures_of_a_single_class_are_refused_before_anything_is_converted(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    pictures(tmp_path / "digits", 400)
    for label in "01":
        shutil.copytree(tmp_path / "digits" / label, tmp_path / "photos" / label)
    call(workspace, "source.add", folder=str(tmp_path / "photos"))
    call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
    run = call(workspace, "model.train", dataset=DATASET, recipe={**QUICK, "epochs": 1}).run
    members = workspace.catalogue.datasets.members(DATASET, "train")
    call(workspace, "image.forget", images=tuple(one.image_id for one in members if one.label == "1"))
    with pytest.raises(Invalid, match="single class") as refused:
        call(workspace, "export.convert", run=run, targets=("onnx",), precision=("float32", "int8"))
    assert "darkroom dataset freeze" in refused.value.hint
    assert workspace.catalogue.bundles.list() == []
