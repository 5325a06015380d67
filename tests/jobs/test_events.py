"""A job's events: whole lines, rising numbers, whoever writes and whoever reads."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from darkroom.errors import NotFound
from darkroom.jobs import JobRunner, follow, read_events
from darkroom.jobs.events import append_event, last_progress
from darkroom.jobs.folder import JobFolder
from darkroom.jobs.process import began
from darkroom.jobs.progress import ProgressEvents
from darkroom.jobs.state import change_state
from darkroom.records import Job, JobEvent, now
from darkroom.workspace import Progress, Workspace
from tests.jobs.projects import project, release

WRITER = """
import sys
from pathlib import Path
from darkroom.jobs.events import append_event
from darkroom.jobs.folder import JobFolder
from darkroom.workspace import Workspace
folder = JobFolder(Workspace(Path(sys.argv[1])), "j-1")
for number in range(int(sys.argv[2])):
    append_event(folder, "progress", {"what": "x" * (number % 50), "done": number})
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return project(tmp_path / "p")


def job_in(workspace: Workspace) -> JobFolder:
    made = workspace.catalogue.jobs.create(Job(id="", operation="run", request={}, created_at=now()))
    return JobFolder(workspace, made.id)


def run_here(workspace: Workspace) -> None:
    """Makes this process the one that the job runs in."""
    change_state(workspace, "j-1", "running", pid=os.getpid(), process=began(os.getpid()))


def numbers(events: list[JobEvent]) -> list[int]:
    return [event.seq for event in events]


def test_numbers_rise_by_one_and_a_reader_goes_on_after_the_one_it_knows(workspace: Workspace) -> None:
    folder = job_in(workspace)
    for done in range(5):
        append_event(folder, "progress", {"done": done})
    assert numbers(read_events(workspace, "j-1")) == [1, 2, 3, 4, 5]
    assert [event.data["done"] for event in read_events(workspace, "j-1", after=3)] == [3, 4]
    assert read_events(workspace, "j-1", after=5) == []


def test_a_job_that_is_none_has_no_events(workspace: Workspace) -> None:
    for job_id in ("j-9", "../j-1", ""):
        with pytest.raises(NotFound):
            read_events(workspace, job_id)
        with pytest.raises(NotFound):
            next(follow(workspace, job_id))


def test_a_line_that_a_killed_process_left_is_cut_off_by_the_next_writer(workspace: Workspace) -> None:
    folder = job_in(workspace)
    append_event(folder, "progress", {"done": 1})
    with folder.events.open("ab") as file:
        file.write(b'{"seq":2,"at":"2026-')
    assert numbers(read_events(workspace, "j-1")) == [1]
    append_event(folder, "progress", {"done": 2})
    assert [json.loads(line)["seq"] for line in folder.events.read_text().splitlines()] == [1, 2]


def test_a_line_longer_than_a_block_does_not_break_the_count(workspace: Workspace) -> None:
    folder = job_in(workspace)
    sizes = (10, 9_000, 300_000, 3_000_000, 400_000, 400_000, 10)
    for size in sizes:
        append_event(folder, "result", {"text": "é" * size})
    told = read_events(workspace, "j-1")
    assert numbers(told) == [1, 2, 3, 4, 5, 6, 7]
    assert tuple(len(event.data["text"]) for event in told) == sizes


def test_figures_that_are_no_number_are_null(workspace: Workspace) -> None:
    folder = job_in(workspace)
    append_event(folder, "progress", {"metrics": {"train_loss": float("nan"), "rate": float("inf")}})
    assert json.loads(folder.events.read_text())["data"]["metrics"] == {"train_loss": None, "rate": None}


def test_writers_in_several_processes_leave_no_gap_and_all_followers_see_the_same(
    workspace: Workspace,
) -> None:
    job_in(workspace)
    run_here(workspace)
    with ThreadPoolExecutor(3) as threads:
        followers = [threads.submit(lambda: list(follow(workspace, "j-1"))) for _ in range(3)]
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(workspace.root), "60"]) for _ in range(2)
        ]
        assert [writer.wait() for writer in writers] == [0, 0]
        change_state(workspace, "j-1", "finished")
        seen = [follower.result() for follower in followers]
    assert numbers(seen[0]) == list(range(1, 123))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][-1].data["state"] == "finished"


def test_a_follower_waits_for_the_rest_of_a_line(workspace: Workspace) -> None:
    folder = job_in(workspace)
    run_here(workspace)
    line = JobEvent(seq=2, at=now(), kind="progress", data={"done": 7}).model_dump_json().encode() + b"\n"
    events = follow(workspace, "j-1")
    assert next(events).data["state"] == "running"
    with folder.events.open("ab", buffering=0) as file:
        file.write(line[:20])
        second = threading.Timer(0.3, file.write, [line[20:]])
        second.start()
        assert next(events).data["done"] == 7
        second.join()


def test_a_follower_can_be_told_to_stop(workspace: Workspace) -> None:
    job_in(workspace)
    run_here(workspace)
    stop = threading.Event()
    events = follow(workspace, "j-1", stop=stop.is_set)
    assert next(events).seq == 1
    stop.set()
    assert list(events) == []


def test_progress_is_said_a_few_times_a_second_and_the_last_word_is_kept(workspace: Workspace) -> None:
    folder = job_in(workspace)
    with ProgressEvents(folder) as progress:
        deadline = threading.Event()
        for done in range(1, 1001):
            progress(Progress("reading", done, 1000, "images", {}))
            deadline.wait(0.0007)
    said = read_events(workspace, "j-1")
    assert 1 <= len(said) <= 12
    assert said[-1].data["done"] == 1000
    assert last_progress(folder) == said[-1]


def test_what_a_person_must_hear_is_never_left_out(workspace: Workspace) -> None:
    folder = job_in(workspace)
    with ProgressEvents(folder) as progress:
        for number in range(100):
            progress(Progress("reading", number, 100, "images", {}))
            progress(Progress("", 0, None, "", {}, (f"line {number}",)))
    said = [event.data for event in read_events(workspace, "j-1")]
    lines = [line for data in said for line in data["lines"]]
    assert lines == [f"line {number}" for number in range(100)]
    found = last_progress(folder)
    assert found is not None
    assert (found.data["what"], found.data["done"]) == ("reading", 99)


def test_a_job_goes_on_when_its_events_find_no_room(tmp_path: Path) -> None:
    # A limit on the size of files refuses the events, which are long already, and nothing else.
    workspace = project(tmp_path / "p", stuck=True)
    job = JobRunner(workspace).submit("run", {})
    folder = JobFolder(workspace, job.id)
    append_event(folder, "progress", {"text": "x" * 4_000_000})
    limit = folder.events.stat().st_size + 30

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = subprocess.Popen(
        [sys.executable, "-m", "darkroom.jobs.work", str(workspace.root), job.id], preexec_fn=limited
    )
    release(workspace)
    assert process.wait() == 0
    assert workspace.catalogue.jobs.get(job.id).state == "finished"
    assert numbers(read_events(workspace, job.id)) == [1, 2]
    assert folder.events.read_bytes().endswith(b"}\n")
    assert [event.seq for event in follow(workspace, job.id)] == [1, 2]
    append_event(folder, "progress", {})
    assert numbers(read_events(workspace, job.id)) == [1, 2, 3]
