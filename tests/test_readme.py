"""What the README tells a person to type works, in the order it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tree import ROOT
from tests.walkthrough import commands, put_photos, run_in_order

README = ROOT / "README.md"
SETS_UP = re.compile(r"make (demo|test)\b")
"""The two commands that make an environment; they are run by hand and by .ci/run."""


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


@pytest.mark.parametrize(
    "wrong",
    [
        "false",
        "ls nowhere | cat",
        "darkroom-that-is-not-there",
        *commands("```python\nassert 1 > 2\n```\n"),
    ],
)
def test_a_command_that_fails_is_noticed(wrong: str, tmp_path: Path) -> None:
    run = run_in_order(["mkdir box && cd box", wrong, "touch reached"], tmp_path)
    assert run.returncode != 0
    assert run.stdout.rpartition("$ ")[2].startswith(wrong)
    assert not (tmp_path / "box" / "reached").exists()


def test_every_page_that_the_readme_names_exists() -> None:
    named = re.findall(r"\]\(([^):]+)\)", README.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
