"""The lessons work: five notebooks, executed in order in one folder on a few photos of flowers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT

LESSONS = sorted((ROOT / "docs" / "lessons").glob("*.ipynb"))
PER_CLASS = 16
WEIGHTS = "mobilenetv2_035.keras_in1k_features"
NOTES = """\
network = "mobilenetv2_035"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
input_px = 96
padding = "same"
"""
"""The network takes pictures of any size; 96 px is a fifth of the work of its 224."""

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

for name in sys.argv[1:]:
    book = nbformat.read(name, 4)
    here = {"metadata": {"path": "."}}
    NotebookClient(book, kernel_name="python3", timeout=550, resources=here).execute()
    nbformat.write(book, name)
"""
"""In a process of its own: Jupyter's warnings are not ours."""


def cells(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_five_lessons() -> None:
    names = [path.stem.partition("-")[2] for path in LESSONS]
    assert names == ["look", "train", "doubt", "improve", "ship"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_kept_without_what_it_once_gave(path: Path) -> None:
    given = [cell for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"]]
    assert [source(cell) for cell in given] == []
    assert all(set(cell["metadata"]) == set() for cell in cells(path, "code"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_begins_with_a_heading_and_ends_with_what_to_take_along(path: Path) -> None:
    texts = [source(cell) for cell in cells(path, "markdown")]
    assert texts[0].startswith("# ")
    assert texts[-1].startswith("**What to take along.**")


@pytest.fixture(scope="module")
def executed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all lessons were worked through."""
    desk = tmp_path_factory.mktemp("desk")
    for folder in sorted((shared_data / "flowers").iterdir()):
        (desk / "flowers" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:PER_CLASS]:
            shutil.copy(photo, desk / "flowers" / folder.name)
    weights = desk / "lesson" / "weights"
    weights.mkdir(parents=True)
    shutil.copy(shared_data / "weights" / f"{WEIGHTS}.safetensors", weights)
    (weights / f"{WEIGHTS}.toml").write_text(NOTES)
    for path in LESSONS:
        shutil.copy(path, desk)
    names = [path.name for path in LESSONS]
    quietly = {**os.environ, "DARKROOM_THREADS": "1", "DARKROOM_WORKERS": "1"}
    command = [sys.executable, "-c", EXECUTE, *names]
    run = subprocess.run(command, cwd=desk, env=quietly, capture_output=True, text=True, check=False)
    assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
    return desk


@pytest.mark.slow
def test_the_lessons_end_with_a_bundle_that_was_proven(executed: Path) -> None:
    assert (executed / "lesson/deliverables/09-mobile/bundle/bundle.json").is_file()


@pytest.mark.slow
def test_results_in_the_lessons_are_shown_as_pages_show_them(executed: Path) -> None:
    shown = [
        data["text/html"]
        for path in sorted(executed.glob("*.ipynb"))
        for cell in cells(path, "code")
        for output in cell["outputs"]
        if "text/html" in (data := output.get("data", {}))
    ]
    html = ["".join(one) for one in shown]
    assert len(html) >= 15
    assert all('class="darkroom-shown"' in one and "<script" not in one for one in html)
    assert sum("<svg" in one for one in html) >= 4  # histogram, curves, confusion
    assert sum("data:image/" in one for one in html) >= 3  # examples, mistakes, what only one run answers
