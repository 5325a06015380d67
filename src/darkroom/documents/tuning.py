"""The page of a search: what was found and how sure that is, then every trial and what decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.documents.page import html, inline
from darkroom.records import Gate
from darkroom.tuning.trial import StudyPlan, Trial
from darkroom.tuning.words import spoken_count, spoken_figure, spoken_values

__all__ = ["tuning_page"]

MOST_LINES = 2
"""Fewer finished trials make no figure."""


def tuning_page(
    *,
    project: str,
    plan: StudyPlan,
    trials: Sequence[Trial],
    chosen: Trial,
    best: str,
    choice: str,
    comparison: str,
    verdict: str,
    clones: Sequence[tuple[str, ...]],
    recipe: str,
    answer: str = "",
    front: Sequence[Trial] = (),
    importance: Mapping[str, float] | None = None,
    gates: Sequence[Gate] = (),
    pictures: int = 0,
) -> bytes:
    """Returns the page of a study.

    Args:
        project: name of the project.
        plan: what was asked for.
        trials: all of them.
        chosen: the trial whose recipe goes on.
        best: the best trial in words.
        choice: which trial was chosen and why, in words.
        comparison: what the clones show, in words.
        verdict: the same in a word.
        clones: recipe, run, seed and metric of each clone.
        recipe: the chosen recipe as TOML.
        answer: whether the brief was reached, in words.
        front: with several aims, the trials that no other one beats.
        importance: share of each variable.
        gates: the limits on quality, held against the chosen clones.
        pictures: of the val split.
    """
    return html(
        "tuning",
        project=project,
        plan=plan,
        count=spoken_count(trials),
        rows=[_row(plan, one, pictures, chosen) for one in trials if one.state != "repeated"],
        chosen=chosen,
        best=best,
        choice=choice,
        comparison=comparison,
        verdict=verdict,
        clones=clones,
        recipe=recipe,
        answer=answer,
        figures=list(_figures(plan, trials, front, importance or {})),
        gates=gates,
    )


def _row(plan: StudyPlan, trial: Trial, pictures: int, chosen: Trial) -> dict[str, Any]:
    took = (trial.ended_at - trial.began_at).total_seconds() if trial.ended_at and trial.began_at else None
    return {
        "trial": trial,
        "figure": spoken_figure(plan, trial, pictures),
        "others": [(aim, trial.figures.get(aim)) for aim in plan.aims[1:]],
        "values": spoken_values(trial.values),
        "took_s": took,
        "chosen": trial.number == chosen.number,
    }


def _figures(
    plan: StudyPlan, trials: Sequence[Trial], front: Sequence[Trial], importance: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yields the drawings, each with words below."""
    from darkroom.documents import tuning_figures as figures

    if sum(one.state == "finished" for one in trials) < MOST_LINES:
        return
    yield {
        "drawing": inline(figures.best_so_far(plan, trials)),
        "words": "Each finished trial, and the best so far.",
    }
    if importance:
        yield {
            "drawing": inline(figures.importance_bars(importance)),
            "words": "What sets the best trials apart (PED-ANOVA), in this space and among these trials.",
        }
    yield {
        "drawing": inline(figures.parallel_coordinates(plan, trials)),
        "words": "Each line is a finished trial; the best fifth stands out.",
    }
    for aim in plan.aims[1:]:
        yield {
            "drawing": inline(figures.pareto_plot(plan, trials, front, aim)),
            "words": f"No other trial is ahead of those on the line in {plan.metric} and all other aims.",
        }
