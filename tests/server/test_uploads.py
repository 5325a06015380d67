"""A file that was sent is kept under an id nobody guesses, in bounds, for a day."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from darkroom.server.app import Desk
from tests.server.apps import client, desk, project, shape

NOBODY = 2**22 + 1
"""No process has this number."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Desk]:
    with desk(project(tmp_path)) as found:
        yield found


def kept(opened: Desk) -> list[Path]:
    return sorted(opened.workspace.uploads_folder.glob("*"))


def test_an_upload_is_kept_whole_and_named_by_its_id(opened: Desk) -> None:
    data = bytes(range(256)) * 300
    answer = client(opened).post("/api/uploads", params={"name": "photo 1.png"}, content=data)
    assert answer.status_code == 201
    said = answer.json()
    assert (said["name"], said["size_bytes"]) == ("photo 1.png", len(data))
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert opened.uploads.path(said["upload"]).read_bytes() == data


def test_a_request_names_an_upload_in_place_of_a_path(opened: Desk, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    ask = client(opened)
    sent = ask.post("/api/uploads", params={"name": "a.png"}, content=(tmp_path / "a.png").read_bytes())
    answer = ask.post("/api/predict", json={"images": [sent.json()["upload"]]})
    assert shape(answer)["id"] == "predict.no-model"
    answer = ask.post("/api/export/inspect", json={"bundle": sent.json()["upload"]})
    assert sent.json()["upload"] in shape(answer)["error"]


@pytest.mark.parametrize(
    "name", ["../x.png", "a/b.png", "a\\b.png", ".hidden", "..", "", "x" * 121, "a\nb", "a\0b", "é" * 121]
)
def test_a_name_that_is_more_than_a_name_is_refused(opened: Desk, name: str) -> None:
    answer = client(opened).post("/api/uploads", params={"name": name}, content=b"x")
    assert answer.status_code == 422
    shape(answer)
    assert kept(opened) == []


@pytest.mark.parametrize("id", ["", "x", "../../darkroom.toml", "0" * 32, "0" * 31 + "/", ".", "A" * 32])
def test_an_id_that_nobody_was_given_opens_nothing(opened: Desk, id: str) -> None:
    answer = client(opened).post("/api/predict", json={"images": [f"upload:{id}"]})
    assert answer.status_code == 404
    assert shape(answer)["id"] == "upload.unknown"


def test_what_is_too_large_empty_or_broken_off_leaves_nothing(opened: Desk) -> None:
    ask = client(opened)
    for content in (b"x" * 100_001, iter([b"x" * 60_000] * 2), b""):
        answer = ask.post("/api/uploads", params={"name": "a.png"}, content=content)
        assert answer.status_code in (413, 422)
        shape(answer)
    assert kept(opened) == []
    assert ask.post("/api/uploads", params={"name": "a.png"}, content=b"x" * 100_000).status_code == 201


def test_all_uploads_together_are_bounded(tmp_path: Path) -> None:
    with desk(project(tmp_path), upload_bytes=150_000) as found:
        ask = client(found)
        first = ask.post("/api/uploads", params={"name": "a.png"}, content=b"x" * 90_000)
        assert first.status_code == 201
        full = ask.post("/api/uploads", params={"name": "a.png"}, content=b"x" * 90_000)
        assert (full.status_code, shape(full)["id"]) == (507, "upload.full")
        assert len(kept(found)) == 1
        assert ask.post("/api/uploads", params={"name": "a.png"}, content=b"x" * 60_000).status_code == 201


def test_uploads_go_after_a_day_and_what_was_broken_off_at_once(opened: Desk) -> None:
    ask = client(opened)
    old, young = (
        ask.post("/api/uploads", params={"name": "a.png"}, content=b"x").json()["upload"] for _ in range(2)
    )
    a_day_ago = time.time() - 90_000
    os.utime(opened.uploads.path(old).parent, (a_day_ago, a_day_ago))
    (opened.workspace.uploads_folder / f".aside-{NOBODY}-left").mkdir()
    opened.uploads.sweep()
    assert [path.name for path in kept(opened)] == [young.removeprefix("upload:")]
