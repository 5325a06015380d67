"""Studies without trainings, for tests of what is proposed, reported and told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from darkroom.records import Contract, now
from darkroom.training import Recipe
from darkroom.tuning.budget import Budget
from darkroom.tuning.space import Given, read_space
from darkroom.tuning.span import Span
from darkroom.tuning.study import Study, make_study
from darkroom.tuning.trial import StudyPlan
from tests.tree import OFFLINE, PACKAGE

CONTRACT = Contract(width_px=16, height_px=16, colour="grey")
TRAIN_COUNT = 200


def plan_of(space: dict[str, str] | None = None, recipe: Recipe | None = None, **facts: Any) -> StudyPlan:
    """Returns the plan of a study; the space as it is typed in the shell."""
    recipe = recipe or Recipe(epochs=8)
    spans = {name: Span.model_validate(text) for name, text in (space or {}).items()}
    given: dict[str, Any] = {
        "id": "s-1",
        "key": "",
        "dataset": "digits@1",
        "recipe": recipe.model_dump(mode="json"),
        "variables": read_space(spans, Given(recipe, CONTRACT, TRAIN_COUNT)),
        "metric": "val.accuracy",
        "aims": ("metric",),
        "prune": "none",
        "seed": 0,
        "created_at": now(),
    }
    return StudyPlan(**{**given, **facts})


def study_in(folder: Path, plan: StudyPlan, session: str = "first") -> Study:
    """Makes a study and opens it."""
    make_study(folder / plan.id, plan, CONTRACT)
    return Study(folder / plan.id, session)


def trials(count: int) -> Budget:
    """Returns a budget of so many trials."""
    return Budget.of(count, None, until_brief=False)


def child_environment() -> dict[str, str]:
    """Returns the environment of a child process that runs the code under test, off the network."""
    return {**os.environ, "PYTHONPATH": f"{OFFLINE}{os.pathsep}{PACKAGE.parent}"}
