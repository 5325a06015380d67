"""What the pages of the guide tell a person to type works, on one project that the first page makes."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from darkroom.operation import find_operation
from darkroom.records import StageEntry
from tests.tree import ROOT
from tests.walkthrough import commands, put_photos, run_in_order

GUIDE = ROOT / "docs" / "guide"
FIRST = GUIDE / "first-project.md"
OTHERS = sorted(path for path in GUIDE.glob("*.md") if path != FIRST)
EVERY_TIME = {
    "from-digits", "in-an-app", "jobs", "server", "when-something-is-wrong",
}  # fmt: skip
"""Pages worked through by every run of the tests. The others train more, and are left to the full tests."""
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def typed(page: Path) -> list[str]:
    return commands(page.read_text(encoding="utf-8"))


def test_everything_typed_is_found() -> None:
    page = "```console\n$ a \\\n  b\nsaid\n$ c <<'E'\n$ in it\nE\n$ d\n```\n"
    page += "```python\nx = 1\n```\n```toml\n$ no\n```\n"
    assert commands(page) == [
        "a \\\n  b",
        "c <<'E'\n$ in it\nE",
        "d",
        "python - <<'END-OF-PYTHON'\nx = 1\nEND-OF-PYTHON",
    ]


@pytest.fixture(scope="module")
def first_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder in which a person worked through the first page, and what it said."""
    desk = tmp_path_factory.mktemp("desk")
    put_photos(desk / "photos", per_class=30)
    return desk, run_in_order(typed(FIRST), desk)


def test_the_first_page_ends_with_a_bundle(
    first_page: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    desk, run = first_page
    assert run.returncode == 0, run.stdout[-4000:]
    assert (desk / "shoes" / "deliverables" / "09-mobile" / "bundle" / "bundle.json").is_file()


@pytest.mark.parametrize("page", sorted(GUIDE.glob("*.md")), ids=lambda page: page.stem)
def test_the_stages_that_a_page_shows_fit_their_operations(page: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        shown_stages = tomllib.loads(block).get("stage", [])
        for shown in (
            shown_stages if isinstance(shown_stages, list) else []
        ):  # [stage.recipe] is a part of one
            entry = StageEntry.model_validate(shown)
            find_operation(entry.operation).validate(_as_named(dict(entry.request)))


def _as_named(value: object) -> object:
    """Returns the values of a stage with "x" in place of "@x", which a run puts there."""
    if isinstance(value, dict):
        return {name: _as_named(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_named(one) for one in value]
    return value.removeprefix("@") if isinstance(value, str) else value


def shared_out(pages: list[Path]) -> list[object]:
    """Returns the pages as parameters; those not in `EVERY_TIME` are marked slow."""
    return [
        pytest.param(page, id=page.stem, marks=() if page.stem in EVERY_TIME else pytest.mark.slow)
        for page in pages
    ]


def test_every_page_named_for_every_run_exists() -> None:
    assert {page.stem for page in OTHERS} >= EVERY_TIME


@pytest.mark.parametrize("page", shared_out(OTHERS))
def test_everything_on_the_other_pages_works_in_that_project(
    page: Path, first_page: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    desk, first = first_page
    assert first.returncode == 0, "the first page failed"
    run = run_in_order(typed(page), desk / "shoes")
    assert run.returncode == 0, run.stdout[-4000:]


@pytest.mark.parametrize("page", [FIRST, *OTHERS], ids=lambda page: page.stem)
def test_every_page_that_the_guide_links_to_exists(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []
