"""Jobs in the catalogue, the same on SQLite and on PostgreSQL: their order, and the states that follow."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from darkroom.catalogue import Catalogue
from darkroom.catalogue.jobs import JOB_TRANSITIONS
from darkroom.errors import Conflict, NotFound
from darkroom.records import ENDED_JOB_STATES, Job, JobState, now

STATES: tuple[JobState, ...] = get_args(JobState)
WAYS: dict[JobState, tuple[JobState, ...]] = {
    "waiting": (),
    "running": ("running",),
    "finished": ("running", "finished"),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
    "lost": ("running", "lost"),
}
"""State → the moves that lead there from the beginning."""


def job(**facts: object) -> Job:
    return Job.model_validate(
        {"id": "", "operation": "model.train", "request": {"dataset": "d@1"}, "created_at": now(), **facts}
    )


def job_in(catalogue: Catalogue, state: JobState) -> Job:
    made = catalogue.jobs.create(job())
    for step in WAYS[state]:
        made = catalogue.jobs.move(made.id, step)
    return made


def test_a_job_comes_back_with_every_fact(catalogue: Catalogue) -> None:
    needed = catalogue.jobs.create(job())
    full = catalogue.jobs.create(
        job(request={"recipe": {"epochs": 3}, "tags": ["a", "é"]}, asked_by="ada", waits_for=(needed.id,))
    )
    assert (needed.id, full.id) == ("j-1", "j-2")
    assert catalogue.jobs.get("j-2") == full
    moved = catalogue.jobs.move("j-2", "running", pid=7, process="then", started_at=now())
    ended = catalogue.jobs.move(
        "j-2", "finished", finished_at=now(), result={"runs": ["r-1"], "loss": None}
    )
    assert (moved.pid, moved.process) == (7, "then")
    assert catalogue.jobs.get("j-2") == ended
    assert ended.model_dump(exclude={"state", "pid", "process", "started_at", "finished_at", "result"}) == (
        full.model_dump(exclude={"state", "pid", "process", "started_at", "finished_at", "result"})
    )


def test_pages_hold_each_job_once_the_newest_first(catalogue: Catalogue) -> None:
    for _ in range(25):
        catalogue.jobs.create(job())
    for number in (3, 20, 11):
        catalogue.jobs.move(f"j-{number}", "running")
    walked: list[str] = []
    while page := catalogue.jobs.list(after=walked[-1] if walked else None, limit=10):
        walked += [one.id for one in page]
    assert walked == [f"j-{number}" for number in range(25, 0, -1)]
    assert [one.id for one in catalogue.jobs.list("running")] == ["j-20", "j-11", "j-3"]
    assert [one.id for one in catalogue.jobs.list(["running"], after="j-20", limit=1)] == ["j-11"]
    assert len(catalogue.jobs.list(("running", "waiting"), limit=None)) == 25


def test_what_is_unknown_is_not_found(catalogue: Catalogue) -> None:
    catalogue.jobs.create(job())
    with pytest.raises(NotFound, match="Newest: j-1"):
        catalogue.jobs.get("j-2")
    with pytest.raises(NotFound):
        catalogue.jobs.list(after="j-2")
    with pytest.raises(NotFound):
        catalogue.jobs.move("j-2", "running")
    with pytest.raises(NotFound, match="j-9"):
        catalogue.jobs.create(job(waits_for=("j-1", "j-9")))
    assert catalogue.jobs.create(job()).id == "j-2", "a refused job takes no number"


def test_a_state_follows_only_from_those_in_the_table(catalogue: Catalogue) -> None:
    for before, after in itertools.product(STATES, STATES):
        made = job_in(catalogue, before)
        if after in JOB_TRANSITIONS[before]:
            assert catalogue.jobs.move(made.id, after).state == after
        else:
            with pytest.raises(Conflict, match=f"is {before}; it cannot become {after}"):
                catalogue.jobs.move(made.id, after, pid=5)
            assert catalogue.jobs.get(made.id) == made


def test_every_state_is_in_the_table_and_only_waiting_and_running_go_on_by_themselves() -> None:
    assert set(JOB_TRANSITIONS) == set(STATES)
    assert set(STATES) - set(ENDED_JOB_STATES) == {"waiting", "running"}
    assert all(JOB_TRANSITIONS[state] <= {"waiting"} for state in ENDED_JOB_STATES)


def test_of_many_that_take_a_waiting_job_one_gets_it(catalogue: Catalogue) -> None:
    made = catalogue.jobs.create(job())

    def take(pid: int) -> bool:
        try:
            catalogue.jobs.move(made.id, "running", pid=pid)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(8)))
    assert taken.count(True) == 1
    assert catalogue.jobs.get(made.id).pid == taken.index(True)


def test_a_request_to_stop_is_kept_from_the_first_time_and_only_for_what_runs(catalogue: Catalogue) -> None:
    made = catalogue.jobs.create(job())
    with pytest.raises(Conflict):
        catalogue.jobs.request_cancel(made.id)
    catalogue.jobs.move(made.id, "running")
    first = catalogue.jobs.request_cancel(made.id)
    assert first.cancel_requested_at is not None
    assert catalogue.jobs.request_cancel(made.id) == first == catalogue.jobs.get(made.id)


def test_what_a_job_is_cannot_be_changed(catalogue: Catalogue) -> None:
    made = catalogue.jobs.create(job())
    with pytest.raises(ValueError, match="operation"):
        catalogue.jobs.move(made.id, "running", operation="source.add")
    with pytest.raises(ValueError, match="colour"):
        catalogue.jobs.move(made.id, "running", colour="red")
    assert catalogue.jobs.get(made.id) == made
