"""A search in processes: killed and gone on with, side by side, as a job, as a stage, in the shell."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom.atomic import ASIDE
from darkroom.jobs import JobRunner
from darkroom.pipeline.board import read_board
from darkroom.settings import Settings, available_cores
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Workspace
from tests.jobs.projects import until_state, wait_until
from tests.operations.clone_projects import DATASET, call, digits_project
from tests.tuning.studies import child_environment

pytestmark = pytest.mark.slow

RECIPE = {"epochs": 3, "device": "cpu", "threads": 1, "batch_size": 32}
RATES = {"recipe.learning_rate": "0.0005..0.02:log"}
SMALL = {
    "dataset": DATASET,
    "recipe": RECIPE,
    "space": RATES,
    "trials": 4,
    "clones": 2,
    "side_by_side": "no",
}
TYPED = [
    *("model", "tune", "--dataset", DATASET, "--trials", "4", "--clones", "2", "--side-by-side", "no"),
    *("--recipe.epochs", "3", "--recipe.device", "cpu", "--recipe.threads", "1"),
    *("--recipe.batch-size", "32"),
    *("--space", "recipe.learning-rate=0.0005..0.02:log"),
]


def trials_of(workspace: Workspace, study: str = "s-1") -> list[dict]:
    path = workspace.studies_folder / study / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def kept(trial: dict) -> dict:
    """Returns what of a trial does not depend on when and how often it was begun."""
    return {name: trial.get(name) for name in ("number", "state", "values", "run", "figures", "epochs")}


def shell(workspace: Workspace, *words: str, **options) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "darkroom", *words, "--project", str(workspace.root), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        **options,
    )


@pytest.mark.timeout(900)
def test_a_search_killed_again_and_again_ends_with_the_trials_of_one_that_was_not(tmp_path: Path) -> None:
    calm = digits_project(tmp_path / "calm", 160, workers=1)
    call(calm, "model.tune", **SMALL)
    killed = digits_project(tmp_path / "killed", 160, workers=1)
    for ended in (1, 2, 3):
        process = shell(killed, *TYPED)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if sum(one["state"] != "running" for one in trials_of(killed)) >= ended:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (killed.root / ".darkroom/studies/s-1" / f"{ASIDE}{process.pid}-left").write_text("half")
    last = shell(killed, *TYPED)
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, err.decode()
    assert json.loads(out)["study"] == "s-1"
    assert [kept(one) for one in trials_of(killed)] == [kept(one) for one in trials_of(calm)]
    assert not list((killed.root / ".darkroom").rglob(f"{ASIDE}*"))


@pytest.mark.skipif(available_cores() < 2, reason="trials side by side need two cores; GPU or not")
def test_trials_side_by_side_are_as_many_and_none_twice(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, 160, workers=1)
    report = call(workspace, "model.tune", **{**SMALL, "trials": 5, "side_by_side": "yes"})
    found = trials_of(workspace)
    assert sum(one["state"] != "repeated" for one in found) == 5
    values = [json.dumps(one["values"], sort_keys=True) for one in found if one["state"] != "repeated"]
    assert len(set(values)) == 5
    assert len({one["run"] for one in found if "run" in one}) == 5
    assert "finished" in report.count


def test_a_job_is_cancelled_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environment()["PYTHONPATH"])
    workspace = digits_project(tmp_path, 160, workers=1)
    request = {**SMALL, "recipe": {**RECIPE, "epochs": 60}, "prune": "none", "trials": 2}
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("model.tune", request)
        until_state(workspace, made.id, "running")
        wait_until(lambda: len(read_metrics(workspace.runs_folder / "r-1")) >= 2, "the first trial trains")
        runner.cancel(made.id)
        assert runner.wait(made.id, timeout_s=30).state == "cancelled"
        runner.resume(made.id)
        assert runner.wait(made.id).state == "finished"
        assert [one["state"] for one in trials_of(workspace)] == ["finished", "finished"]
        trained = [run.id for run in workspace.catalogue.runs.list() if "trial" in " ".join(run.tags)]
        assert trained == ["r-1", "r-2"]


STAGES = """
[project]
name = "tried"

[[stage]]
name = "tune"
operation = "model.tune"
dataset = "digits@1"
trials = 3
clones = 2
[stage.recipe]
epochs = 2
threads = 1
device = "cpu"
batch_size = 32
[stage.space]
"recipe.learning_rate" = { low = 0.0005, high = 0.02, log = true }
"recipe.optimiser.name" = { choices = ["adamw", "sgd"] }

[[stage]]
name = "choose"
operation = "model.select"
runs = ["@tune"]
"""


def test_as_a_stage_it_stands_on_the_board_and_the_next_stage_takes_its_runs(tmp_path: Path) -> None:
    made = digits_project(tmp_path, 160, workers=1)
    (made.root / "darkroom.toml").write_text(STAGES)
    with Workspace(made.root, settings=Settings(workers=1)) as workspace:
        assert read_board(workspace).rows[7].state == "missing"
        call(workspace, "run")
        row = read_board(workspace).rows[7]
        assert (row.title, row.state) == ("tune and try", "done")
        assert any("08-tuned/s-1/tuning.html" in path for path in row.deliverables)
        again = call(workspace, "run")
        assert {stage.state for stage in again.stages} == {"skipped"}


def test_the_recipe_that_was_found_can_be_pasted_under_a_stage(tmp_path: Path) -> None:
    made = digits_project(tmp_path, 160, workers=1)
    report = call(made, "model.tune", **SMALL)
    recipe = (made.root / report.recipe).read_text("utf-8")
    stage = (
        '[[stage]]\nname = "train"\noperation = "model.clone"\ndataset = "digits@1"\ntimes = 2\nseed = 1\n'
    )
    (made.root / "darkroom.toml").write_text(f'[project]\nname = "tried"\n\n{stage}\n{recipe}')
    before = len(made.catalogue.runs.list())
    with Workspace(made.root, settings=Settings(workers=1)) as workspace:
        call(workspace, "run")
        assert len(workspace.catalogue.runs.list()) == before  # its clones are there already
