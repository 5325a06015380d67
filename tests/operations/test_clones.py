"""Clones side by side: the same runs, stopped together, and one that fails does not stop the others."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from darkroom.errors import Cancelled, Invalid
from darkroom.jobs import JobRunner
from darkroom.operations import side_by_side
from darkroom.operations.clones import Series
from darkroom.operations.side_by_side import choose_clones
from darkroom.settings import available_cores
from darkroom.training import Recipe
from darkroom.training.device import derive_seed
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Progress, Workspace
from tests.jobs.projects import group_of, until_state, wait_until
from tests.operations.clone_projects import DATASET, QUICK, call, digits_project

ONE_THREAD = {**QUICK, "threads": 1, "dropout": 0.2}

pytestmark = pytest.mark.skipif(
    available_cores() < 2, reason="clones side by side need two cores; GPU or not"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return digits_project(tmp_path, workers=1)


def environment(workspace: Workspace, run: str) -> dict:
    return json.loads((workspace.runs_folder / run / "environment.json").read_text("utf-8"))


def test_side_by_side_gives_the_weights_that_one_after_the_other_gives(workspace: Workspace) -> None:
    seen: list[Progress] = []
    workspace.listener = seen.append
    together = call(
        workspace, "model.clone", dataset=DATASET, recipe=ONE_THREAD, times=2, side_by_side="yes"
    )
    assert together.runs == ("r-1", "r-2")
    assert together.decided == ("Clones 2 at a time. As asked.",)
    shown = [report for report in seen if report.what == "training 2 clones"]
    assert {"epoch of r-1", "epoch of r-2"} == set(shown[-1].metrics)
    assert environment(workspace, "r-1")["clones"]["processes"] == 2
    again = call(workspace, "model.clone", dataset=DATASET, recipe=ONE_THREAD, times=2, side_by_side="no")
    assert again.runs == together.runs  # how they were trained is no part of what they are
    alone = call(workspace, "model.train", dataset=DATASET, recipe=ONE_THREAD, seed=1, again=True)
    one, other = (
        load_file(workspace.runs_folder / run / "checkpoints/last.safetensors")
        for run in ("r-2", alone.run)
    )
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.slow
def test_a_stop_reaches_every_clone_and_the_same_request_goes_on(workspace: Workspace) -> None:
    long = {**QUICK, "epochs": 400}
    stopper = threading.Thread(target=_stop_when_all_train, args=(workspace,))
    stopper.start()
    with pytest.raises(Cancelled):
        call(workspace, "model.clone", dataset=DATASET, recipe=long, times=2, side_by_side="yes")
    stopper.join()
    assert [run.state for run in workspace.catalogue.runs.list()] == ["cancelled", "cancelled"]
    saved = [len(read_metrics(workspace.runs_folder / run)) for run in ("r-1", "r-2")]
    assert min(saved) >= 1
    assert all(environment(workspace, run)["threads"] == 1 for run in ("r-1", "r-2"))


def _stop_when_all_train(workspace: Workspace) -> None:
    wait_until(
        lambda: all(len(read_metrics(workspace.runs_folder / run)) >= 2 for run in ("r-1", "r-2")),
        "both clones train",
    )
    workspace.stop_requested.set()


@pytest.mark.slow
def test_a_cancelled_job_lets_each_clone_keep_its_epochs_and_resumes(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, workers=1)
    request = {"dataset": DATASET, "recipe": {**QUICK, "epochs": 150}, "times": 2, "side_by_side": "yes"}
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("model.clone", request)
        job = until_state(workspace, made.id, "running")
        wait_until(
            lambda: all(len(read_metrics(workspace.runs_folder / run)) >= 2 for run in ("r-1", "r-2")),
            "both clones train",
        )
        runner.cancel(made.id)
        assert runner.wait(made.id, timeout_s=15).state == "cancelled"
        wait_until(lambda: group_of(job) == [], "its group is gone")
        assert [run.state for run in workspace.catalogue.runs.list()] == ["cancelled", "cancelled"]
        kept = [len(read_metrics(workspace.runs_folder / run)) for run in ("r-1", "r-2")]
        runner.resume(made.id)
        assert runner.wait(made.id).state == "finished"
        for run, epochs in zip(("r-1", "r-2"), kept, strict=True):
            events = [
                json.loads(line)
                for line in (workspace.runs_folder / run / "events.jsonl").read_text().splitlines()
            ]
            resumed = [one for one in events if one["event"] == "resumed"]
            assert len(resumed) == 1
            assert 0 < resumed[0]["epoch"] <= epochs
            assert len(read_metrics(workspace.runs_folder / run)) == 150


@pytest.mark.slow
def test_one_clone_that_fails_does_not_stop_the_others(workspace: Workspace) -> None:
    (workspace.root / "network.py").write_text(NETWORK, encoding="utf-8")
    seed = next(seed for seed in range(100) if is_lost(seed + 1) and not is_lost(seed))
    said: list[str] = []
    workspace.listener = lambda report: said.extend(report.lines)
    recipe = {**QUICK, "network": "custom", "network_file": "network.py"}
    with pytest.raises(Invalid):
        call(
            workspace, "model.clone", dataset=DATASET, recipe=recipe, times=2, seed=seed, side_by_side="yes"
        )
    states = sorted(run.state for run in workspace.catalogue.runs.list())
    assert states == ["failed", "finished"]
    assert any("failed: " in line for line in said)
    assert "Finished clones: 1 of 2." in said


NETWORK = '''
import torch


class HalfLost(torch.nn.Module):
    """With half of all seeds its answers are no numbers while it trains."""

    def __init__(self, classes):
        super().__init__()
        self.lost = bool(torch.rand(()) < 0.5)
        self.head = torch.nn.Linear(256, classes)

    def forward(self, x):
        answers = self.head(x.flatten(1))
        return answers * float("nan") if self.lost and self.training else answers


def build(*, channels, size, classes, **options):
    return HalfLost(classes)
'''


def is_lost(seed: int) -> bool:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialisation"))
        return bool(torch.rand(()) < 0.5)


@pytest.mark.slow
def test_the_choice_rests_on_timed_batches_and_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "WORTH_MEASURING_S", 0.0)
    report = call(workspace, "model.clone", dataset=DATASET, recipe=QUICK, times=2)
    chosen = environment(workspace, "r-1")["clones"]
    assert chosen["alone_ms"] > 0
    assert chosen["together_ms"] > 0
    gain = chosen["alone_ms"] / chosen["together_ms"] * 2
    assert (chosen["processes"] == 2) == (gain >= side_by_side.FASTER)
    assert chosen["why"] in report.decided[0]
    more = call(workspace, "model.clone", dataset=DATASET, recipe=QUICK, times=3)
    assert environment(workspace, "r-3")["clones"]["why"] == chosen["why"]
    assert more.runs[:2] == report.runs


def test_threads_of_the_recipe_are_respected_and_one_clone_is_never_beside_itself(
    workspace: Workspace,
) -> None:
    def chosen(recipe: Recipe, times: int):
        series = Series(DATASET, recipe, tuple(range(times)), None, 0)
        return choose_clones(workspace, series.wanted(workspace), "yes")[0]

    many = chosen(Recipe(device="cpu", threads=available_cores()), 2)
    assert many.processes == 1
    assert "cores" in many.why
    assert chosen(Recipe(device="cpu"), 1).processes == 1
    each = chosen(Recipe(device="cpu", threads=1), 2)
    assert (each.processes, each.threads) == (2, 1)


def test_not_more_clones_at_a_time_than_memory_holds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.training.memory.available_bytes", lambda: 100_000_000)
    series = Series(DATASET, Recipe(device="cpu"), (0, 1), None, 0)
    chosen, _ = choose_clones(workspace, series.wanted(workspace), "yes")
    assert chosen.processes == 1
    assert chosen.why.startswith("Memory holds one training")
