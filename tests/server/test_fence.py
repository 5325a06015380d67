"""A program names uploads and files inside allowed folders; the shell what it could read anyway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.errors import Forbidden, NotFound
from darkroom.operation import LocalPath, UserCode, operation
from darkroom.operation.table import _TABLE, NOUNS
from darkroom.records import Config, FrozenMap, Result
from darkroom.server.fence import safe_join
from darkroom.workspace import Workspace
from tests.server.apps import client, desk, project, shape


class Opened(Result):
    paths: tuple[str, ...]


class Plan(Config):
    folder: LocalPath | None = None
    """A folder."""
    code: UserCode | None = None
    """Python."""
    several: FrozenMap[str, LocalPath] = {}
    """More files."""


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An operation that says which paths it was given."""
    monkeypatch.setitem(NOUNS, "trial", ((), "for this test"))

    @operation("trial.open")
    def read(
        workspace: Workspace,
        *,
        files: tuple[LocalPath, ...] = (),
        plan: Plan = Plan(),
        own: UserCode | None = None,
    ) -> Opened:
        """Open files.

        Args:
            files: files.
            plan: more of them.
            own: Python.
        """
        every = [*files, plan.folder, plan.code, *plan.several.values(), own]
        missing = [path for path in every if path is not None and not path.exists()]
        if missing:
            raise NotFound("trial.missing", "No file {path}.", path=missing[0])
        return Opened(paths=tuple(f"{path}!" for path in every if path is not None))

    yield
    del _TABLE["trial.open"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a file inside, a file outside, and links between them."""
    root = project(tmp_path / "p")
    (root / "in.txt").write_text("in")
    (root / ".darkroom" / "bundles" / "b-1").mkdir(parents=True)
    (tmp_path / "out.txt").write_text("out")
    (tmp_path / "p-beside").mkdir()
    (tmp_path / "p-beside" / "near.txt").write_text("near")
    (root / "leak.txt").symlink_to(tmp_path / "out.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "own.txt").symlink_to(root / "in.txt")
    return root


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with links that lead out of it."""
    root = project(tmp_path_factory.mktemp("linked") / "p").resolve()
    (root / "up").symlink_to(root.parent)
    (root / "leak.txt").symlink_to("/etc/passwd")
    (root / "loop").symlink_to(root / "loop")
    return root


ESCAPES = [
    "../out.txt", "/etc/passwd", "leak.txt", "up/out.txt", "in.txt/../../out.txt", "~/x", "loop", "loop/x",
    "~root/x", "../p-beside/near.txt", ".darkroom/server.json", ".darkroom/catalogue.db",
    "./.darkroom/../.darkroom/server.json", "up/p/.darkroom/server.json",
    "deliverables/../../out.txt", "/proc/self/environ", "../nothing", ".DarkRoom/server.json",
    ".darkroom", ".darkroom/bundles-beside",
]  # fmt: skip


INSIDE = ["in.txt", "./in.txt", "own.txt", "up/p/in.txt", ".darkroom/bundles/b-1", "."]


def test_a_program_does_not_get_out_of_the_project(folder: Path, trial: None) -> None:
    with desk(folder) as found:
        ask = client(found)
        for path in ESCAPES:
            for body in ({"files": [path]}, {"plan": {"folder": path}}, {"plan": {"several": {"a": path}}}):
                answer = ask.post("/api/trial/open", json=body)
                assert (answer.status_code, shape(answer)["id"]) == (403, "request.path"), body


def test_a_program_names_what_lies_inside(folder: Path, trial: None) -> None:
    with desk(folder) as found:
        ask = client(found)
        for path in INSIDE:
            answer = ask.post("/api/trial/open", json={"files": [path]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["paths"] == [f"{(folder / path).resolve()}!"]


def test_an_error_names_a_path_as_it_was_sent(folder: Path, trial: None) -> None:
    with desk(folder) as found:
        answer = client(found).post("/api/trial/open", json={"files": ["absent.txt"]})
    assert (answer.status_code, shape(answer)["error"]) == (404, "No file absent.txt.")


def test_a_setting_allows_more_folders(folder: Path, trial: None) -> None:
    with desk(folder, server_roots=str(folder.parent / "p-beside")) as found:
        ask = client(found)
        near = str(folder.parent / "p-beside" / "near.txt")
        assert ask.post("/api/trial/open", json={"files": [near, "in.txt"]}).status_code == 200
        answer = ask.post("/api/trial/open", json={"files": [str(folder.parent / "out.txt")]})
        assert answer.status_code == 403


def test_the_shell_names_any_file(folder: Path, trial: None) -> None:
    body = {"files": [str(folder.parent / "out.txt")], "own": str(folder / "in.txt")}
    with desk(folder) as found:
        assert client(found, shell=True).post("/api/trial/open", json=body).status_code == 200
        assert client(found).post("/api/trial/open", json=body).status_code == 403


@pytest.mark.parametrize("body", [{"own": "in.txt"}, {"plan": {"code": "in.txt"}}])
def test_code_needs_the_admins_setting(folder: Path, trial: None, body: dict[str, object]) -> None:
    with desk(folder) as found:
        answer = client(found).post("/api/trial/open", json=body)
        assert (answer.status_code, shape(answer)["id"]) == (403, "request.no-code")
    with desk(folder, server_user_code=True) as found:
        assert client(found).post("/api/trial/open", json=body).status_code == 200
        escaping = {"own": "../out.txt"}
        assert client(found).post("/api/trial/open", json=escaping).status_code == 403


def test_a_path_that_cannot_be_is_refused_before_the_disk_is_asked(folder: Path, trial: None) -> None:
    with desk(folder) as found:
        ask = client(found)
        for path in ("\0", "a\0b", "x" * 256, "x/" * 3000, "\ud800"):
            body = json.dumps({"files": [path]})
            answer = ask.post("/api/trial/open", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 422
            shape(answer)


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "up", "p", "in.txt", "leak.txt", "/", "~", "x", "", "loop"]), max_size=8
    )
)
def test_no_path_made_of_pieces_leads_out(linked: Path, parts: list[str]) -> None:
    try:
        found = safe_join((linked,), Path("/".join(parts)), key="files")
    except Forbidden:
        return
    assert found.is_relative_to(linked)
    assert found == found.resolve()
