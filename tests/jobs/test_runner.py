"""Who runs jobs: in order, a bounded number at a time, found again after a restart, each with a state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Conflict, InvalidConfig, Locked, NotFound, Unsupported
from darkroom.jobs import JobRunner, follow, is_served, read_events
from darkroom.jobs.folder import JobFolder
from darkroom.records import Job, now
from darkroom.workspace import Workspace
from tests.jobs.projects import group_of, pictures, project, release, until_state, wait_until

RUNNER = """
import sys, time
from pathlib import Path
from darkroom.jobs import JobRunner
from darkroom.workspace import Workspace
with Workspace(Path(sys.argv[1])) as workspace, JobRunner(workspace):
    print("started", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Workspace]:
    """A project whose `run` works until it is released; what is left of its jobs is ended."""
    workspace = project(tmp_path / "p", stuck=True, job_grace_s=1)
    yield workspace
    for job in workspace.catalogue.jobs.list("running"):
        assert job.pid is not None
        os.killpg(job.pid, signal.SIGKILL)
    workspace.close()


def states(workspace: Workspace) -> list[str]:
    """Returns the states of all jobs, the oldest first."""
    return [job.state for job in workspace.catalogue.jobs.list()][::-1]


def told_states(workspace: Workspace, job_id: str) -> list[str]:
    """Returns the states that were told; the catalogue knows a state a moment before it is told."""
    state = workspace.catalogue.jobs.get(job_id).state
    until = time.monotonic() + 10
    while True:
        found = [
            event.data["state"]
            for event in read_events(workspace, job_id)
            if event.kind == "state" and "cancel_requested" not in event.data
        ]
        if found[-1:] == [state] or time.monotonic() > until:
            return found
        time.sleep(0.02)


def test_a_job_runs_in_a_process_of_its_own_and_leaves_its_result(tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 12)
    workspace = project(tmp_path / "p")
    with workspace, JobRunner(workspace) as runner:
        made = runner.submit("source.add", {"folder": "../photos"}, asked_by="ada")
        assert (made.id, made.state, made.asked_by) == ("j-1", "waiting", "ada")
        told = list(follow(workspace, made.id))
        job = workspace.catalogue.jobs.get(made.id)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert told_states(workspace, made.id) == ["waiting", "running", "finished"]
    assert told[-2].kind == "result"
    assert job.result is not None
    assert told[-2].data == job.result
    assert job.result["new"] == 12
    assert job.pid not in (None, os.getpid())
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert dict(job.request) == {"folder": "../photos"}, "what was not given is left to its default"


def test_an_operation_that_fails_says_why_in_the_shape_of_all_errors(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    with workspace, JobRunner(workspace) as runner:
        job = runner.wait(runner.submit("source.add", {"folder": "../nowhere"}).id)
        told = list(follow(workspace, job.id))
    assert job.state == "failed"
    assert job.error is not None
    assert set(job.error) == {"error", "kind", "id", "hint"}
    assert job.error["id"] == "source.no-folder"
    assert [event.kind for event in told][-2:] == ["error", "state"]


def test_jobs_run_one_at_a_time_in_the_order_in_which_they_were_asked_for(stuck: Workspace) -> None:
    with JobRunner(stuck) as runner:
        made = [runner.submit("run", {}).id for _ in range(3)]
        for place, job_id in enumerate(made):
            until_state(stuck, job_id, "running")
            assert states(stuck) == ["finished"] * place + ["running"] + ["waiting"] * (2 - place)
            release(stuck)
            until_state(stuck, job_id, "finished")
    begun = [stuck.catalogue.jobs.get(job_id).started_at for job_id in made]
    assert begun == sorted(begun, key=str)


def test_a_setting_says_how_many_run_at_once(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True, jobs_at_once=2, job_grace_s=0)
    with workspace, JobRunner(workspace) as runner:
        made = [runner.submit("run", {}).id for _ in range(3)]
        for job_id in made[:2]:
            until_state(workspace, job_id, "running")
        assert states(workspace) == ["running", "running", "waiting"]
        for job_id in reversed(made):
            runner.cancel(job_id)
        assert {runner.wait(job_id).state for job_id in made} == {"cancelled"}


def test_a_job_waits_for_those_it_needs_and_lets_others_pass(stuck: Workspace) -> None:
    with JobRunner(stuck) as runner:
        first = runner.submit("run", {}).id
        second = runner.submit("run", {}, waits_for=[first]).id
        until_state(stuck, first, "running")
        runner.cancel(first)
        job = runner.wait(second)
        assert job.state == "failed"
        assert job.error is not None
        assert job.error["error"] == "Job j-2 waits for job j-1, which is cancelled."
        assert job.started_at is None
        resumed = runner.resume(first)
        assert (resumed.state, resumed.attempt, resumed.error) == ("waiting", 2, None)
        runner.resume(second)
        third = runner.submit("run", {}).id
        for job_id in (first, second, third):
            release(stuck)
            until_state(stuck, job_id, "finished")
    assert told_states(stuck, second)[-3:] == ["waiting", "running", "finished"]


def test_a_waiting_job_that_is_cancelled_never_starts(stuck: Workspace) -> None:
    with JobRunner(stuck) as runner:
        first, second = runner.submit("run", {}).id, runner.submit("run", {}).id
        until_state(stuck, first, "running")
        assert runner.cancel(second).state == "cancelled"
        assert runner.cancel(second).state == "cancelled", "once more changes nothing"
        release(stuck)
        runner.wait(first)
        third = runner.submit("run", {}).id
        until_state(stuck, third, "running")
        assert told_states(stuck, second) == ["waiting", "cancelled"]
        assert not JobFolder(stuck, second).output.exists()


def test_what_cannot_be_a_job_is_refused_before_there_is_one(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    runner = JobRunner(workspace)
    with pytest.raises(NotFound, match="source.add"):
        runner.submit("source.ad", {})
    with pytest.raises(InvalidConfig, match="folder"):
        runner.submit("source.add", {"foldr": "x"})
    with pytest.raises(Unsupported, match="answers at once"):
        runner.submit("dataset.list", {})
    with pytest.raises(Unsupported, match="outside a project"):
        runner.submit("init", {"name": "x"})
    with pytest.raises(NotFound, match="j-7"):
        runner.submit("run", {}, waits_for=["j-7"])
    assert workspace.catalogue.jobs.list() == []
    workspace.close()


@pytest.mark.parametrize(
    ("operation", "request_", "error"),
    [
        ("model.conjure", {}, "operation.unknown"),
        ("source.add", {"folder": "x", "colour": "red"}, "config.refused"),
    ],
)
def test_a_job_from_another_version_fails_clearly_and_once(
    tmp_path: Path, operation: str, request_: dict[str, str], error: str
) -> None:
    workspace = project(tmp_path / "p")
    made = workspace.catalogue.jobs.create(
        Job(id="", operation=operation, request=request_, created_at=now())
    )
    with workspace, JobRunner(workspace) as runner:
        job = runner.wait(made.id)
        after = runner.submit("source.add", {"folder": "../nowhere"})
        runner.wait(after.id)
        assert told_states(workspace, made.id) == ["running", "failed"]
    assert job.error is not None
    assert (job.state, job.error["id"]) == ("failed", error)


def test_two_runners_on_one_project_are_refused(stuck: Workspace) -> None:
    assert not is_served(stuck)
    with JobRunner(stuck):
        assert is_served(stuck)
        with pytest.raises(Locked, match="Another process runs the jobs"):
            JobRunner(stuck).start()
    assert not is_served(stuck)
    with JobRunner(stuck):
        assert is_served(stuck)


def test_jobs_outlive_a_runner_that_is_killed_and_the_next_one_finds_them(stuck: Workspace) -> None:
    runner = JobRunner(stuck)
    first, second = runner.submit("run", {}).id, runner.submit("run", {}).id
    killed = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(stuck.root)], stdout=subprocess.PIPE, start_new_session=True
    )
    with killed:
        running = until_state(stuck, first, "running")
        killed.kill()
    assert group_of(running) == [running.pid]
    with pytest.raises(Conflict, match="cannot become waiting"):
        runner.resume(first)
    with runner:
        assert states(stuck) == ["running", "waiting"], "it goes on, and counts"
        release(stuck)
        until_state(stuck, second, "running")
        release(stuck)
        assert runner.wait(second).state == "finished"
    assert states(stuck) == ["finished", "finished"]
    assert stuck.catalogue.jobs.get(first).attempt == 1


def test_a_job_that_was_killed_is_lost_and_can_be_resumed(stuck: Workspace) -> None:
    with JobRunner(stuck) as runner:
        made = runner.submit("run", {}).id
        running = until_state(stuck, made, "running")
        assert running.pid is not None
        wait_until(lambda: "running" in told_states(stuck, made), "it says so itself")
        os.kill(running.pid, signal.SIGKILL)
        assert runner.wait(made).state == "lost"
        runner.resume(made)
        wait_until(lambda: stuck.catalogue.jobs.get(made).state == "running", "it runs again")
        release(stuck)
        assert runner.wait(made).state == "finished"
    assert told_states(stuck, made) == ["waiting", "running", "lost", "waiting", "running", "finished"]
    with pytest.raises(Conflict, match="is finished; it cannot become waiting"):
        runner.resume(made)
    with pytest.raises(Conflict, match="nothing to stop"):
        runner.cancel(made)


def test_a_job_lost_with_its_machine_is_found_although_its_number_is_in_use(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    made = workspace.catalogue.jobs.create(Job(id="", operation="run", request={}, created_at=now()))
    workspace.catalogue.jobs.move(made.id, "running", pid=os.getpid(), process="before the restart")
    assert [job.state for job in JobRunner(workspace).recover()] == ["lost"]
    assert JobRunner(workspace).recover() == []
    workspace.close()


def test_a_process_that_does_not_come_up_fails_its_job_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = project(tmp_path / "p")
    with workspace, JobRunner(workspace) as runner:
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "filelock.py").write_text("raise ImportError('this library is broken')\n")
        monkeypatch.setenv("PYTHONPATH", str(broken), prepend=os.pathsep)
        job = runner.wait(runner.submit("run", {}).id)
        assert told_states(workspace, job.id) == ["waiting", "failed"]
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["id"] == "job.not-begun"
    assert "this library is broken" in "\n".join(JobFolder(workspace, job.id).output_tail(20))
