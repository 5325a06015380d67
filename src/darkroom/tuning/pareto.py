"""The Pareto front: trials that no other one equals or beats in every aim."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.tuning.trial import SMALLER_IS_BETTER, StudyPlan, Trial

__all__ = ["best_first", "figure_of", "is_better", "pareto_front"]


def figure_of(plan: StudyPlan, trial: Trial, aim: str) -> float:
    """Returns a finished trial's figure of one aim."""
    return trial.figures[plan.metric if aim == "metric" else aim]


def is_better(plan: StudyPlan, aim: str, first: float, second: float) -> bool:
    """Says whether one figure of an aim is better than another."""
    small = (plan.metric if aim == "metric" else aim) in SMALLER_IS_BETTER
    return first < second if small else first > second


def best_first(plan: StudyPlan, trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials by the metric; of equal ones the smaller loss, then the earlier trial."""

    def rank(trial: Trial) -> tuple[float, float, int]:
        figure = figure_of(plan, trial, "metric")
        sign = 1 if plan.metric in SMALLER_IS_BETTER else -1
        return sign * figure, trial.figures.get("val.loss", float("inf")), trial.number

    return sorted((one for one in trials if one.state == "finished"), key=rank)


def pareto_front(plan: StudyPlan, trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials that no other one beats, the best by the metric first."""
    ranked = best_first(plan, trials)
    return [
        one for one in ranked if not any(_beats(plan, other, one) for other in ranked if other is not one)
    ]


def _beats(plan: StudyPlan, first: Trial, second: Trial) -> bool:
    """Says whether one trial is as good in every aim and better in one; of equal ones the earlier beats."""
    pairs = [(aim, figure_of(plan, first, aim), figure_of(plan, second, aim)) for aim in plan.aims]
    if any(is_better(plan, aim, theirs, mine) for aim, mine, theirs in pairs):
        return False
    return any(mine != theirs for _, mine, theirs in pairs) or first.number < second.number
