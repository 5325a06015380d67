"""A training is looked at and its snapshots are tested by another process, which it does not notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from darkroom.errors import Cancelled, InvalidConfig, NotFound
from darkroom.operations.holding import runs_at_work
from darkroom.training.run_folder import read_metrics
from darkroom.training.samples import read_samples
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, call, digits_project
from tests.server.apps import DARKROOM

RECIPE = {"device": "cpu", "threads": 1, "snapshot_every": 2}
FIXED = {**RECIPE, "schedule": {"name": "fixed"}}
"""An epoch does not depend on how many there will be."""

EPOCHS = 6
PATIENCE_S = 200.0


@pytest.fixture(scope="module", autouse=True)
def heard() -> Iterator[None]:
    """Lets children hear Ctrl-C, also where the tests themselves run in the background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Workspace]]:
    """A project to be trained by another process, and a copy whose run is trained undisturbed."""
    folder = tmp_path_factory.mktemp("watched")
    with digits_project(folder, 200, workers=1) as workspace:
        pass
    shutil.copytree(workspace.root, folder / "calm")
    with Workspace(workspace.root) as watched, Workspace(folder / "calm") as calm:
        call(calm, "model.train", dataset=DATASET, recipe={**FIXED, "epochs": EPOCHS})
        yield watched, calm


@pytest.fixture(scope="module")
def during(projects: tuple[Workspace, Workspace]) -> dict[str, Any]:
    """What this process was told while another one trained, and how that one ended at Ctrl-C."""
    workspace, _ = projects
    recipe = [
        word
        for name, value in RECIPE.items()
        for word in (f"--recipe.{name.replace('_', '-')}", str(value))
    ]
    recipe += ["--recipe.epochs", "9999", "--recipe.schedule.name", "fixed"]
    command = [DARKROOM, "model", "train", "--dataset", DATASET, *recipe]
    process = subprocess.Popen(
        command, cwd=workspace.root, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until(process, lambda: (folder(workspace) / "checkpoints" / "epoch-006.safetensors").is_file())
        told = {
            "tried": call(workspace, "model.try_epoch", run="r-1", epoch=2),
            "newest": call(workspace, "model.try_epoch", run="r-1", split="train"),
            "watched": call(workspace, "model.watch", run="r-1"),
            "predicted": call(workspace, "predict", images=[a_photo(workspace)], run="r-1", epoch=4),
            "shell": shell(workspace, "model", "try-epoch", "--run", "r-1", "--epoch", "2"),
            "held": runs_at_work(workspace),
        }
        os.killpg(process.pid, signal.SIGINT)
        _, told["err"] = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return {**told, "code": process.returncode}


def folder(workspace: Workspace) -> Path:
    return workspace.runs_folder / "r-1"


def until(process: subprocess.Popen[str], true) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shell(workspace: Workspace, *words: str) -> dict[str, object]:
    run = subprocess.run(
        [DARKROOM, *words, "--json"], cwd=workspace.root, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def a_photo(workspace: Workspace) -> str:
    return str(next((workspace.root.parent / "photos" / "3").glob("*.png")))


@pytest.mark.slow
@pytest.mark.slow
def test_a_snapshot_is_tested_while_another_process_trains(during: dict[str, Any]) -> None:
    assert during["held"] == {"r-1"}, "the training was over before it was looked at"
    assert (during["tried"].epoch, during["tried"].state) == (2, "running")
    assert 0 <= during["tried"].value.low <= during["tried"].value.value <= during["tried"].value.high <= 1
    assert during["newest"].epoch >= 4
    assert during["shell"]["epoch"] == 2
    assert during["shell"]["loss"] == during["tried"].loss


@pytest.mark.slow
def test_the_answer_is_that_of_the_training_itself(
    during: dict[str, Any], projects: tuple[Workspace, Workspace]
) -> None:
    lines = (folder(projects[0]) / "metrics.jsonl").read_text().splitlines()
    point = json.loads(lines[1])
    assert during["tried"].value.value == pytest.approx(point["val_accuracy"], abs=0.01)
    assert during["tried"].loss == pytest.approx(point["val_loss"], rel=1e-3)


@pytest.mark.slow
def test_pictures_are_answered_by_an_epoch_of_a_run_that_goes_on(during: dict[str, Any]) -> None:
    assert during["predicted"].model == "r-1 after epoch 4"
    assert sum(during["predicted"].images[0].probabilities.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_the_training_does_not_notice(
    during: dict[str, Any], projects: tuple[Workspace, Workspace]
) -> None:
    watched, calm = (read_metrics(folder(one))[:EPOCHS] for one in projects)
    timings = {"duration_s", "images_per_second", "time_left_s"}
    assert [one.model_dump(exclude=timings) for one in watched] == [
        one.model_dump(exclude=timings) for one in calm
    ]
    for epoch in (2, 4, 6):
        first, second = (
            load_file(folder(one) / "checkpoints" / f"epoch-00{epoch}.safetensors") for one in projects
        )
        assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.slow
def test_ctrl_c_in_the_middle_leaves_nothing_half_written(
    during: dict[str, Any], projects: tuple[Workspace, Workspace]
) -> None:
    assert during["code"] == Cancelled.exit_code, during["err"]
    assert "Traceback" not in during["err"]
    assert list(projects[0].hidden.rglob(".aside-*")) == []
    samples = read_samples(folder(projects[0]))
    assert samples is None or samples.epochs


@pytest.mark.slow
def test_how_it_stands_is_shown_while_it_goes_on(
    during: dict[str, Any], projects: tuple[Workspace, Workspace]
) -> None:
    report = during["watched"]
    assert (report.state, report.of_epochs) == ("running", 9999)
    assert report.epochs == len(report.points) >= EPOCHS
    page = (projects[0].root / report.path).read_text()
    assert "What the network saw" in page
    assert "A few validation pictures, followed" in page


def test_the_page_of_a_training_shows_what_was_watched(projects: tuple[Workspace, Workspace]) -> None:
    [page] = (projects[1].root / "deliverables" / "06-training").glob("r-1.html")
    text = page.read_text()
    assert "While it trained" in text
    assert "Norm of all gradients together" in text


def test_an_epoch_that_was_not_kept_is_refused_by_name(projects: tuple[Workspace, Workspace]) -> None:
    with pytest.raises(NotFound, match="no weights of epoch 999. Kept: epoch 2, epoch 4, epoch 6"):
        call(projects[1], "model.try_epoch", run="r-1", epoch=999)
    with pytest.raises(InvalidConfig, match="no run was named"):
        call(projects[1], "predict", images=[a_photo(projects[1])], epoch=3)
