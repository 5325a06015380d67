"""Projects with jobs for tests, and a real job that works for exactly as long as a test wants.

`darkroom run` begins by reading darkroom.toml. Where that is a named pipe, the job waits in `open` until
somebody writes into it: it runs, holds nothing, and does not hear a polite request to stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from darkroom.jobs.process import began
from darkroom.records import Job
from darkroom.settings import Settings
from darkroom.workspace import Workspace

TOML = '[project]\nname = "tried"\n'
LONG_S = 30.0
"""How long a test waits for what takes a second on a quiet machine."""


def project(folder: Path, *, stuck: bool = False, **settings: object) -> Workspace:
    """Makes a project without stages; a stuck one has a pipe for its darkroom.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    if stuck:
        os.mkfifo(folder / "darkroom.toml")
    else:
        (folder / "darkroom.toml").write_text(TOML)
    return Workspace(folder, settings=Settings(**settings))  # type: ignore[arg-type]


def release(workspace: Workspace) -> None:
    """Lets the job that waits at the pipe go on."""
    with (workspace.root / "darkroom.toml").open("w") as pipe:
        pipe.write(TOML)


def hold(workspace: Workspace) -> int:
    """Keeps the job that waits at the pipe there, although its name may go; returns what to close."""
    found: list[int] = []

    def opened() -> bool:
        with suppress(OSError):  # nobody reads yet
            found.append(os.open(workspace.root / "darkroom.toml", os.O_WRONLY | os.O_NONBLOCK))
        return bool(found)

    wait_until(opened, "the job reads the pipe")
    return found[0]


def pictures(folder: Path, count: int) -> Path:
    """Writes handwritten digits, one folder per class."""
    digits: Any = load_digits()
    for number in range(count):
        place = folder / str(digits.target[number]) / f"{number:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15.9).astype(np.uint8)).save(place)
    return folder


def wait_until(true: Callable[[], object], what: str) -> None:
    """Waits until something is true."""
    deadline = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


def until_state(workspace: Workspace, job_id: str, state: str) -> Job:
    """Waits until a job is in a state."""
    wait_until(lambda: workspace.catalogue.jobs.get(job_id).state == state, f"{job_id} is {state}")
    return workspace.catalogue.jobs.get(job_id)


def group_of(job: Job) -> list[int]:
    """Returns the processes of a job's group that have not ended."""
    members = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            rest = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(rest[2]) == job.pid and began(int(place.name)):
            members.append(int(place.name))
    return members
