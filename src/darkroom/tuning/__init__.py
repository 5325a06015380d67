"""Search recipes and networks: a space with bounds, trials that are asked for and told of, what came out.

Optuna proposes and is told, and nothing else; what a trial does is decided elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from darkroom.tuning.span import Span

if TYPE_CHECKING:
    from darkroom.tuning.budget import Budget
    from darkroom.tuning.study import Study
    from darkroom.tuning.trial import StudyPlan, Trial, Variable

__all__ = ["Budget", "Span", "Study", "StudyPlan", "Trial", "Variable"]

_WHERE = {"Budget": "budget", "Study": "study", "StudyPlan": "trial", "Trial": "trial", "Variable": "trial"}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
