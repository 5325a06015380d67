"""The tests' own walls hold: no network, no settings of the user, no quiet skips in CI."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.settings import Settings
from tests.tree import ROOT

ELSEWHERE = "192.0.2.1"  # RFC 5737: an address that belongs to nobody
GO_OUT = {
    "connect": f"import socket; socket.create_connection(('{ELSEWHERE}', 80), timeout=1)",
    "name": "import socket; socket.getaddrinfo('example.org', 80)",
    "datagram": (
        "import socket\n"
        f"with socket.socket(type=socket.SOCK_DGRAM) as way: way.sendto(b'', ('{ELSEWHERE}', 9))"
    ),
}


@pytest.mark.parametrize("code", GO_OUT.values(), ids=GO_OUT)
def test_no_test_reaches_another_machine(code: str) -> None:
    with pytest.raises(RuntimeError, match="Tests work without a network"):
        exec(code)


@pytest.mark.parametrize("code", GO_OUT.values(), ids=GO_OUT)
def test_no_child_of_a_test_reaches_another_machine(code: str) -> None:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Tests work without a network" in run.stderr


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def run_tests(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one test file under a copy of this project's conftest."""
    shutil.copytree(ROOT / "tests" / "offline", folder / "tests" / "offline")
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests" / "test_it.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


SKIPS = {
    "in a test": "import pytest\ndef test_it(): pytest.skip('no pictures here')\n",
    "in a file": "import pytest\npytest.importorskip('not_there', reason='no pictures here')\n",
    "in a fixture": "def test_it(shared_data): pass\n",
}


@pytest.mark.parametrize("code", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_a_failure_in_ci_and_nowhere_else(code: str, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    in_ci = run_tests(code, tmp_path / "ci", CI="true", DARKROOM_TEST_DATA=nowhere)
    assert in_ci.returncode not in (0, 5), in_ci.stdout
    assert "In CI nothing may be absent" in in_ci.stdout
    at_home = run_tests(code, tmp_path / "home", CI="", DARKROOM_TEST_DATA=nowhere)
    assert at_home.returncode in (0, 5), at_home.stdout
    assert "1 skipped" in at_home.stdout


def test_a_machine_without_a_gpu_may_skip_in_ci(tmp_path: Path) -> None:
    code = "import pytest\ndef test_it(): pytest.skip('needs a GPU')\n"
    assert run_tests(code, tmp_path, CI="true").returncode == 0


def test_settings_of_the_user_do_not_reach_a_test(tmp_path: Path) -> None:
    code = "import os\ndef test_it(): assert 'DARKROOM_ENGINE' not in os.environ\n"
    assert run_tests(code, tmp_path, DARKROOM_ENGINE="elsewhere").returncode == 0
    assert Settings.read() == Settings()
