"""Folders of pictures as they come: what is wrong in them is set aside and listed, and the rest goes on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from darkroom.cli import main
from darkroom.sources import scan_folder
from tests.datasets.projects import add, classes, project
from tests.formats.pictures import png
from tests.images import kinds
from tests.tree import ROOT

NOBODY = 65534

CLASSES = (
    "with space",
    "with.dot",
    "🦊",
    "שועל",
    "a" * 200,
    "1,2",
    "=cmd()",
    "<b>",
    "-x",
    "%s",
    "{x}",
    "new\nline",
)

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "cut.jpg": (kinds.encoded(kinds.slope(90, 70), "JPEG")[:700], "image.broken"),
    "text.png": (b"This is a text.\n" * 20, "image.not-a-picture"),
    "empty.png": (b"", "image.empty"),
    "page.jpg": (b"<!DOCTYPE html><html>404</html>", "image.not-a-picture"),
}
"""What lies in the folder, and why it is set aside."""


def bomb() -> bytes:
    """A PNG of 30,000×30,000 pixels, whole, in 0.1 MB."""
    head = kinds.chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)))
    return b"\x89PNG\r\n\x1a\n" + head + kinds.chunk(b"IDAT", rows) + kinds.chunk(b"IEND", b"")


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


def darkroom(folder: Path, *words: str) -> Said:
    """Types a command in a folder; it runs in this process, which is quicker."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return Said(code, out.getvalue(), err.getvalue())


def test_bad_files_are_set_aside_listed_and_handed_over(tmp_path: Path) -> None:
    folder = classes(tmp_path / "pictures", {"cat": 6, "dog": 6})
    for name, (content, _) in BAD_FILES.items():
        (folder / "cat" / name).write_bytes(content)
    (folder / "dog" / "bomb.png").write_bytes(bomb())
    (folder / "dog" / "loop").symlink_to("loop")
    (folder / "dog" / "around").symlink_to(folder)
    (folder / os.fsdecode(b"n\xff.png")).write_bytes(png(3))
    (folder / "dog" / "new\nline.png").write_bytes(png(90))
    assert darkroom(tmp_path, "init", "p", "--images", "pictures").code == 0
    done = darkroom(tmp_path / "p", "run", "--until", "collect")
    assert done.code == 0, done.err
    listed = darkroom(tmp_path / "p", "source", "quarantine", "--json")
    rows = {row[1]: row for row in json.loads(listed.out)["rows"]}
    expected = {f"cat/{name}" for name in BAD_FILES}
    expected |= {"dog/bomb.png", "dog/loop", "dog/around", "n\\udcff.png"}
    assert rows.keys() == expected
    table = (tmp_path / "p" / "deliverables" / "03-raw" / "s-1" / "set-aside.csv").read_text()
    assert all(path in table for path in expected)
    assert "30,000" in " ".join(rows["dog/bomb.png"]) or "900,000,000" in " ".join(rows["dog/bomb.png"])


def test_reasons_say_what_is_wrong_with_each_file(tmp_path: Path) -> None:
    folder = classes(tmp_path / "pictures", {"cat": 1})
    for name, (content, _) in BAD_FILES.items():
        (folder / "cat" / name).write_bytes(content)
    workspace = project(tmp_path)
    source = add(workspace, "pictures")
    scan_folder(workspace, source)
    found = {one.path: one.reason for one in workspace.catalogue.quarantine.of_source(source.id)}
    assert found == {f"cat/{name}": reason for name, (_, reason) in BAD_FILES.items()}


def test_what_this_user_may_not_read_is_set_aside(tmp_path: Path) -> None:
    folder = classes(tmp_path / "pictures", {"cat": 2, "dog": 2})
    (folder / "cat" / "1.png").chmod(0)
    (folder / "locked").mkdir()
    (folder / "locked" / "a.png").write_bytes(png(50))
    (folder / "locked").chmod(0)
    try:
        done = as_ordinary_user(tmp_path)
    finally:
        (folder / "locked").chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "images": 3,
        "aside": {"cat/1.png": "file.unreadable", "locked/": "folder.unreadable"},
    }


SCAN = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from darkroom.sources import scan_folder
from tests.datasets.projects import add, project

def scan(place):
    workspace = project(Path(place))
    source = add(workspace, "../pictures")
    scan_folder(workspace, source)
    aside = {{one.path: one.reason for one in workspace.catalogue.quarantine.of_source(source.id)}}
    images = workspace.catalogue.images.count()
    workspace.close()
    return json.dumps({{"images": images, "aside": aside}})

if os.geteuid() == 0:
    scan("as-root")  # loads all that Darkroom is made of, which others may not be allowed to read
    os.setgroups([])
    os.setgid({nobody})
    os.setuid({nobody})
print(scan("project"))
"""


def as_ordinary_user(folder: Path) -> subprocess.CompletedProcess[str]:
    """Scans pictures as a user without an administrator's rights: as nobody, where this is one."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    code = SCAN.format(root=str(ROOT), nobody=NOBODY)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_classes_of_any_name_go_through_to_a_frozen_dataset(tmp_path: Path) -> None:
    classes(tmp_path / "pictures", dict.fromkeys(CLASSES, 5))
    assert darkroom(tmp_path, "init", "p", "--images", "pictures").code == 0
    done = darkroom(tmp_path / "p", "run", "--until", "prepare")
    assert done.code == 0, done.err
    shown = json.loads(darkroom(tmp_path / "p", "dataset", "show", "p", "--json").out)
    assert set(CLASSES) <= set(json.dumps(shown, ensure_ascii=False).replace("\\n", "\n").split('"'))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "No picture"),
        ({"cat": 5}, "one class only"),
        ({"cat": 1, "dog": 1}, "one picture per class"),
    ],
    ids=["empty folder", "one class", "one picture per class"],
)
def test_too_little_to_learn_from_is_said(tmp_path: Path, counts: dict[str, int], said: str) -> None:
    classes(tmp_path / "pictures", counts).mkdir(exist_ok=True)
    made = darkroom(tmp_path, "init", "p", "--images", "pictures")
    done = made if made.code else darkroom(tmp_path / "p", "run", "--until", "prepare")
    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "p" / "deliverables" / "04-dataset").exists()


@pytest.mark.parametrize(
    "table",
    [
        "image,label\n{rows}",
        "\ufeffimage;label\r\n{semicolons}",
        "image,label," + ",".join(f"c{number}" for number in range(20_000)) + "\n",
        "image,label\n" + "x.png,cat\n" * 1000,
    ],
    ids=["plain", "BOM, semicolons and CRLF", "20,000 columns", "pictures that are not there"],
)
def test_tables_of_every_make_are_read_or_refused_in_words(tmp_path: Path, table: str) -> None:
    folder = classes(tmp_path / "pictures", {"x": 3})
    rows = "\n".join(f"x/{number}.png,cat" for number in range(3))
    text = table.format(rows=rows, semicolons=rows.replace(",", ";").replace("\n", "\r\n"))
    (folder / "annotations.csv").write_bytes(text.encode())
    assert darkroom(tmp_path, "init", "p", "--images", "pictures", "--format", "csv").code in {0, 2}
    workspace = project(tmp_path / "q")
    source = add(workspace, "../pictures", "csv")
    if "{" in table:
        assert scan_folder(workspace, source).new == 3
    else:
        done = darkroom(tmp_path / "q", "source", "add", "../pictures", "--format", "csv")
        assert done.code == 2, done.out + done.err
        assert "No picture" in done.err
