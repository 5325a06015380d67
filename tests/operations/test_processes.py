"""A run in several processes: one result, one writer, and an end for all whatever happens to one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.operations.processes import useful_processes
from darkroom.operations.run_making import wanted_run
from darkroom.training import Recipe
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, call, digits_project
from tests.server.apps import DARKROOM

RECIPE = {"epochs": 3, "device": "cpu", "threads": 1, "dropout": 0.2, "batch_size": 32}
LONG = {**RECIPE, "epochs": 4000}
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calm")
    with digits_project(folder, workers=1) as workspace:
        pass
    return workspace.root


@pytest.fixture
def project(calm: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(calm, tmp_path / "p")
    return Workspace(tmp_path / "p")


def best(workspace: Workspace, run: str) -> dict:
    return load_file(workspace.runs_folder / run / "checkpoints" / "best.safetensors")


def wanted(workspace: Workspace, **recipe: object):
    return wanted_run(workspace, DATASET, Recipe.model_validate({**RECIPE, **recipe}), 0)


def processes_of(parent: int) -> set[int]:
    """Returns the children of a process and theirs."""
    found, todo = set(), [parent]
    while todo:
        one = todo.pop()
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            children = {int(word) for word in task.read_text().split()}
            todo += children - found
            found |= children
    return found


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def typed(recipe: dict[str, object]) -> list[str]:
    pairs = [(f"--recipe.{name.replace('_', '-')}", str(value)) for name, value in recipe.items()]
    return [word for pair in pairs for word in pair]


def started(workspace: Workspace) -> subprocess.Popen[str]:
    """Starts a long training in two processes, and waits until it learns."""
    command = [DARKROOM, "model", "train", "--dataset", DATASET, *typed(LONG), "--processes", "2"]
    process = subprocess.Popen(
        command, cwd=workspace.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "DARKROOM_WORKERS": "1"},
    )  # fmt: skip
    state, deadline = workspace.runs_folder / "r-1" / "resume.safetensors", time.monotonic() + PATIENCE_S
    while not state.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def all_ended(pids: set[int]) -> bool:
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


@pytest.mark.slow
def test_a_run_in_two_processes_is_the_run_of_one(project: Workspace) -> None:
    with project as workspace:
        shared = call(workspace, "model.train", dataset=DATASET, recipe=RECIPE, processes=2)
        assert call(workspace, "model.train", dataset=DATASET, recipe=RECIPE).run == shared.run  # not again
        alone = call(workspace, "model.train", dataset=DATASET, recipe=RECIPE, again=True)
        ours, theirs = best(workspace, shared.run), best(workspace, alone.run)
        assert max(abs(ours[name] - theirs[name]).max() for name in ours) < 1e-4
        history = read_metrics(workspace.runs_folder / shared.run)
        assert [point.epoch for point in history] == [1, 2, 3]  # one of them wrote
        assert (workspace.runs_folder / shared.run / "model-card.json").is_file()
        assert not list(workspace.runs_folder.glob("*.left*"))


@pytest.mark.slow
def test_every_batch_of_a_clone_may_be_shared(project: Workspace) -> None:
    with project as workspace:
        found = call(
            workspace, "model.clone", dataset=DATASET, recipe={**RECIPE, "epochs": 1}, times=1, processes=2
        )
        environment = (workspace.runs_folder / found.runs[0] / "environment.json").read_text()
        assert '"processes": 2' in environment


@pytest.mark.slow
def test_ctrl_c_ends_all_of_them_and_the_same_command_goes_on(project: Workspace) -> None:
    with project as workspace:
        process = started(workspace)
        children = processes_of(process.pid)
        assert len(children) >= 2
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130, said
        assert all_ended(children)
        assert workspace.catalogue.runs.get("r-1").state == "cancelled"
        epochs = len(read_metrics(workspace.runs_folder / "r-1"))
        again = started(workspace)
        deadline = time.monotonic() + PATIENCE_S
        while len(read_metrics(workspace.runs_folder / "r-1")) <= epochs and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(again.pid, signal.SIGTERM)
        again.communicate(timeout=PATIENCE_S)
        assert len(read_metrics(workspace.runs_folder / "r-1")) > epochs
        assert '"resumed"' in (workspace.runs_folder / "r-1" / "events.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_process_ends_all_of_them_with_a_clear_error(project: Workspace, which: int) -> None:
    with project as workspace:
        process = started(workspace)
        children = sorted(processes_of(process.pid))
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
        working = [pid for pid in children if "darkroom.engines.worker" in lines[pid]]
        assert len(working) == 2
        began = time.monotonic()
        os.kill(working[which], signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - began < 60
        assert process.returncode == 1
        assert "killed by SIGKILL" in said or "one of them is gone" in said
        assert "Traceback" not in said
        assert all_ended(set(children))
        assert workspace.catalogue.runs.get("r-1").state == "failed"


@pytest.mark.slow
def test_torchrun_starts_one_command_that_uses_all_its_processes(project: Workspace) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "darkroom",
        "model", "train", "--dataset", DATASET, *typed({**RECIPE, "epochs": 2}), "--json",
    ]  # fmt: skip
    with project as workspace:
        run = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        environment = (workspace.runs_folder / "r-1" / "environment.json").read_text()
        assert '"processes": 2' in environment
        assert len(workspace.catalogue.runs.list()) == 1


def test_what_cannot_be_shared_is_refused_before_there_is_a_run(project: Workspace) -> None:
    with project as workspace:
        with pytest.raises(InvalidConfig, match="share a batch of 2 pictures"):
            call(workspace, "model.train", dataset=DATASET, recipe={**RECIPE, "batch_size": 2}, processes=3)
        assert workspace.catalogue.runs.list() == []


def test_each_process_needs_a_gpu_of_its_own(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with project as workspace:
        on_gpu = wanted(workspace, device="cuda")
        assert useful_processes(on_gpu, 2) == 2
        assert useful_processes(on_gpu, 0) == 2
        assert useful_processes(on_gpu, 1) == 1
        with pytest.raises(Unsupported, match="a GPU of its own. Here: 2 of cuda"):
            useful_processes(on_gpu, 3)
        assert useful_processes(wanted(workspace), 0) == 1  # no GPU asked for


def test_torchrun_on_several_machines_is_refused(
    project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "2"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    with project as workspace, pytest.raises(Unsupported, match="several machines"):
        useful_processes(wanted(workspace), 1)


def test_the_second_process_of_torchrun_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from darkroom.cli import main

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "1")
    assert main(["model", "train", "--nonsense"]) == 0
    monkeypatch.setenv("RANK", "0")
    assert main(["model", "train", "--nonsense"]) == 2
