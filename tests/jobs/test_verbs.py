"""Jobs from the shell, with and without somebody who runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from darkroom.jobs import JobRunner
from darkroom.workspace import Workspace
from tests.jobs.projects import TOML, group_of, hold, pictures, project, until_state


def darkroom(workspace: Workspace, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "darkroom", *words],
        cwd=workspace.root,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_server_a_command_runs_what_waits(tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 12)
    workspace = project(tmp_path / "p")
    runner = JobRunner(workspace)
    first = runner.submit("source.add", {"folder": "../photos"}, asked_by="ada")
    second = runner.submit("source.add", {"folder": "../nowhere"}, waits_for=[first.id])
    listed = darkroom(workspace, "job", "list")
    assert "waiting for j-1" in listed.stdout
    assert "ada" in listed.stdout
    assert "darkroom job wait j-2" in darkroom(workspace, "job", "show", "j-2").stdout
    waited = darkroom(workspace, "job", "wait", "j-2", "--json")
    report = json.loads(waited.stdout)
    assert (waited.returncode, report["state"], report["error"]["id"]) == (3, "failed", "source.no-folder")
    assert runner.wait(second.id).waits_for == ("j-1",)
    again = darkroom(workspace, "job", "wait", "j-1")
    assert again.returncode == 0
    assert "finished" in again.stdout
    assert "12 new" in again.stdout, "the result is shown as its operation shows it"
    workspace.close()


def test_a_command_cancels_and_resumes_what_another_process_started(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True)
    pipe = workspace.root / "darkroom.toml"
    with workspace, JobRunner(workspace) as runner:
        job = until_state(workspace, runner.submit("run", {}).id, "running")
        held = hold(workspace)
        pipe.unlink()  # commands need a darkroom.toml that can be read
        pipe.write_text(TOML)
        cancelled = darkroom(workspace, "job", "cancel", job.id, DARKROOM_JOB_GRACE_S="0")
        os.close(held)
        assert cancelled.returncode == 0, cancelled.stderr
        assert "cancelled" in cancelled.stdout
        assert group_of(job) == []
        resumed = darkroom(workspace, "job", "resume", job.id)
        assert resumed.returncode == 0, resumed.stderr
        assert "attempt" in resumed.stdout
        assert runner.wait(job.id).state == "finished"
        refused = darkroom(workspace, "job", "cancel", job.id)
        assert refused.returncode == 4
        assert "nothing to stop" in refused.stderr


def test_listing_finds_what_was_lost_and_showing_it_says_how_to_go_on(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p", stuck=True)
    with workspace:
        with JobRunner(workspace) as runner:
            job = until_state(workspace, runner.submit("run", {}).id, "running")
        assert job.pid is not None
        os.kill(job.pid, signal.SIGKILL)
        (workspace.root / "darkroom.toml").unlink()
        (workspace.root / "darkroom.toml").write_text(TOML)
        assert "lost" in darkroom(workspace, "job", "list").stdout
        assert "darkroom job resume j-1" in darkroom(workspace, "job", "show", "j-1").stdout
        missing = darkroom(workspace, "job", "show", "j-8")
        assert (missing.returncode, "Newest: j-1" in missing.stderr) == (3, True)


def test_pages_of_jobs_lead_to_the_older_ones(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    for _ in range(5):
        JobRunner(workspace).submit("run", {})
    first = darkroom(workspace, "job", "list", "--limit", "3")
    assert "Older ones: darkroom job list --after j-3" in first.stdout
    rest = json.loads(darkroom(workspace, "job", "list", "--after", "j-3", "--json").stdout)
    assert ([row[0] for row in rest["rows"]], rest["next"]) == (["j-2", "j-1"], "")
    workspace.close()
