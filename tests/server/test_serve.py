"""`darkroom serve` owns the project while it runs, says how to reach it, and leaves no false traces."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
from pathlib import Path

import httpx
import pytest

import darkroom
from darkroom.errors import Forbidden, Invalid, Locked
from darkroom.jobs import JobRunner
from darkroom.pipeline.ownership import running_server, server_file
from darkroom.server.listening import _url, listen, listening
from darkroom.workspace import Workspace
from tests.jobs import projects
from tests.server.apps import project, served, shell


def test_it_says_how_to_call_it_and_that_works(tmp_path: Path) -> None:
    with served(project(tmp_path)) as server:
        facts, place = server.facts, server_file(Workspace(tmp_path))
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        answer = httpx.post(
            f"{facts.url}/api/status", headers={"Authorization": f"Bearer {facts.token}"}, trust_env=False
        )
        assert answer.json()["project"] == "nutcrackers"
        code, out, said = server.stop(signal.SIGTERM)
    assert code == 0
    assert f"{facts.url} has stopped." in out
    [command] = re.findall(r"Try: (.*)", said)
    assert command == f'curl -X POST -H "Authorization: Bearer {facts.token}" {facts.url}/api/status'
    assert facts.shell_token not in said
    assert not place.exists()


def test_ctrl_c_stops_it_in_order(tmp_path: Path) -> None:
    with served(project(tmp_path)) as server:
        code, out, _ = server.stop(signal.SIGINT)
    assert (code, "has stopped" in out) == (0, True)
    assert running_server(Workspace(tmp_path)) is None


def test_a_second_one_is_refused_and_says_who_holds_the_project(tmp_path: Path) -> None:
    with served(project(tmp_path)) as server:
        second = shell("serve", "--port", "0", folder=tmp_path)
        assert second.returncode == 4
        assert f"{server.facts.url} (process {server.facts.pid})" in second.stderr
        assert running_server(Workspace(tmp_path)) == server.facts


def test_after_a_kill_commands_work_by_themselves_and_the_next_server_finds_the_jobs(
    tmp_path: Path,
) -> None:
    workspace = projects.project(tmp_path / "p", stuck=True)
    with workspace:
        (workspace.root / "darkroom.toml").rename(workspace.root / "pipe")
        project(workspace.root)
        with served(workspace.root) as server:
            (workspace.root / "pipe").replace(workspace.root / "darkroom.toml")
            token = {"Authorization": f"Bearer {server.facts.token}"}
            first, second = (
                httpx.post(f"{server.facts.url}/api/run", headers=token, trust_env=False).json()["id"]
                for _ in range(2)
            )
            projects.until_state(workspace, first, "running")
            server.stop(signal.SIGKILL)
        assert server_file(workspace).is_file()
        assert running_server(workspace) is None
        with listening(workspace) as (_, access, url):
            token = {"Authorization": f"Bearer {access.token}"}
            jobs = httpx.get(f"{url}/api/jobs", headers=token, trust_env=False).json()["jobs"]
            assert [(job["id"], job["state"]) for job in jobs] == [(second, "waiting"), (first, "running")]
            for job in (first, second):
                projects.until_state(workspace, job, "running")
                projects.release(workspace)
                projects.until_state(workspace, job, "finished")


def test_what_a_dead_server_left_does_not_mislead_the_shell(tmp_path: Path) -> None:
    with served(project(tmp_path)) as server:
        server.stop(signal.SIGKILL)
    assert server_file(Workspace(tmp_path)).is_file()
    assert shell("status", folder=tmp_path).returncode == 0
    with served(tmp_path) as server:
        assert running_server(Workspace(tmp_path)) == server.facts


def test_a_taken_port_and_a_foreign_address_are_refused_in_words(tmp_path: Path) -> None:
    with Workspace(project(tmp_path)) as workspace:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Invalid, match=f"Port {port} of 127.0.0.1 is not free") as refused:
                listen(workspace, host="127.0.0.1", port=port, exposed=False)
            assert "--port 0" in refused.value.hint
        with pytest.raises(Invalid, match="no address of this machine"):
            listen(workspace, host="192.0.2.1", port=0, exposed=True)
        assert running_server(workspace) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_address_that_it_tells_is_the_one_that_answers(tmp_path: Path, host: str) -> None:
    with Workspace(project(tmp_path)) as workspace, listening(workspace, host=host) as (_, access, url):
        headers = {"Authorization": f"Bearer {access.token}"}
        assert httpx.post(f"{url}/api/status", headers=headers, trust_env=False).status_code == 200


def test_localhost_may_be_either_address_of_this_machine() -> None:
    with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as place:
        place.bind(("::1" if socket.has_ipv6 else "127.0.0.1", 0))
        bound, port = place.getsockname()[:2]
        assert _url("localhost", place) == f"http://{f'[{bound}]' if ':' in bound else bound}:{port}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_are_let_in_only_by_who_was_told_what_it_means(tmp_path: Path, host: str) -> None:
    with (
        Workspace(project(tmp_path)) as workspace,
        pytest.raises(Forbidden, match="nothing is encrypted") as refused,
    ):
        listen(workspace, host=host, port=0, exposed=False)
    assert "--exposed" in refused.value.hint


def test_from_python_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []
    with darkroom.open(project(tmp_path)) as own:
        own.workspace.listener = lambda report: (
            told.append(report.lines),
            own.workspace.stop_requested.set(),
        )[0]
        report = own.serve(port=0)
        assert report.model_dump()["url"] in told[0][0]
        assert running_server(own.workspace) is None


def test_a_server_that_cannot_start_lets_go_of_the_project(tmp_path: Path) -> None:
    with Workspace(project(tmp_path)) as workspace, JobRunner(workspace):
        with pytest.raises(Locked, match="runs the jobs"):
            listen(workspace, host="127.0.0.1", port=0, exposed=False)
        assert running_server(workspace) is None
    with Workspace(tmp_path) as workspace, listening(workspace):
        pass


def test_the_file_of_another_user_is_told_apart_from_no_server(tmp_path: Path) -> None:
    workspace = Workspace(project(tmp_path))
    workspace.hidden.mkdir()
    server_file(workspace).write_text("{}")
    server_file(workspace).chmod(0)
    if os.access(server_file(workspace), os.R_OK):
        assert running_server(workspace) is None  # root reads everything
    else:
        with pytest.raises(Locked, match="another user"):
            running_server(workspace)
