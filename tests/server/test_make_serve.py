"""`make serve`, as the README names it: it serves a project, answers a browser, and stops on Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from darkroom.pipeline.ownership import running_server
from darkroom.workspace import Workspace
from tests.server.apps import LONG_S, project
from tests.tree import ROOT

MAKE = ["make", "-o", ".venv/.ready", "serve", f"BIN={Path(sys.executable).parent}"]


@pytest.fixture(autouse=True)
def present() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")


def test_make_serve_answers_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    root = project(tmp_path / "p")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # so that the child hears it
    try:
        process = subprocess.Popen(
            [*MAKE, f"PROJECT={root}", "PORT=0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        url = until_served(root, process)
        page = httpx.get(url, trust_env=False)
        assert (page.status_code, "<h1>Darkroom" in page.text) == (200, True)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=LONG_S)
    assert f"{url} has stopped." in out
    assert f"Serving {root} at {url}" in err
    assert running_server(Workspace(root)) is None


def test_make_serve_without_a_project_says_which_commands_come_first(tmp_path: Path) -> None:
    done = subprocess.run(
        [*MAKE, f"PROJECT={tmp_path / 'none'}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "make demo" in done.stderr
    assert "make serve PROJECT=folder" in done.stderr


def until_served(root: Path, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline and process.poll() is None:
        found = running_server(Workspace(root))
        if found is not None:
            return found.url
        time.sleep(0.02)
    raise AssertionError("the server did not come up")
