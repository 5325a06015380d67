"""A job is followed over HTTP from where the client left off, and its thread is freed when it goes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from darkroom.records import Job
from darkroom.server import events
from darkroom.server.access import Access
from darkroom.server.listening import listening
from darkroom.workspace import Workspace
from tests.jobs import projects
from tests.jobs.projects import release, until_state, wait_until
from tests.server.apps import shape


class Line:
    """A connection to a server that listens in this process."""

    def __init__(self, workspace: Workspace, access: Access, url: str) -> None:
        self.workspace = workspace
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {access.token}"},
            trust_env=False,
            timeout=projects.LONG_S,
        )

    def run(self) -> Job:
        """Starts a job that works until it is released."""
        made = Job.model_validate(self.http.post("/api/run").json())
        return until_state(self.workspace, made.id, "running")

    def follow(self, job: Job, **headers: str) -> list[dict[str, Any]]:
        """Returns the events of a job from now to its end."""
        with self.http.stream("GET", f"/api/jobs/{job.id}/events", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A server of a project whose `run` works until it is released."""
    with projects.project(tmp_path / "p", stuck=True, job_grace_s=1) as workspace:
        with listening(workspace) as (_, access, url):
            found = Line(workspace, access, url)
            yield found
            found.http.close()
        for job in workspace.catalogue.jobs.list("running"):
            assert job.pid is not None
            os.killpg(job.pid, signal.SIGKILL)


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("events-")]


def test_two_clients_follow_one_job_to_its_end(line: Line) -> None:
    job = line.run()
    seen: list[list[dict[str, Any]]] = []
    clients = [threading.Thread(target=lambda: seen.append(line.follow(job))) for _ in range(2)]
    for client in clients:
        client.start()
    wait_until(lambda: len(readers()) == 2, "both listen")
    release(line.workspace)
    for client in clients:
        client.join(projects.LONG_S)
    assert seen[0] == seen[1]
    assert [event["seq"] for event in seen[0]] == list(range(1, len(seen[0]) + 1))
    told = [event["data"]["state"] for event in seen[0] if event["kind"] == "state"]
    assert told == ["waiting", "running", "finished"]
    assert line.http.get(f"/api/jobs/{job.id}").json()["state"] == "finished"
    wait_until(lambda: not readers(), "the threads are free")


def test_a_client_goes_on_where_it_left_off_and_is_told_when_there_is_no_more(line: Line) -> None:
    job = line.run()
    release(line.workspace)
    every = line.follow(job)
    address = f"/api/jobs/{job.id}/events"
    assert line.follow(job, **{"Last-Event-ID": "2"}) == every[2:]
    after = line.http.get(f"{address}?after=2").text
    assert json.loads(after.partition("data: ")[2].partition("\n")[0]) == every[2]
    assert after.startswith(f"retry: 1000\n\nid: {every[2]['seq']}\nevent: {every[2]['kind']}\n")
    assert line.http.get(f"{address}?after={len(every)}").status_code == 204
    assert line.http.get(f"{address}?after=x").status_code == 422
    assert line.http.get("/api/jobs/j-999/events").status_code == 404


def test_a_client_that_goes_away_frees_its_thread(line: Line) -> None:
    job = line.run()
    with line.http.stream("GET", f"/api/jobs/{job.id}/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        wait_until(lambda: len(readers()) == 1, "it listens")
    wait_until(lambda: not readers(), "its thread is free")


def test_a_silent_job_gives_signs_of_life(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    job = line.run()
    with line.http.stream("GET", f"/api/jobs/{job.id}/events") as answer:
        assert ": still here" in answer.iter_lines()


def test_more_listeners_than_there_is_room_for_are_sent_away(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 1)
    job = line.run()
    with line.http.stream("GET", f"/api/jobs/{job.id}/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        sent_away = line.http.get(f"/api/jobs/{job.id}/events")
        assert (sent_away.status_code, shape(sent_away)["id"]) == (503, "server.listeners")
    wait_until(lambda: not readers(), "its thread is free")
    with line.http.stream("GET", f"/api/jobs/{job.id}/events") as answer:
        assert answer.status_code == 200


def test_a_job_is_cancelled_and_resumed(line: Line) -> None:
    job = line.run()
    assert line.http.post(f"/api/jobs/{job.id}/cancel").json()["cancel_requested_at"]
    told = line.follow(job)
    assert told[-1]["data"]["state"] == "cancelled"
    again = line.http.post(f"/api/jobs/{job.id}/cancel")
    assert again.status_code in (200, 409)
    resumed = line.http.post(f"/api/jobs/{job.id}/resume").json()
    assert (resumed["state"], resumed["attempt"]) == ("waiting", 2)
    until_state(line.workspace, job.id, "running")
    refused = line.http.post(f"/api/jobs/{job.id}/resume")
    assert (refused.status_code, shape(refused)["kind"]) == (409, "Conflict")
    release(line.workspace)
    until_state(line.workspace, job.id, "finished")


def test_who_waits_gets_the_result_itself_or_the_job(line: Line) -> None:
    started = time.monotonic()
    waited = line.http.post("/api/run?wait_s=0.5")
    assert (waited.status_code, time.monotonic() - started >= 0.5) == (202, True)
    threading.Thread(target=release, args=(line.workspace,)).start()
    until_state(line.workspace, waited.json()["id"], "finished")
    threading.Thread(target=release, args=(line.workspace,)).start()
    result = line.http.post("/api/run?wait_s=30")
    assert (result.status_code, result.json()["stages"]) == (200, [])
    threading.Thread(target=release, args=(line.workspace,)).start()
    failed = line.http.post("/api/run?wait_s=30", json={"until": "nowhere"})
    assert (failed.status_code, shape(failed)["id"]) == (422, "run.no-such-stage")


def test_jobs_are_listed_page_by_page(line: Line) -> None:
    made = [line.http.post("/api/run").json()["id"] for _ in range(3)]
    first = line.http.get("/api/jobs?limit=2").json()
    assert [job["id"] for job in first["jobs"]] == made[:0:-1]
    second = line.http.get(f"/api/jobs?limit=2&after={first['next']}").json()
    assert ([job["id"] for job in second["jobs"]], second["next"]) == (made[:1], None)
    assert line.http.get("/api/jobs?limit=3").json()["next"] is None, "all of them fill the page"
    until_state(line.workspace, made[0], "running")
    assert [job["id"] for job in line.http.get("/api/jobs?state=running").json()["jobs"]] == made[:1]
    for job in made[1:]:
        line.http.post(f"/api/jobs/{job}/cancel")


def test_streams_end_when_the_server_stops_and_the_job_works_on(tmp_path: Path) -> None:
    with projects.project(tmp_path / "p", stuck=True) as workspace:
        with listening(workspace) as (_, access, url):
            found = Line(workspace, access, url)
            job = found.run()
            listener = threading.Thread(target=lambda: found.follow(job))
            listener.start()
            wait_until(lambda: len(readers()) == 1, "it listens")
            started = time.monotonic()
        assert time.monotonic() - started < 5
        listener.join(projects.LONG_S)
        assert not listener.is_alive()
        found.http.close()
        assert workspace.catalogue.jobs.get(job.id).state == "running"
        release(workspace)
        wait_until(lambda: workspace.catalogue.jobs.get(job.id).state == "finished", "it has ended")
