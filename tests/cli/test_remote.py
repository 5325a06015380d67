"""While a server runs, the shell goes through it: same results, errors and codes; Ctrl-C stops the job."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.cli import main
from darkroom.pipeline.ownership import server_file
from darkroom.records import RunningServer, now
from darkroom.server import events
from darkroom.server.listening import listening
from darkroom.workspace import Workspace
from tests.jobs.projects import group_of, pictures, until_state, wait_until
from tests.server.apps import DARKROOM, project, served


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = project(tmp_path / "p")
    monkeypatch.chdir(root)
    pictures(tmp_path / "photos", 30)
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[Workspace]:
    """A server of the project in which the test stands."""
    with Workspace(folder) as workspace, listening(workspace):
        yield workspace


SAME = [
    ["status"],
    ["model", "networks"],
    ["source", "list"],
    ["job", "show", "j-9"],
    ["dataset", "show", "nothing"],
    ["predict", "absent.jpg"],
    ["export", "inspect", "absent"],
    ["export", "inspect", "../photos"],
    ["run"],
    ["run", "--until", "nowhere"],
    ["model", "train", "--dataset", "x@1"],
    ["model", "train", "--dataset", "x@1", "--recipe.epochs", "0"],
    ["model", "train", "--dataset", "x@1", "--sweep", "seed=0,1"],
    ["source", "add", "absent"],
]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["drawn", "json"])
def test_results_errors_and_codes_are_those_of_the_shell_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], as_json: bool
) -> None:
    words = [*words, "--quiet", *(["--json"] if as_json else [])]
    alone = (main(words), *capsys.readouterr())
    with Workspace(folder) as workspace, listening(workspace):
        through = (main(words), *capsys.readouterr())
    assert through == alone


def test_a_picture_is_named_by_its_file_from_where_the_shell_stands(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the same name lies in the project's folder, where the server stands."""
    name = "0/0000.png"
    own, mine = pictures(folder, 1), folder.parent / "photos"
    (own / name).write_bytes((mine / "0/0010.png").read_bytes())
    assert main(["source", "add", "../photos"]) == 0
    words = ["label", "log", name, "--json", "--project", str(folder)]
    monkeypatch.chdir(mine)
    capsys.readouterr()
    alone = (main(words), *capsys.readouterr())
    assert alone[0] == 0
    absent = (main(["label", "log", "absent.png", "--project", str(folder)]), *capsys.readouterr())
    with served(folder, DARKROOM_WORKERS="1"):
        through = (main(words), *capsys.readouterr())
        assert through == alone
        again = (main(["label", "log", "absent.png", "--project", str(folder)]), *capsys.readouterr())
        assert again == absent
        assert main(["image", "forget", name, "--project", str(folder)]) == 0
    forgotten = capsys.readouterr().out.split("Forgotten: ")[1][:64]
    assert forgotten == hashlib.sha256((mine / name).read_bytes()).hexdigest()


def test_a_server_with_no_room_for_one_who_follows_is_not_asked_in_a_hurry(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 0)
    with Workspace(folder) as workspace, listening(workspace) as (server, _, _):
        began = time.monotonic()
        assert main(["source", "add", "../photos"]) == 0
        assert server.answered < 4 * (time.monotonic() - began) + 8
    assert "30 new" in capsys.readouterr().out


def test_what_is_written_is_written_by_the_server(
    server: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["source", "add", "../photos"]) == 0
    said = capsys.readouterr()
    assert "30 new" in said.out
    [job] = server.catalogue.jobs.list()
    assert (job.operation, job.asked_by, job.state) == ("source.add", "shell", "finished")
    assert Path(job.request["folder"]).is_absolute()
    assert server.catalogue.images.count() == 30
    assert (
        main(["dataset", "freeze", "--dataset", "d", "--sources", "s-1", "--contract.width-px", "x"]) == 2
    )
    assert "contract.width_px" in capsys.readouterr().err
    assert len(server.catalogue.jobs.list()) == 1


def test_progress_is_drawn_from_the_jobs_events(
    server: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["source", "add", "../photos"]) == 0
    through = capsys.readouterr().err
    assert re.search(r": \d+ (pictures|files|images)", through), through


def test_a_sweep_makes_a_job_of_each_request(server: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--sweep", "explain=yes,no"]) == 0
    assert len(server.catalogue.jobs.list()) == 2
    assert capsys.readouterr().out.count("names no stage") == 2


def test_ctrl_c_cancels_the_job(tmp_path: Path) -> None:
    shutil.rmtree(pictures(tmp_path / "photos", 1))
    for photo in sorted(pictures(tmp_path / "photos", 1797).glob("*/*.png")):
        for number in range(6):  # enough that they are still being read when the signal comes
            photo.with_stem(f"{photo.stem}-{number}").hardlink_to(photo)
    root = project(tmp_path / "p")
    with served(root, DARKROOM_WORKERS="2"), Workspace(root) as workspace:
        command = subprocess.Popen(
            [DARKROOM, "source", "add", "../photos"], cwd=root, stderr=subprocess.PIPE, text=True
        )
        wait_until(lambda: workspace.catalogue.jobs.list(), "there is a job")
        job = until_state(workspace, "j-1", "running")
        wait_until(lambda: len(group_of(job)) > 2, "it reads pictures")
        time.sleep(0.3)  # the command follows by now
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=60)
        assert (command.returncode, workspace.catalogue.jobs.get("j-1").state) == (130, "cancelled"), said
        assert "Traceback" not in said


def test_init_and_quickstart_do_not_ask_a_server(
    server: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "other", "--images", "../photos"]) == 0
    assert server.catalogue.jobs.list() == []


def test_a_server_that_does_not_answer_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(folder)
    with workspace, listening(workspace) as (server, _, url):
        server.stop()
        assert main(["status"]) == 4
        said = capsys.readouterr().err
        assert url in said
        assert f"kill {os.getpid()}" in said


def test_a_server_of_another_version_is_told(server: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    facts = RunningServer.model_validate_json(server_file(server).read_text())
    server_file(server).write_text(facts.model_copy(update={"version": "0.0.1"}).model_dump_json())
    assert main(["status"]) == 4
    assert "runs Darkroom 0.0.1" in capsys.readouterr().err


def test_looking_for_a_server_costs_next_to_nothing_where_there_is_none(folder: Path) -> None:
    code = (
        "import sys, time\n"
        "from darkroom.cli import _server\n"
        "from darkroom.workspace import Workspace\n"
        "workspace = Workspace.open('.')\n"
        "before = set(sys.modules)\n"
        "took = []\n"
        "for _ in range(20):\n"
        "    began = time.perf_counter(); assert _server(workspace) is None\n"
        "    took.append(time.perf_counter() - began)\n"
        "print(min(took), set(sys.modules) - before)\n"
    )
    done = subprocess.run(
        [shutil.which("python", path=str(Path(DARKROOM).parent)) or "python", "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, loaded = done.stdout.split(maxsplit=1)
    assert float(seconds) < 0.005
    assert loaded.strip() == "set()"


def test_a_token_of_a_server_that_is_gone_opens_nothing(
    server: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    old = RunningServer(
        url=json.loads(server_file(server).read_text())["url"],
        token="x",
        shell_token="y",
        pid=1,
        version=json.loads(server_file(server).read_text())["version"],
        started_at=now(),
    )
    server_file(server).write_text(old.model_dump_json())
    assert main(["status"]) == 10
    assert "token" in capsys.readouterr().err
