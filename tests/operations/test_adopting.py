"""A model from elsewhere in a project: taken in, verified against itself, measured; and real ones."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.bundle import read_bundle
from darkroom.bundle.writer import replace_files
from darkroom.errors import Damaged, Invalid, Unsupported
from darkroom.export import ParityReport, latency
from darkroom.images import prepare
from darkroom.operations import adopting
from darkroom.operations.adopt import AdoptReport
from darkroom.operations.export import VerifyReport
from darkroom.records import DatasetVersion
from darkroom.serving import Predictor, open_session
from darkroom.workspace import Workspace
from tests.bundle import made
from tests.export import tiny_tflite
from tests.jobs.projects import project
from tests.operations.clone_projects import call

ONES = {"mean": (0.5,), "std": (0.5,)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return project(tmp_path / "p")


@pytest.fixture
def came(tmp_path: Path) -> dict[str, str]:
    """A file from elsewhere with its labels, as parameters."""
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n\n")
    path = tiny_tflite.write_float(tmp_path / "Came v1.tflite")
    return {"file": str(path), "labels": str(tmp_path / "labels.txt")}


def test_a_file_from_elsewhere_is_bundled_verified_and_measured(
    workspace: Workspace, came: dict[str, str]
) -> None:
    adopted: AdoptReport = call(workspace, "export.adopt", **came, **ONES, licence="Apache-2.0")
    assert (adopted.bundle, adopted.file, adopted.precision) == ("b-1", "came-v1.tflite", "float32")
    assert adopted.adapted == (
        "It takes float32: input = 0.00784314 · pixel − 1, inside the adopted file.",
    )
    verified: VerifyReport = call(workspace, "export.verify")
    assert verified.passed, verified.why
    assert (verified.exit_code, verified.images) == (0, 64)
    assert verified.compared_with == "the file as it came"
    assert any("64 drawn pictures" in remark for remark in verified.remarks)
    bundle = read_bundle(workspace.root / verified.path)
    assert (bundle.card.network, bundle.card.licence, bundle.card.run) == ("adopted", "Apache-2.0", "")
    assert bundle.card.contract.shape == (tiny_tflite.HEIGHT, tiny_tflite.WIDTH, 3)
    assert {file.role for file in bundle.manifest.files} >= {"model", "golden", "snippet", "script"}
    told = " ".join((bundle.folder / "README.txt").read_text("utf-8").split())
    assert f"made of {Path(came['file']).name}, a file from elsewhere. It takes float32: input = " in told
    assert "Trained in run" not in told
    answer = Predictor.open(bundle.folder).predict(bundle.golden.vectors[0].image)
    assert answer.label in ("red", "green", "blue")
    report = call(workspace, "export.bench", bundle="b-1", rounds=3)
    [row] = report.rows
    assert (row[0], report.exit_code) == ("came-v1.tflite", 0)
    assert row[4].endswith(" ms")
    kept = json.loads((workspace.deliverables / "09-mobile" / "bench.json").read_text())
    assert kept["files"][0]["latency"]["rounds"] == 3
    assert (workspace.root / report.page).is_file()


def test_an_adopted_file_that_answers_otherwise_is_not_handed_over(
    workspace: Workspace, came: dict[str, str], tmp_path: Path
) -> None:
    call(workspace, "export.adopt", **came, **ONES)
    wrong = call(workspace, "export.adopt", **came, mean=(0.4,), std=(0.3,))
    other = workspace.bundles_folder / wrong.bundle / "models" / wrong.file
    replace_files(workspace.bundles_folder / "b-1", {f"models/{wrong.file}": other.read_bytes()})
    verified: VerifyReport = call(workspace, "export.verify", bundle="b-1")
    assert (verified.passed, verified.exit_code, verified.path) == (False, 7, "")
    assert any("differs from the file as it came's" in why or "otherwise than the file as it came" in why
               for why in verified.why)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "change", "kind", "words"),
    [
        ("bundle.json", {"schema_version": 2}, Unsupported, "pip install --upgrade darkroom"),
        ("model-card.json", {"schema_version": 2}, Unsupported, "pip install --upgrade darkroom"),
        ("model-card.json", {"labels": ["red", "green"]}, Invalid, "the card has 2 labels"),
        (
            "model-card.json",
            {"labels": ["red", "green", "blue", "violet"]},
            Invalid,
            "the card has 4 labels",
        ),
    ],
)
def test_a_bundle_that_is_newer_or_has_other_labels_is_refused_by_each_command(
    workspace: Workspace, came: dict[str, str], place: str, change: dict, kind: type, words: str
) -> None:
    call(workspace, "export.adopt", **came, **ONES)
    made.rewrite(workspace.bundles_folder / "b-1", place, lambda content: content.update(change))
    for name in ("export.verify", "export.bench"):
        with pytest.raises(kind, match=words):
            call(workspace, name)
    assert not (workspace.deliverables / "09-mobile" / "bundle").exists()


def test_without_the_file_as_it_came_nothing_is_verified(
    workspace: Workspace, came: dict[str, str]
) -> None:
    call(workspace, "export.adopt", **came, **ONES)
    (workspace.bundles_folder / "b-1-original.tflite").unlink()
    with pytest.raises(Damaged, match="Adopt it again"):
        call(workspace, "export.verify")


@pytest.mark.parametrize("text", ["red\n\nblue\n", "", "\n\n"])
def test_labels_with_a_gap_are_refused(workspace: Workspace, came: dict[str, str], text: str) -> None:
    Path(came["labels"]).write_text(text)
    with pytest.raises(Invalid, match="empty line between its labels, or none at all"):
        call(workspace, "export.adopt", **came, **ONES)
    assert workspace.catalogue.bundles.list() == []


def test_a_mark_in_front_of_the_labels_is_no_part_of_the_first(
    workspace: Workspace, came: dict[str, str]
) -> None:
    Path(came["labels"]).write_text("red\ngreen\nblue\n", encoding="utf-8-sig")
    call(workspace, "export.adopt", **came, **ONES)
    assert read_bundle(workspace.bundles_folder / "b-1").card.labels == ("red", "green", "blue")


COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}


def coloured(workspace: Workspace, folder: Path, *, other: str = "") -> DatasetVersion:
    """Freezes 60 pictures of three colours, of which some lie in the folder of another colour."""
    draw = np.random.default_rng(0)
    for number in range(60):
        label = list(COLOURS)[number % 3]
        shown = "blue" if label == "green" and number % 2 else label
        place = folder / (other if other and label == "blue" else label) / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        noise = draw.integers(-40, 40, (8, 12, 3))
        Image.fromarray((np.array(COLOURS[shown]) + noise).astype(np.uint8)).save(place)
    call(workspace, "source.add", folder=str(folder))
    call(workspace, "dataset.freeze", dataset="colours")
    return workspace.catalogue.datasets.get("colours@1")


def test_accuracy_is_told_on_a_dataset_whose_classes_are_among_the_labels(
    workspace: Workspace, came: dict[str, str], tmp_path: Path
) -> None:
    coloured(workspace, tmp_path / "photos")
    members = list(workspace.catalogue.datasets.members("colours@1", "test"))
    shown = [np.asarray(Image.open(io.BytesIO(workspace.read_image(one.image_id)))) for one in members]
    answers = [["red", "green", "blue"][picture.mean(axis=(0, 1)).argmax()] for picture in shown]
    right = sum(answer == one.label for answer, one in zip(answers, members, strict=True))
    assert 0 < right < len(members)
    call(workspace, "export.adopt", **came, **ONES, dataset="colours@1", contract={"resize": "squash"})
    verified: VerifyReport = call(workspace, "export.verify")
    assert verified.passed, verified.why
    assert verified.images == len(members)
    where, accuracy = verified.remarks
    assert where == f"Compared on {len(members)} pictures of test of colours@1."
    assert accuracy.startswith(
        f"It answers {right} of {len(members)} rightly: accuracy {right / len(members):.1%}, 95% interval "
    )
    kept = ParityReport.model_validate_json((workspace.bundles_folder / "b-1-parity.json").read_bytes())
    assert kept.reference_accuracy == kept.files[0].accuracy == pytest.approx(right / len(members))


def test_on_a_dataset_with_other_classes_it_is_said_that_there_are_no_right_answers(
    workspace: Workspace, came: dict[str, str], tmp_path: Path
) -> None:
    coloured(workspace, tmp_path / "photos", other="violet")
    call(workspace, "export.adopt", **came, **ONES, dataset="colours@1")
    verified: VerifyReport = call(workspace, "export.verify")
    [remark] = verified.remarks
    assert "colours@1 has classes that are no label: violet." in remark
    assert "There are no right answers to hold it against" in remark


def test_of_a_large_dataset_pictures_at_even_distances_are_compared(
    workspace: Workspace, came: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured(workspace, tmp_path / "photos")
    members = list(workspace.catalogue.datasets.members("colours@1", "test"))
    call(workspace, "export.adopt", **came, **ONES, dataset="colours@1", contract={"resize": "squash"})
    monkeypatch.setattr(adopting, "MOST", 3)
    found = workspace.catalogue.bundles.get("b-1")
    bundle = read_bundle(workspace.bundles_folder / "b-1")
    _, tensors = adopting.reference_and_pictures(workspace, found, bundle, 10)
    wanted = [members[place] for place in (0, round((len(members) - 1) / 2), len(members) - 1)]
    images = [workspace.read_image(one.image_id) for one in wanted]
    np.testing.assert_array_equal(tensors, [prepare(image, bundle.contract) for image in images])


REAL = {
    "mobilenet_v1_0.25_224_1_default_1.tflite": ("float32", ONES, "imagenet"),
    "mobilenet_v1_0.25_224_quant.tflite": ("int8", {}, "imagenet"),
    "mobilenet_v2_1.0_224_quant.tflite": ("int8", {}, "imagenet"),
    "tf2_mobilenet_v2_1.0_224_ptq.tflite": ("int8", {}, "imagenet"),
    "deeplabv3.tflite": ("float32", ONES, "voc"),
    "deeplabv3_mnv2_dm05_pascal_quant.tflite": ("int8", {}, "voc"),
}
"""File, what its weights are, how its input is scaled, its labels."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_models_from_elsewhere_answer_as_they_did(
    workspace: Workspace, tmp_path: Path, shared_data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared_data / "reference-models"
    precision, scaling, which = REAL[name]
    labels = tmp_path / "labels.txt"
    if which == "imagenet":
        shutil.copy(folder / "imagenet_labels.txt", labels)
    else:
        text = (folder / "pascal_voc_segmentation_labels.txt").read_text()
        labels.write_text("\n".join(text.splitlines()[:21]) + "\n")
        monkeypatch.setattr(adopting, "DRAWN", 8)
        monkeypatch.setattr(latency, "LONGEST_S", 2.0)
    task = "classification" if which == "imagenet" else "segmentation"
    adopted = call(
        workspace, "export.adopt", file=str(folder / name), labels=str(labels), task=task, **scaling
    )
    assert adopted.precision == precision
    photo = shared_data / "sample-photos"
    if which == "imagenet":
        assert any("crane (" in words for words in adopted.adapted), "two labels are called crane"
    verified = call(workspace, "export.verify")
    assert verified.passed, verified.why
    assert verified.masks == (task == "segmentation")
    predictor = Predictor.open(workspace.bundles_folder / adopted.bundle)
    found = sorted(path for path in photo.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[
        :1
    ]
    for path in found:
        if task == "classification":
            assert predictor.predict(path.read_bytes()).probability > 0
        else:
            assert predictor.predict_mask(path.read_bytes()).mask.max() <= 255
    session = open_session(predictor.path)
    answer = session.run(np.zeros((1, *session.input_shape), np.uint8)).probabilities
    assert (answer >= 0).all()
    assert (answer <= 1).all()
