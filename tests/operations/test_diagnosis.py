"""Planted faults are told by their verdict, healthy runs get none; real trainings on real digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from darkroom.errors import Invalid, NotFound
from darkroom.operations.diagnosis import kept_diagnosis
from darkroom.settings import Settings
from darkroom.workspace import Workspace
from tests.operations.clone_projects import CONTRACT, call

MOVED = {"rotate_deg": 10.0, "zoom": 0.1, "shift": 0.1}
PLAIN = {
    "epochs": 25, "learning_rate": 0.002, "weight_decay": 0.01, "augment": MOVED, "device": "cpu",
    "threads": 1,
}  # fmt: skip
BARE = {**PLAIN, "augment": {}, "weight_decay": 0.0, "epochs": 60}
TINY = """
import torch


def build(*, channels, size, classes):
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(16 * channels, 2),
        torch.nn.ReLU(), torch.nn.Linear(2, classes),
    )
"""
LABELS, HIGH, LOW = "labels look wrong", "learning rate too high", "learning rate too low"
FEW, SMALL, HEART = "too few images", "network too small", "overfitting for lack of regularisation"


def planted(
    folder: Path, count: int = 1797, flipped: float = 0.0, train: int = 0, seed: int = 0
) -> Workspace:
    """Makes a project of the first digits, some of them with wrong labels, frozen as digits@1."""
    bunch, draw = load_digits(), np.random.default_rng(seed)
    for number in range(count):
        label = int(bunch.target[number])
        if draw.random() < flipped:
            label = (label + int(draw.integers(1, 10))) % 10
        place = folder / "photos" / str(label) / f"{number:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((bunch.images[number] * 15.9).astype(np.uint8)).save(place)
    (folder / "darkroom.toml").write_text('[project]\nname = "planted"\n')
    (folder / "tiny.py").write_text(TINY)
    workspace = Workspace(folder, settings=Settings(workers=1, threads=1))
    call(workspace, "source.add", folder=str(folder / "photos"))
    plan = {"test_share": 0.1, "val_share": 1 - train / (0.9 * count) if train else 0.25, "seed": seed}
    call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT, plan=plan, pictures="none")
    return workspace


def diagnosed(workspace: Workspace, recipe: dict, seed: int = 0, **options):
    """Trains and diagnoses; a training whose loss is no number is diagnosed as well."""
    try:
        call(workspace, "model.train", dataset="digits@1", recipe=recipe, seed=seed)
    except Invalid as error:
        if error.id != "training.not-finite":
            raise
    return call(workspace, "model.diagnose", run="r-1", **options)


@pytest.fixture(scope="module")
def wrong_labels(tmp_path_factory: pytest.TempPathFactory):
    workspace = planted(tmp_path_factory.mktemp("labels"), count=900, flipped=0.3)
    report = diagnosed(workspace, {**PLAIN, "epochs": 6})
    yield workspace, report
    workspace.close()


def test_wrong_labels_are_told_with_their_share_and_what_to_try(wrong_labels) -> None:
    report = wrong_labels[1]
    assert report.found == (LABELS,)
    verdict = report.verdicts[0]
    assert 0.2 < verdict.interval.low < 0.3 < verdict.interval.high < 0.42
    assert verdict.next_steps
    assert any("out" in line or "not fitted on" in line for line in verdict.evidence)


def test_the_page_and_the_record_say_the_same(wrong_labels) -> None:
    workspace, report = wrong_labels
    page = (workspace.root / report.path).read_text()
    assert report.verdicts[0].said.split(" (")[0] in page
    assert "Pictures whose labels are doubted most" in page
    kept = kept_diagnosis(workspace, "r-1")
    assert kept is not None
    assert kept.verdicts == report.verdicts
    assert json.loads(report.model_dump_json())["found"] == [LABELS]


def test_what_a_diagnosis_keeps_goes_when_a_picture_is_forgotten(wrong_labels, tmp_path) -> None:
    import shutil

    copy = Path(shutil.copytree(wrong_labels[0].root, tmp_path / "copy"))
    with Workspace(copy) as workspace:
        members = workspace.catalogue.datasets.members("digits@1")
        image_id = next(iter(members)).image_id
        call(workspace, "image.forget", images=[image_id], reason="asked to")
        folder = workspace.runs_folder / "r-1"
        assert not (folder / "diagnosis.json").exists()
        assert not (folder / "watch").exists()


def test_a_run_that_has_not_begun_is_refused(wrong_labels) -> None:
    from darkroom.records import Run, now

    workspace = wrong_labels[0]
    run = workspace.catalogue.runs.create(
        Run(id="", key="k", operation="model.train", dataset="digits@1", network="lenet5", created_at=now())
    )
    with pytest.raises(NotFound, match="has not begun"):
        call(workspace, "model.diagnose", run=run.id)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_healthy_run_gets_no_false_verdict(tmp_path: Path, seed: int) -> None:
    report = diagnosed(planted(tmp_path, seed=seed), PLAIN, seed)
    assert report.found == ("looks healthy",)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("changes", "facts", "expected", "also"),
    [
        pytest.param({}, {"flipped": 0.3}, LABELS, set(), id="labels"),
        pytest.param({"learning_rate": 0.2}, {}, HIGH, set(), id="rate × 100"),
        pytest.param({"learning_rate": 0.00002}, {}, LOW, set(), id="rate ÷ 100"),
        pytest.param({"epochs": 200}, {"train": 50}, FEW, {HEART}, id="50 pictures"),
        pytest.param({"network": "custom", "network_file": "tiny.py"}, {}, SMALL, {LOW}, id="tiny"),
        pytest.param(BARE, {"train": 300}, HEART, {FEW}, id="bare"),
    ],
)
def test_a_planted_fault_is_told(tmp_path: Path, seed: int, changes, facts, expected, also) -> None:
    report = diagnosed(planted(tmp_path, seed=seed, **facts), {**PLAIN, **changes}, seed)
    assert expected in report.found
    assert set(report.found) - {expected} <= also
