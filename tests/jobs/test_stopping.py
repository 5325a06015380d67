"""Stopping a job: politely, then for certain, with every process under it; and what is kept of its work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from darkroom.jobs import JobRunner, read_events
from darkroom.jobs.process import began
from darkroom.operation import find_operation
from darkroom.records import Job, now
from darkroom.workspace import Workspace
from tests.jobs.projects import group_of, pictures, project, until_state, wait_until

CONTRACT = {"width_px": 16, "height_px": 16, "colour": "grey"}
RECIPE = {"epochs": 30, "dropout": 0.2, "threads": 1, "augment": {"rotate_deg": 10, "shift": 0.1}}


def call(workspace: Workspace, name: str, **values: object) -> object:
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def begin_reading(runner: JobRunner, workspace: Workspace) -> Job:
    """Starts a job that reads pictures in worker processes, and waits until these are there."""
    made = runner.submit("source.add", {"folder": "../photos"})
    job = until_state(workspace, made.id, "running")
    wait_until(lambda: len(group_of(job)) > 2, "it has workers")
    return job


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_no_process_of_a_job_outlives_it(tmp_path: Path, how: str) -> None:
    pictures(tmp_path / "photos", 1797)
    workspace = project(tmp_path / "p", workers=2)
    with workspace, JobRunner(workspace) as runner:
        job = begin_reading(runner, workspace)
        assert job.pid is not None
        if how == "cancelled":
            runner.cancel(job.id)
        else:
            os.kill(job.pid, signal.SIGKILL)
        ended = runner.wait(job.id, timeout_s=10)
        wait_until(lambda: group_of(job) == [], "its group is gone")
        assert ended.state == ("cancelled" if how == "cancelled" else "lost")
        runner.resume(job.id)
        assert runner.wait(job.id).state == "finished"
        assert workspace.catalogue.images.count() == 1797


def test_what_does_not_listen_is_ended_after_the_grace_period(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True, job_grace_s=1)
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("run", {}).id
        job = until_state(workspace, made, "running")
        started = time.monotonic()
        asked = runner.cancel(made)
        assert (asked.state, asked.cancel_requested_at is not None) == ("running", True)
        assert runner.cancel(made).cancel_requested_at == asked.cancel_requested_at
        assert runner.wait(made, timeout_s=0.5).state == "running"
        assert runner.wait(made).state == "cancelled"
        assert 1.0 <= time.monotonic() - started < 10
        assert group_of(job) == []
        told = [event.data for event in read_events(workspace, made)]
    assert [one["state"] for one in told] == ["waiting", "running", "running", "running", "cancelled"]
    assert [bool(one.get("cancel_requested")) for one in told] == [False, False, True, True, False]


def test_a_stopped_process_that_cannot_hear_anything_is_ended_too(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True, job_grace_s=0)
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("run", {}).id
        job = until_state(workspace, made, "running")
        assert job.pid is not None
        os.kill(job.pid, signal.SIGSTOP)
        runner.cancel(made)
        assert runner.wait(made).state == "cancelled"
        assert began(job.pid) == ""


def test_a_process_that_hangs_after_its_job_has_ended_gives_its_place_back(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True, job_grace_s=0)
    with workspace, JobRunner(workspace) as runner:
        first, second = runner.submit("run", {}).id, runner.submit("run", {}).id
        job = until_state(workspace, first, "running")
        workspace.catalogue.jobs.move(first, "failed", finished_at=now())
        until_state(workspace, second, "running")
        assert group_of(job) == []
        runner.cancel(second)
        assert runner.wait(second).state == "cancelled"


def test_a_signal_never_reaches_a_process_that_only_has_the_number(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    with workspace:
        heard = []
        before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
        made = JobRunner(workspace).submit("run", {})
        workspace.catalogue.jobs.move(made.id, "running", pid=os.getpid(), process="another start")
        try:
            with pytest.raises(Exception, match="is lost already"):
                JobRunner(workspace).cancel(made.id)
            time.sleep(0.05)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert heard == []


@pytest.mark.slow
def test_a_training_stopped_or_killed_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    compare_with_undisturbed(tmp_path, [("cancel", 0.1), ("kill", 0.2)])


@pytest.mark.slow
def test_a_training_killed_again_and_again_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    blows = [("kill", 0.1 * place) for place in range(8)]
    compare_with_undisturbed(tmp_path, blows, {**RECIPE, "epochs": 120})


def compare_with_undisturbed(
    folder: Path, blows: list[tuple[str, float]], recipe: dict[str, object] = RECIPE
) -> None:
    pictures(folder / "photos", 300)
    workspace = project(folder / "p", workers=1, job_grace_s=20)
    call(workspace, "source.add", folder=folder / "photos")
    call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
    asked = {"dataset": "digits@1", "recipe": recipe}
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("model.train", asked).id
        for blow, after_s in blows:
            disturb(runner, workspace, made, blow, after_s)
        assert runner.wait(made).state == "finished"
        again = runner.wait(runner.submit("model.train", {**asked, "again": True}).id)
        assert again.state == "finished"
        disturbed, calm = (
            load_file(workspace.runs_folder / run / "checkpoints" / "best.safetensors")
            for run in ("r-1", "r-2")
        )
        assert [run.state for run in workspace.catalogue.runs.list()] == ["finished", "finished"]
    assert {name: value.tobytes() for name, value in disturbed.items()} == {
        name: value.tobytes() for name, value in calm.items()
    }


def disturb(runner: JobRunner, workspace: Workspace, job_id: str, blow: str, after_s: float) -> None:
    """Stops a training some time after it began with its epochs, and resumes it."""
    seen = max((event.seq for event in read_events(workspace, job_id)), default=0)
    wait_until(
        lambda: any(event.kind != "state" for event in read_events(workspace, job_id, after=seen)),
        "it makes progress",
    )
    time.sleep(after_s)
    job = workspace.catalogue.jobs.get(job_id)
    assert job.pid is not None
    if blow == "cancel":
        runner.cancel(job_id)
    else:
        os.kill(job.pid, signal.SIGKILL)
    ended = runner.wait(job_id)
    assert ended.state == {"cancel": "cancelled", "kill": "lost"}[blow], "it ended before the blow"
    runner.resume(job_id)
    wait_until(lambda: group_of(job) == [], "its processes are gone")
