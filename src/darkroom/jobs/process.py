"""A job's process as the system sees it: started, recognised again, sent signals with all under it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from darkroom.atomic import start_of_machine
from darkroom.errors import Conflict
from darkroom.jobs.folder import JobFolder
from darkroom.records import Job
from darkroom.settings import Settings, variable_of
from darkroom.workspace import Workspace

__all__ = ["TAKEN", "began", "end_group", "is_alive", "send_signal", "start_process"]

TAKEN = 75
"""Exit code of a process that found its job cancelled, or another process at work on it."""


def start_process(workspace: Workspace, job_id: str) -> subprocess.Popen[bytes]:
    """Starts the process of a job, in a session of its own, so that it outlives this one.

    It works in the project's folder; its output goes to the job's folder.

    Raises:
        OSError: the system has no room for another process or for its output.
    """
    folder = JobFolder(workspace, job_id)
    folder.path.mkdir(parents=True, exist_ok=True)
    # -P: a torch.py that lies in the project's folder is not what `import torch` means.
    command = [sys.executable, "-P", "-m", "darkroom.jobs.work", str(workspace.root), job_id]
    with folder.output.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=workspace.root,
            env={**os.environ, **_as_environment(workspace.settings)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def began(pid: int) -> str:
    """Returns when a process began, as text that no other process with its number has; "" if it is gone.

    One that has ended and only waits to be noticed by its parent is gone.

    Source: proc_pid_stat(5): field 3 is the state, field 22 the start in clock ticks since the boot.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _began_by_ps(pid)
    state, *rest = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return "" if state in "ZX" else f"{start_of_machine()}:{rest[18]}"


def is_alive(job: Job) -> bool:
    """Returns whether the process that a job was started in is there, not another one with its number."""
    return job.pid is not None and bool(job.process) and began(job.pid) == job.process


def send_signal(job: Job, number: signal.Signals) -> bool:
    """Sends a signal to the process of a job and all that it started; returns whether it was there.

    Raises:
        Conflict: the process belongs to another user.
    """
    if job.pid is None or not is_alive(job):
        return False
    return end_group(job.pid, number, job_id=job.id)


def end_group(pid: int, number: signal.Signals = signal.SIGKILL, *, job_id: str = "") -> bool:
    """Sends a signal to a process group that is known to be a job's."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise Conflict(
            "job.other-user",
            "Process {pid} of job {job_id} belongs to another user.",
            do="Ask that user to run: darkroom job cancel {job_id}",
            pid=pid,
            job_id=job_id,
        ) from None
    return True


def _began_by_ps(pid: int) -> str:
    """Returns the same where there is no /proc."""
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    state, _, start = asked.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()


def _as_environment(settings: Settings) -> Mapping[str, str]:
    """Returns the settings in force as variables, so that a job works under those of its server."""
    values = {setting.name: getattr(settings, setting.name) for setting in fields(settings)}
    return {
        variable_of(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
