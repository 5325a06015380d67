"""The pages of clones and of the run table: facts in, one file out, and names stay names."""

from __future__ import annotations

import pytest

from darkroom.documents import ShownRun, clones_page, runs_page
from darkroom.documents.clone_figures import Strip, strips
from darkroom.evaluation import CloneSpread, EnsembleGain
from darkroom.records import Interval
from darkroom.statistics import spread
from tests.documents.pages import HOSTILE
from tests.documents.test_pages import TAGS, Page

GAIN = Interval(value=0.02, low=0.004, high=0.04)
FOUND = CloneSpread(
    runs=(HOSTILE, "r-2", "r-3"),
    split="test",
    images=480,
    figure="accuracy",
    figures={"accuracy": spread([0.94, 0.97, 0.95]), "macro_f1": spread([0.93, 0.96, 0.94])},
    stress={name: {"accuracy": spread([0.5, 0.9, 0.7])} for name in ("shift", "blur", "recoloured")},
    churn=0.061,
    ensemble=EnsembleGain(figure="accuracy", value=0.973, mean=0.953, gain=GAIN, verdict="better"),
)


def clones(**changes) -> Page:
    facts = {"project": HOSTILE, "dataset": HOSTILE, "found": FOUND, "remarks": (HOSTILE,), **changes}
    return looked_at(clones_page(**facts))


def runs(rows, **changes) -> Page:
    facts = {"project": HOSTILE, "parameters": ("recipe.network",), "columns": ("val.accuracy",), **changes}
    return looked_at(runs_page(rows=rows, **facts))


def looked_at(made: bytes) -> Page:
    page = Page(made.decode())
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= TAGS
    assert HOSTILE in page.words
    assert len(page.of("h1")) == 1
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.of("th"))
    assert all(attributes.get("aria-label") for attributes in page.of("svg"))
    assert made.count(b"#c2412d") == 0  # the page's own colours, in light and in dark
    return page


def row(name: str, value: float | None, **facts) -> ShownRun:
    figure = (
        None
        if value is None
        else Interval(value=value, low=round(value - 0.02, 4), high=round(value + 0.02, 4))
    )
    return ShownRun(
        name, facts.get("state", "finished"), (HOSTILE,), (figure,), facts.get("tags", ()), HOSTILE
    )


def test_the_page_of_clones_shows_spread_stress_churn_and_ensemble() -> None:
    page = clones()
    for words in (
        "95.3",
        "from 94",
        "to 97",
        "6.1",
        "97.3",
        "+2.0",
        "better",
        "moved right and down by 1/8",
    ):
        assert words in page.words, words
    assert len(page.of("svg")) == 1
    assert "red, green and blue" in page.words
    assert "paler" in clones(channels=1).words


def test_without_stress_and_ensemble_the_page_has_no_empty_parts() -> None:
    page = clones(found=FOUND.model_copy(update={"stress": {}, "ensemble": None, "churn": None}))
    for words in ("Under stress", "Ensemble", "Churn"):
        assert words not in page.words


def test_the_page_of_runs_shows_each_row_and_draws_the_first_figure() -> None:
    page = runs([row("r-1", 0.9), row("r-2 + 3", 0.95, tags=("best",)), row("r-9", None, state="failed")])
    assert len(page.of("svg")) == 1
    for words in ("0.950", "0.930 to 0.970", "failed", "best"):
        assert words in page.words, words


def test_runs_without_a_figure_are_no_drawing() -> None:
    assert runs([row("r-1", None)]).of("svg") == []


@pytest.mark.parametrize("count", [1, 12])
def test_strips_hold_a_dot_per_clone_and_names_are_text(count: int) -> None:
    rows = [Strip(f"$x_{place}$ {HOSTILE}", (0.1, 0.2, 0.3), 0.2, 0.15, 0.25) for place in range(count)]
    drawn = strips(rows, title=HOSTILE, x_title="accuracy").decode()
    assert "<script" not in drawn
    assert "$x_0$" in drawn
    assert drawn.count("var(--accent)") >= count
