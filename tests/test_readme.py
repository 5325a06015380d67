"""What the README tells a person to type works, in the order it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.tree import ROOT

README = ROOT / "README.md"
SETS_UP = re.compile(r"make (demo|test)\b")
"""The two commands that make an environment; they are run by hand and by .ci/run."""

CLASS_NAMES = ("zero", "one", "two")
PICTURES_PER_CLASS = 40


def commands(page: str) -> list[str]:
    """Returns the commands of a page's console blocks: lines after "$ ", with their continuations."""
    found: list[str] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        found += re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)
    return found


def put_photos(folder: Path) -> None:
    """Writes a folder of class pictures, as a person would have it."""
    digits = load_digits()
    for label, name in enumerate(CLASS_NAMES):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == label][:PICTURES_PER_CLASS]):
            picture = Image.fromarray((pixels * 15.9375).astype("uint8")).resize((32, 32))
            picture.save(folder / name / f"{number:03}.png")


def run_in_order(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs commands in one shell, as one person at one terminal would; stops at the first that fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    shown = "".join(f"echo {_quoted(f'$ {line}')}\n{line}\n" for line in lines)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shown],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=550,
        check=False,
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    lines = [line for line in commands(README.read_text(encoding="utf-8")) if not SETS_UP.match(line)]
    assert any(line.startswith("darkroom run") for line in lines)
    put_photos(tmp_path / "photos")
    run = run_in_order(lines, tmp_path)
    assert run.returncode == 0, run.stdout[-4000:]


def test_the_readme_opens_with_the_two_commands_that_set_up() -> None:
    first, second, *_ = commands(README.read_text(encoding="utf-8"))
    assert (SETS_UP.match(first), SETS_UP.match(second)) != (None, None)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"demo", "test", "test-full", "check", "docs", "serve"} <= set(targets)


@pytest.mark.parametrize("wrong", ["false", "ls nowhere | cat", "darkroom-that-is-not-there"])
def test_a_command_that_fails_is_noticed(wrong: str, tmp_path: Path) -> None:
    run = run_in_order(["mkdir box && cd box", wrong, "touch reached"], tmp_path)
    assert run.returncode != 0
    assert run.stdout.rpartition("$ ")[2].startswith(wrong)
    assert not (tmp_path / "box" / "reached").exists()


def test_every_page_that_the_readme_names_exists() -> None:
    named = re.findall(r"`((?:docs/|[A-Z]+\.)[\w/.-]*)`", README.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
