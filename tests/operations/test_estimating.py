"""What a training will take is said before it, leaves nothing behind, and stands beside what it took."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.settings import available_cores
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, QUICK, call, digits_project, tree


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return digits_project(tmp_path_factory.mktemp("estimated"), workers=1)


def test_an_estimate_rests_on_three_batches_and_leaves_nothing_behind(workspace: Workspace) -> None:
    before = tree(workspace)
    found = call(workspace, "model.estimate", dataset=DATASET, recipe=QUICK, times=2)
    assert tree(workspace) == before
    assert workspace.catalogue.runs.list() == []
    assert len(found.batch_s) == 3
    assert 0 < found.epoch_s.low <= found.epoch_s.value <= found.epoch_s.high
    assert found.training_s.value == pytest.approx(3 * found.epoch_s.value)
    assert found.all_s.value == pytest.approx(2 * found.training_s.value)
    assert found.memory_bytes.value > 100e6  # torch alone takes more
    assert found.decided == ("Clones one after the other. All take less than 60 s one after the other.",)


def test_more_epochs_take_more_time_and_snapshots_more_disk(workspace: Workspace) -> None:
    small = call(workspace, "model.estimate", dataset=DATASET, recipe=QUICK, times=1)
    long = {**QUICK, "epochs": 900, "snapshot_every": 1}
    large = call(workspace, "model.estimate", dataset=DATASET, recipe=long, times=1)
    assert large.training_s.value > 10 * small.training_s.value
    assert large.disk_bytes.value > small.disk_bytes.value


def test_without_a_rendering_a_few_pictures_are_taken(workspace: Workspace) -> None:
    shutil.rmtree(workspace.renderings)
    before = tree(workspace)
    found = call(workspace, "model.estimate", dataset=DATASET, recipe=QUICK)
    assert tree(workspace) == before
    assert "pictures to render" in found.prepare_s.basis
    assert found.prepare_s.value > 0
    assert found.disk_bytes.value > 300 * 16 * 16


def test_a_run_keeps_what_was_foreseen_and_what_it_took(workspace: Workspace) -> None:
    report = call(workspace, "model.train", dataset=DATASET, recipe=QUICK, seed=7)
    metrics = workspace.catalogue.runs.get(report.run).metrics
    folder = workspace.runs_folder / report.run
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for name in ("duration_s", "memory_bytes", "disk_bytes"):
        assert metrics[name] > 0
        assert metrics[f"foreseen.{name}"] > 0
    assert metrics["foreseen.disk_bytes"] == pytest.approx(on_disk, rel=0.05)
    assert metrics["memory_bytes"] < 2 * metrics["foreseen.memory_bytes"]
    assert report.took[0][0] == report.run
    assert all(" / " in cell for cell in (*report.took[0][1:3], report.took[0][4]))
    page = (workspace.root / report.path).read_text("utf-8")
    assert report.took[0][2] in page


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ({"precision": "float16"}, Unsupported),
        ({"accumulate_batches": 4000}, InvalidConfig),
        ({"device": "mps"}, Unsupported),
    ],
)
def test_what_this_machine_cannot_train_leaves_no_run(
    workspace: Workspace, recipe: dict[str, object], error: type[Exception]
) -> None:
    before = len(workspace.catalogue.runs.list())
    for name in ("model.train", "model.clone", "model.estimate"):
        with pytest.raises(error):
            call(workspace, name, dataset=DATASET, recipe={**QUICK, **recipe}, seed=70)
    assert len(workspace.catalogue.runs.list()) == before


def test_adadelta_at_the_usual_learning_rate_is_remarked_on(workspace: Workspace) -> None:
    slow = {**QUICK, "epochs": 1, "schedule": {"warmup_epochs": 0}, "optimiser": {"name": "adadelta"}}
    report = call(workspace, "model.train", dataset=DATASET, recipe=slow)
    assert "adadelta" in "".join(report.notes())
    quick = {**slow, "learning_rate": 1.0}
    assert list(call(workspace, "model.train", dataset=DATASET, recipe=quick).notes()) == []


TWO_CORES = pytest.mark.skipif(
    available_cores() < 2, reason="clones side by side need two cores; GPU or not"
)
SIDE_BY_SIDE = {"dataset": DATASET, "recipe": QUICK, "times": 2, "side_by_side": "yes"}


@pytest.mark.slow
@TWO_CORES
def test_clones_side_by_side_are_timed_side_by_side(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, workers=1)
    call(workspace, "model.train", dataset=DATASET, recipe={**QUICK, "epochs": 1})  # renders the pictures
    found = call(workspace, "model.estimate", **SIDE_BY_SIDE)
    assert (found.processes, found.threads) == (2, 1)
    assert found.all_s.value == pytest.approx(found.training_s.value)
    assert found.training_s.value == pytest.approx(3 * found.epoch_s.value)
    assert found.all_s.basis == "2 at a time, with what comes before"


@TWO_CORES
def test_without_a_rendering_it_says_that_nothing_was_timed_side_by_side(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, workers=1)
    shutil.rmtree(workspace.renderings)
    found = call(workspace, "model.estimate", **SIDE_BY_SIDE)
    assert "as if none slowed another" in found.all_s.basis
    assert not workspace.renderings.exists()
