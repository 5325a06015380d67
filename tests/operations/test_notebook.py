"""What a notebook shows: datasets, runs, evaluations and comparisons as their pages do, and safely."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import darkroom
from tests.operations.clone_projects import CONTRACT, DATASET
from tests.walkthrough import put_photos

RECIPE = {"epochs": 2, "device": "cpu", "threads": 1}
HOSTILE = '<img src=x onerror="alert(1)">'
VOID = {"img", "br", "link", "path", "use", "rect", "input", "hr"}


class Tags(HTMLParser):
    """Collects tags and attributes, and makes sure that what opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources |= {str(value) for name, value in attrs if name in ("src", "href", "xlink:href")}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two runs of one recipe, one of them evaluated; a class has a hostile name."""
    folder = tmp_path_factory.mktemp("notebook")
    put_photos(folder / "photos", per_class=14)
    (folder / "photos" / "two").rename(folder / "photos" / HOSTILE)
    (folder / "p").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_WORKERS", "1")
        darkroom.outside(folder).init(name="p", images=folder / "photos")
        with darkroom.open(folder / "p") as project:
            project.source.add(folder=folder / "photos")
            project.dataset.freeze(dataset="digits", contract=CONTRACT)
            project.model.clone(dataset=DATASET, recipe=RECIPE, times=2, side_by_side="no")
            project.model.evaluate(runs=["r-1", "r-2"], split="val")
    return folder / "p"


def shown(result) -> str:
    html = result._repr_html_()
    found = Tags(html)
    assert html.count('class="darkroom-shown"') == 1
    assert not found.tags & {"script", "iframe", "object", "link", "base", "form"}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert all(source.startswith(("data:image/", "#")) for source in found.sources)
    assert HOSTILE not in html
    return html


def test_a_dataset_shows_its_balance_and_examples(trained: Path) -> None:
    with darkroom.open(trained) as project:
        html = shown(project.dataset.show(dataset=DATASET, pictures="none"))
    assert "Dataset digits@1" in html
    assert "<svg" in html
    assert html.count("data:image/") == 6  # two pictures of each of three classes
    assert "&lt;img src=x" in html


def test_runs_show_their_curves(trained: Path) -> None:
    with darkroom.open(trained) as project:
        clones = shown(project.model.clone(dataset=DATASET, recipe=RECIPE, times=2, side_by_side="no"))
        one = shown(project.model.train(dataset=DATASET, recipe=RECIPE))
    assert "2 clones of lenet5" in clones
    assert "Run r-1" in one
    assert clones.count("<svg") == one.count("<svg") == 2


def test_an_evaluation_shows_figures_with_intervals_and_what_is_mixed_up(trained: Path) -> None:
    with darkroom.open(trained) as project:
        html = shown(project.model.evaluate(runs=["r-1", "r-2"], split="val"))
    for said in ("r-1, r-2 on", "Clones", "Class by class", "What is taken for what", 'class="iv"'):
        assert said in html


def test_a_comparison_shows_verdict_and_the_pictures_that_only_one_answers(trained: Path) -> None:
    with darkroom.open(trained) as project:
        found = project.model.compare(first="r-1", second="r-2", split="val")
        html = shown(found)
    assert found.verdict in html
    assert ("is right</p>" in html) == bool(found.only_first_right or found.only_second_right)


def test_any_other_result_shows_its_lines_and_tables(trained: Path) -> None:
    with darkroom.open(trained) as project:
        html = shown(project.model.list())
    assert "model list" in html
    assert "r-1" in html
    assert "<table>" in html


def test_a_result_is_shown_after_its_project_was_closed_and_after_its_files_are_gone(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "p", symlinks=True)
    with darkroom.open(tmp_path / "p") as project:
        judged = project.model.evaluate(runs=["r-1"], split="val")
    assert "Class by class" in shown(judged)
    for path in (tmp_path / "p/.darkroom/runs/r-1").glob("evaluation-val*"):
        path.unlink()
    assert "accuracy" in shown(judged)


def test_what_draws_a_result_changes_nothing_that_it_says(trained: Path) -> None:
    with darkroom.open(trained) as project:
        first, second = project.model.list(), project.model.list()
    assert first == second
    assert "_drawing" not in first.model_dump_json()
    assert type(first).model_validate_json(first.model_dump_json())._repr_html_() is None


def test_the_frame_knows_light_and_dark(trained: Path) -> None:
    with darkroom.open(trained) as project:
        html = shown(project.model.list())
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for place in ("prefers-color-scheme: dark", 'data-jp-theme-light="false"', ".vscode-dark"):
        assert place in style
    rules = re.findall(r"(?:^|[};])\s*([^{};@]+)\{", style)
    assert [rule for rule in rules if ".darkroom-shown" not in rule] == []
