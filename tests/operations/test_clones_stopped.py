"""Clones side by side are stopped from the shell: no process stays, and they go on to the same weights."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from darkroom.errors import Cancelled
from darkroom.settings import available_cores
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, call, digits_project
from tests.server.apps import DARKROOM

RUNS = ("r-1", "r-2")
RECIPE = {"epochs": 60, "device": "cpu", "threads": 1, "dropout": 0.2}
PATIENCE_S = 200.0

WAYS = [
    pytest.param("group", signal.SIGINT, 1, id="ctrl-c", marks=pytest.mark.slow),
    pytest.param("group", signal.SIGINT, 2, id="ctrl-c twice", marks=pytest.mark.slow),
    pytest.param("process", signal.SIGINT, 1, id="sigint", marks=pytest.mark.slow),
    pytest.param("process", signal.SIGTERM, 1, id="sigterm", marks=pytest.mark.slow),
    pytest.param("group", signal.SIGTERM, 1, id="sigterm to all", marks=pytest.mark.slow),
]
"""To whom, which signal, how often."""

pytestmark = pytest.mark.skipif(
    available_cores() < 2, reason="clones side by side need two cores; GPU or not"
)


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Lets children hear Ctrl-C, also where the tests themselves run in the background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, and beside it one whose clones were trained undisturbed."""
    folder = tmp_path_factory.mktemp("calm")
    with digits_project(folder, workers=1) as workspace:
        pass
    shutil.copytree(workspace.root, folder / "trained")
    with Workspace(folder / "trained") as trained:
        for seed in range(len(RUNS)):
            call(trained, "model.train", dataset=DATASET, recipe=RECIPE, seed=seed)
    return folder


@pytest.mark.parametrize(("to", "number", "times"), WAYS)
def test_clones_that_are_stopped_leave_no_process_and_go_on_to_the_same_weights(
    calm: Path, tmp_path: Path, to: str, number: signal.Signals, times: int
) -> None:
    root = shutil.copytree(calm / "p", tmp_path / "p")
    stop_in_the_middle(Workspace(root), to, number, times)
    process = start(root)
    _, err = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 0, err
    for run in RUNS:
        assert weights(root, run) == weights(calm / "trained", run)
        assert len(read_metrics(root / ".darkroom" / "runs" / run)) == RECIPE["epochs"]


def stop_in_the_middle(workspace: Workspace, to: str, number: signal.Signals, times: int) -> None:
    process = start(workspace.root)
    try:
        until_both_train(workspace)
        for _ in range(times):
            if to == "group":
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
        left = session_of(process.pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == Cancelled.exit_code, err
    assert "Traceback" not in err
    assert left == []
    with workspace:
        states = {run.state for run in workspace.catalogue.runs.list()}
    assert "cancelled" in states
    assert states <= {"cancelled", "finished"}  # one may have been quick


def until_both_train(workspace: Workspace) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not all(len(read_metrics(workspace.runs_folder / run)) >= 2 for run in RUNS):
        assert time.monotonic() < deadline, "waited in vain until both clones train"
        time.sleep(0.01)


def start(root: Path) -> subprocess.Popen[str]:
    words = [word for key, value in RECIPE.items() for word in (f"--recipe.{key}", str(value))]
    return subprocess.Popen(
        [DARKROOM, "model", "clone", "--dataset", DATASET, "--times", "2", "--side-by-side", "yes", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def weights(root: Path, run: str) -> dict[str, bytes]:
    file = root / ".darkroom" / "runs" / run / "checkpoints" / "last.safetensors"
    return {name: value.tobytes() for name, value in load_file(file).items()}


def session_of(leader: int) -> list[int]:
    """Returns the processes of a session that have not ended."""
    members = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            members.append(int(place.name))
    return members
