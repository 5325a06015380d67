"""The page of a search: facts in, one file out, and nothing in it that a name could smuggle."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.documents import tuning_page
from darkroom.documents.tuning_figures import importance_bars, parallel_coordinates, pareto_plot
from darkroom.tuning.trial import Trial
from tests.tuning.studies import plan_of

HOSTILE = "<script>$x$</script>"
PLAN = plan_of(
    {"recipe.learning_rate": "0.001..0.1", "recipe.network": f"lenet5|{HOSTILE}"},
    aims=("metric", "model_bytes"),
    filtered={HOSTILE: "too <large>"},
)


def trial(number: int, state: str = "finished", **facts: Any) -> Trial:
    values = {"recipe.network": HOSTILE, "recipe.learning_rate": 0.01 * (number + 1)}
    figures = {"val.accuracy": 0.9 - 0.1 * number, "model_bytes": 1000.0 - number}
    given = {"number": number, "state": state, "values": values, "run": f"r-{number}"}
    return Trial.model_validate({**given, "figures": figures if state == "finished" else {}, **facts})


TRIALS = [trial(0), trial(1), trial(2, "failed", reason=f"no memory {HOSTILE}"), trial(3, "repeated")]


def page(**facts: Any) -> str:
    given: dict[str, Any] = {
        "project": HOSTILE,
        "plan": PLAN,
        "trials": TRIALS,
        "chosen": TRIALS[1],
        "best": "best",
        "choice": "chosen",
        "comparison": "no difference shown",
        "verdict": "no difference shown",
        "clones": (("chosen", "r-5", "1", "0.9"),),
        "recipe": f'network = "{HOSTILE}"',
        "front": TRIALS[:2],
        "importance": {"recipe.learning_rate": 0.7, "recipe.network": 0.3},
    }
    return tuning_page(**{**given, **facts}).decode()


def test_names_stay_names() -> None:
    made = page()
    assert "<script" not in made
    assert "&lt;script&gt;" in made


def test_every_trial_but_the_repeated_ones_has_its_row_and_each_aim_its_front() -> None:
    made = page()
    assert made.count('<th scope="row" class="n">') == 3
    assert made.count("<svg") == 4
    assert "no memory" in made
    assert "Left out before any trial" in made


def test_two_trials_make_figures_and_one_makes_none() -> None:
    assert "<svg" not in page(trials=TRIALS[:1])


@pytest.mark.parametrize("form", ["svg", "png"])
def test_figures_are_drawn_in_both_forms(form: Any) -> None:
    start = b"<svg" if form == "svg" else b"\x89PNG"
    assert parallel_coordinates(PLAN, TRIALS, form=form).startswith(start)
    assert pareto_plot(PLAN, TRIALS, TRIALS[:2], "model_bytes", form=form).startswith(start)
    assert importance_bars({HOSTILE: 1.0}, form=form).startswith(start)
