"""The one who runs jobs: starts waiting ones in order, notices how they end, finds them after a restart."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from darkroom.errors import Conflict, DarkroomError, Locked, StorageFailed
from darkroom.jobs.children import Child, Children, Ended
from darkroom.jobs.events import append_unlocked
from darkroom.jobs.folder import LOOK_S, JobFolder
from darkroom.jobs.process import TAKEN
from darkroom.jobs.request import checked_request
from darkroom.jobs.state import change_state, fail, settle
from darkroom.jobs.stopping import ask_to_stop, end_if_overdue
from darkroom.locks import is_held
from darkroom.records import Job, now
from darkroom.workspace import Workspace

__all__ = ["JobRunner", "is_served"]

LOOK_AGAIN_S = 0.5
"""How often the runner looks for what others did: jobs made and processes started by somebody else."""

AFTER_TROUBLE_S = 2.0
"""How long the runner waits when the catalogue or the disk refused."""

ANOTHER_LOOKS_S = 1.0
"""How long the runner's lock may be held by a command that only looks whether there is a runner."""

_log = logging.getLogger(__name__)


class JobRunner:
    """Runs the jobs of one project, each in a process of its own that outlives this one.

    `submit`, `cancel`, `resume`, `recover` and `wait` work without `start`; what waits then stays waiting
    until some process has started a runner. Safe to use from threads.

    Args:
        workspace: the project; it must stay open while the runner runs.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._wake = threading.Event()
        self._over = threading.Event()
        self._children = Children(self._wake)
        self._thread: threading.Thread | None = None
        self._lock = FileLock(_lock_path(workspace), thread_local=False)

    def submit(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        waits_for: Sequence[str] = (),
        asked_by: str = "",
    ) -> Job:
        """Makes a job of an operation and its request; it starts when its turn has come.

        Relative paths in the request are taken from the project's folder.

        Args:
            name: a slow operation, for example "model.train".
            values: its request, as over HTTP; it is checked before there is a job.
            waits_for: jobs that must be finished first; when one of them is not, this one fails.
            asked_by: who asked for it.

        Raises:
            NotFound: no such operation, or no such job to wait for.
            InvalidConfig: the request is not what was expected.
            Unsupported: the operation answers at once, or works outside a project.
        """
        request = checked_request(name, values)
        job = self._workspace.catalogue.jobs.create(
            Job(
                id="",
                operation=name,
                request=request,
                created_at=now(),
                waits_for=tuple(dict.fromkeys(waits_for)),
                asked_by=asked_by,
            )
        )
        self._tell_of_waiting(job)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancels a waiting job, or asks a running one to stop; returns at once.

        The runner that was started ends what has not stopped after the grace period (`job_grace_s`).

        Raises:
            NotFound: the project has no such job.
            Conflict: the job has ended otherwise already, or belongs to another user.
        """
        job = ask_to_stop(self._workspace, job_id)
        self._wake.set()
        return job

    def resume(self, job_id: str) -> Job:
        """Lets a job that failed, was cancelled or lost wait for another attempt, with the same request.

        A training goes on where it was: its run is found by what decides it.

        Raises:
            NotFound: the project has no such job.
            Conflict: the job has not ended, or it is finished.
        """
        job = settle(self._workspace, self._workspace.catalogue.jobs.get(job_id))
        job = change_state(
            self._workspace,
            job_id,
            "waiting",
            attempt=job.attempt + 1,
            started_at=None,
            finished_at=None,
            cancel_requested_at=None,
            pid=None,
            process="",
            result=None,
            error=None,
        )
        self._wake.set()
        return job

    def recover(self) -> list[Job]:
        """Finds the jobs that run by the catalogue and whose process is gone; they become lost.

        Jobs whose process still works are left to it. Returns those that it changed.
        """
        running = self._workspace.catalogue.jobs.list("running", limit=None)
        found = [settle(self._workspace, job) for job in running]
        return [job for job in found if job.state != "running"]

    def start(self) -> None:
        """Recovers, then runs waiting jobs in a thread until `stop`.

        Raises:
            Locked: another process runs the jobs of this project.
        """
        self._workspace.jobs_folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=ANOTHER_LOOKS_S, poll_interval=LOOK_S)
        except Timeout:
            raise Locked(
                "job.runner-locked",
                "Another process runs the jobs of {root}.",
                do="Use that one: darkroom job list",
                root=self._workspace.root,
            ) from None
        try:
            self.recover()
        except BaseException:
            self._lock.release()
            raise
        self._over.clear()
        self._thread = threading.Thread(target=self._run, daemon=True, name="job-runner")
        self._thread.start()

    def stop(self) -> None:
        """Stops starting jobs. Those that run go on, and the next runner finds them."""
        if self._thread is None:
            return
        self._over.set()
        self._wake.set()
        self._thread.join()
        self._thread = None
        self._lock.release()

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """Waits until a job has ended, and returns it; after the timeout, as it is then.

        Raises:
            NotFound: the project has no such job.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            job = settle(self._workspace, self._workspace.catalogue.jobs.get(job_id))
            if job.ended or (deadline is not None and time.monotonic() >= deadline):
                return job
            time.sleep(0.05)

    def __enter__(self) -> JobRunner:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            try:
                self._tend()
            except Exception:
                # Mostly the catalogue or the disk refused, or the system has no thread left. Jobs that run
                # do not need the runner, and those that wait need one that goes on.
                _log.exception("The jobs of %s could not be looked after.", self._workspace.root)
                self._over.wait(AFTER_TROUBLE_S)
            self._wake.wait(LOOK_AGAIN_S)

    def _tend(self) -> None:
        """Looks after every job once."""
        for ended in self._children.ended():
            self._notice_end(ended)
        children = self._children.alive()
        for child in children.values():
            self._hurry(child)
        jobs = self._workspace.catalogue.jobs.list(("waiting", "running"), limit=None)[::-1]
        busy = {job.id for job in jobs if self._runs_on(job)} | set(children)
        free = self._workspace.settings.jobs_at_once - len(busy)
        for job in jobs:
            if job.state == "waiting" and job.id not in busy and self._may_start(job) and free > 0:
                free -= self._start(job)

    def _runs_on(self, job: Job) -> bool:
        return end_if_overdue(self._workspace, settle(self._workspace, job)).state == "running"

    def _hurry(self, child: Child) -> None:
        """Ends a process that hangs on its way out: its job has ended some time ago, or is to run again."""
        job = self._workspace.catalogue.jobs.get(child.job_id)
        grace = timedelta(seconds=self._workspace.settings.job_grace_s)
        if job.attempt != child.attempt or (job.finished_at and now() > job.finished_at + grace):
            self._children.end(child)

    def _notice_end(self, ended: Ended) -> None:
        """Gives a state to a job whose process has ended without giving it one."""
        job = settle(self._workspace, self._workspace.catalogue.jobs.get(ended.job_id))
        if job.state == "waiting" and job.attempt == ended.attempt and ended.code != TAKEN:
            self._fail(job, _not_begun(job, ended.code))

    def _may_start(self, job: Job) -> bool:
        """Says whether everything that a job waits for is finished; fails the job if that cannot be."""
        needed = [self._workspace.catalogue.jobs.get(one) for one in job.waits_for]
        for one in needed:
            if one.ended and one.state != "finished":
                self._fail(job, _needs(job, one))
                return False
        return all(one.state == "finished" for one in needed)

    def _start(self, job: Job) -> bool:
        try:
            self._children.start(self._workspace, job)
        except OSError as error:
            self._fail(job, _cannot_start(job, error))
            return False
        return True

    def _fail(self, job: Job, error: DarkroomError) -> None:
        with suppress(Conflict):  # it was cancelled in the meantime
            fail(self._workspace, job.id, error)

    def _tell_of_waiting(self, job: Job) -> None:
        folder = JobFolder(self._workspace, job.id)
        with suppress(OSError), folder.writing():  # without room for the event, it waits all the same
            if self._workspace.catalogue.jobs.get(job.id).state == "waiting":  # nobody has taken it up yet
                append_unlocked(folder, "state", {"state": "waiting", "attempt": job.attempt})
        self._wake.set()


def is_served(workspace: Workspace) -> bool:
    """Says whether some process runs the jobs of a project right now."""
    return is_held(_lock_path(workspace))


def _not_begun(job: Job, code: int) -> DarkroomError:
    return DarkroomError(
        "job.not-begun",
        "The process of job {job_id} ended before it began to work (exit code {code}).",
        do="Read what it wrote: darkroom job show {job_id}",
        job_id=job.id,
        code=code,
    )


def _needs(job: Job, needed: Job) -> Conflict:
    return Conflict(
        "job.needed-one-ended",
        "Job {job_id} waits for job {needed}, which is {state}.",
        do="First: darkroom job resume {needed}   then: darkroom job resume {job_id}",
        job_id=job.id,
        needed=needed.id,
        state=needed.state,
    )


def _cannot_start(job: Job, error: OSError) -> StorageFailed:
    return StorageFailed(
        "job.cannot-start",
        "The system cannot start a process for job {job_id}: {why}.",
        do="Free some memory or disk space (darkroom project clean), then: darkroom job resume {job_id}",
        job_id=job.id,
        why=error.strerror or error,
    )


def _lock_path(workspace: Workspace) -> Path:
    return workspace.jobs_folder / "runner.lock"
