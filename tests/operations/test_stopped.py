"""A stopped run whose recipe was changed: a new run, which may begin with the old one's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from darkroom.errors import Cancelled, Damaged
from darkroom.networks.saved import unpack
from darkroom.workspace import Progress, Workspace
from tests.operations.clone_projects import DATASET, call, digits_project

RECIPE = {"epochs": 6, "device": "cpu", "threads": 1, "batch_size": 32}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return digits_project(tmp_path_factory.mktemp("stopped"), 200)


@pytest.fixture(scope="module")
def stopped(workspace: Workspace) -> str:
    """A run that was stopped after two epochs or more."""

    def listen(progress: Progress) -> None:
        if progress.metrics.get("epoch", 0) >= 2 and "val_loss" in progress.metrics:
            workspace.stop_requested.set()

    workspace.listener = listen
    with pytest.raises(Cancelled):
        call(workspace, "model.train", dataset=DATASET, recipe=RECIPE)
    workspace.listener = None
    workspace.stop_requested.clear()
    [run] = workspace.catalogue.runs.list()
    assert run.state == "cancelled"
    return run.id


def said_by(workspace: Workspace, **values) -> tuple[str, list[str]]:
    heard: list[str] = []
    workspace.listener = lambda progress: heard.extend(progress.lines)
    report = call(workspace, "model.train", dataset=DATASET, **values)
    workspace.listener = None
    return report.run, heard


def test_another_recipe_is_another_run_and_the_stopped_one_is_named(
    workspace: Workspace, stopped: str
) -> None:
    run, heard = said_by(workspace, recipe={**RECIPE, "epochs": 1})
    assert run != stopped
    told = next(words for words in heard if "was stopped" in words)
    assert f"{stopped} was stopped and had another recipe: epochs was 6 and is 1" in told
    assert f"--start-from {stopped}" in told


def test_its_weights_may_be_begun_with(workspace: Workspace, stopped: str) -> None:
    recipe = {**RECIPE, "epochs": 1, "learning_rate": 1e-6, "schedule": {"warmup_epochs": 0}}
    run, heard = said_by(workspace, recipe=recipe, start_from=stopped)
    assert workspace.catalogue.runs.get(run).parent == stopped
    before, after = (
        unpack(workspace.runs_folder / name / "checkpoints" / file)[0]
        for name, file in ((stopped, "best.safetensors"), (run, "last.safetensors"))
    )
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in before)
    assert not any("was stopped" in words for words in heard)


def test_the_old_recipe_goes_on_with_it_and_nothing_is_said(workspace: Workspace, stopped: str) -> None:
    run, heard = said_by(workspace, recipe=RECIPE)
    assert run == stopped
    assert not any("was stopped" in words for words in heard)
    assert workspace.catalogue.runs.get(run).metrics["epochs"] == 6


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_weights_that_were_cut_are_refused_by_name(
    workspace: Workspace, stopped: str, share: float
) -> None:
    path = Path(workspace.runs_folder) / stopped / "checkpoints" / "best.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    try:
        with pytest.raises(Damaged, match=r"best\.safetensors"):
            call(workspace, "model.train", dataset=DATASET, recipe=RECIPE, seed=9, start_from=stopped)
    finally:
        path.write_bytes(whole)
