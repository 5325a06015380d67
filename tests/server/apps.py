"""The app of a small project, asked without a network or through a real server of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from darkroom.jobs import JobRunner
from darkroom.pipeline.ownership import running_server
from darkroom.records import RunningServer
from darkroom.server.access import Access
from darkroom.server.app import Desk, make_app
from darkroom.server.uploads import Uploads
from darkroom.settings import Settings
from darkroom.workspace import Workspace

TOML = '[project]\nname = "nutcrackers"\n'
HERE = "http://127.0.0.1:8400"
DARKROOM = str(Path(sys.executable).with_name("darkroom"))
LONG_S = 60.0
"""How long a test waits for what takes seconds on a quiet machine."""


def project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "darkroom.toml").write_text(TOML)
    return folder


@contextmanager
def desk(folder: Path, *, upload_bytes: int = 1_000_000, **settings: Any) -> Iterator[Desk]:
    """Gives what the routes of a project work with; its jobs wait, for no runner was started."""
    given = Settings(max_file_bytes=100_000, server_upload_bytes=upload_bytes, **settings)
    with Workspace(folder, settings=given) as workspace:
        uploads = Uploads(
            workspace.uploads_folder,
            file_bytes=given.max_file_bytes,
            all_bytes=given.server_upload_bytes,
        )
        access = Access.of(workspace.root, given)
        yield Desk(workspace, JobRunner(workspace), access, uploads)


def client(desk: Desk, *, shell: bool = False, **headers: str) -> TestClient:
    """Returns a client that holds a token; defects come as answers, as they do for everybody else."""
    token = desk.access.shell_token if shell else desk.access.token
    return TestClient(
        make_app(desk),
        base_url=HERE,
        headers={"Authorization": f"Bearer {token}", **headers},
        raise_server_exceptions=False,
    )


class Served:
    """`darkroom serve` in a process of its own.

    Args:
        folder: the project.
        environment: settings.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [DARKROOM, "serve", "--port", "0"],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.facts = self._facts()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Stops it; returns its exit code and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=LONG_S)
        return self.process.returncode, out, err

    def _facts(self) -> RunningServer:
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = running_server(Workspace(self.folder))
            if found is not None and found.pid == self.process.pid:
                return found
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"the server did not come up: {self.process.communicate()}")


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[Served]:
    """Gives a server of a project; it is gone when the block ends."""
    server = Served(folder, **environment)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def shell(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one command, as a person would."""
    return subprocess.run(
        [DARKROOM, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def shape(answer: Any) -> dict[str, str]:
    """Returns the one error shape of an answer, which must be nothing else."""
    found = json.loads(answer.content)
    assert set(found) == {"error", "kind", "id", "hint"}, found
    assert found["error"]
    assert "Traceback" not in answer.text
    return found
