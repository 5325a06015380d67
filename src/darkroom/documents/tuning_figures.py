"""Figures of a search: best so far, importance, parallel coordinates, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from darkroom.documents.figures import PALETTE, Form, _canvas, _drawn
from darkroom.tuning.pareto import best_first, is_better
from darkroom.tuning.trial import StudyPlan, Trial, Value, Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["best_so_far", "importance_bars", "parallel_coordinates", "pareto_plot"]

BEST_SHARE = 0.2
"""The best fifth of the trials stands out among parallel coordinates."""


def best_so_far(plan: StudyPlan, trials: Sequence[Trial], *, form: Form = "svg") -> bytes:
    """Returns the metric of each finished trial as a dot, and the best so far as a line."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(6.4, 2.8)
    known = [(one.number, one.figures[plan.metric]) for one in trials if one.state == "finished"]
    numbers, values = [number for number, _ in known], [value for _, value in known]
    axes.plot(numbers, values, "o", color=PALETTE["soft"], markersize=4.5, alpha=0.8)
    best = list(_running(plan, values))
    axes.plot(numbers, best, color=PALETTE["accent"], linewidth=1.8, drawstyle="steps-post")
    axes.set_xlabel("trial")
    axes.set_ylabel(plan.metric)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.margins(x=0.02)
    axes.grid(axis="y", color=PALETTE["rule"], alpha=0.25, linewidth=0.7)
    return _drawn(figure, form, f"{plan.metric} of each trial, and the best so far")


def importance_bars(importance: Mapping[str, float], *, form: Form = "svg") -> bytes:
    """Returns a bar for each variable, the most important on top."""
    names = list(importance)[::-1]
    figure, axes = _canvas(6.4, 0.7 + 0.32 * len(names))
    axes.barh(range(len(names)), [importance[name] for name in names], color=PALETTE["cool"], height=0.62)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([_short(name) for name in names], parse_math=False)
    axes.set_xlabel("share of what decides about the best trials")
    return _drawn(figure, form, "Importance of each variable")


def parallel_coordinates(plan: StudyPlan, trials: Sequence[Trial], *, form: Form = "svg") -> bytes:
    """Returns a line for each finished trial, an axis for each variable; the best trials stand out."""
    ranked = best_first(plan, trials)
    variables = [one for one in plan.variables if any(one.name in trial.values for trial in ranked)]
    figure, axes = _canvas(max(5.0, 1.35 * (len(variables) + 1)), 3.2)
    metrics = [trial.figures[plan.metric] for trial in ranked]
    scales = [_scale(one, [trial.values.get(one.name) for trial in ranked]) for one in variables]
    last = _unit(metrics)
    many = max(1, round(BEST_SHARE * len(ranked)))
    for place in reversed(range(len(ranked))):  # the best are drawn last, on top
        heights = [scale[place] for scale in scales] + [last[place]]
        good = place < many
        axes.plot(
            range(len(heights)),
            heights,
            color=PALETTE["accent" if good else "soft"],
            alpha=0.9 if good else 0.35,
            linewidth=1.6 if good else 1.0,
        )
    _name_axes(axes, [_short(one.name) for one in variables] + [plan.metric])
    ends = [(*_ends(one), one) for one in variables]
    for place, (low, high, _) in enumerate(ends):
        _name_ends(axes, place, low, high)
    _name_ends(axes, len(variables), f"{min(metrics):.3g}", f"{max(metrics):.3g}")
    return _drawn(figure, form, "Values of each trial, and its metric")


def pareto_plot(
    plan: StudyPlan, trials: Sequence[Trial], front: Sequence[Trial], aim: str, *, form: Form = "svg"
) -> bytes:
    """Returns the finished trials by an aim and the metric; those that no other one beats are joined."""
    figure, axes = _canvas(5.0, 3.2)
    ended = [one for one in trials if one.state == "finished"]
    on_front = {one.number for one in front}
    for chosen, family in (
        ([one for one in ended if one.number not in on_front], "soft"),
        (list(front), "accent"),
    ):
        points = [(one.figures[aim], one.figures[plan.metric]) for one in chosen]
        axes.plot([x for x, _ in points], [y for _, y in points], "o", color=PALETTE[family], markersize=5)
    line = sorted((one.figures[aim], one.figures[plan.metric]) for one in front)
    axes.plot([x for x, _ in line], [y for _, y in line], color=PALETTE["accent"], linewidth=1.2, alpha=0.6)
    for one in front:
        axes.annotate(
            str(one.number),
            (one.figures[aim], one.figures[plan.metric]),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
            color=PALETTE["ink"],
        )
    axes.set_xlabel(aim.replace("_", " "))
    axes.set_ylabel(plan.metric)
    axes.grid(color=PALETTE["rule"], alpha=0.2, linewidth=0.7)
    return _drawn(figure, form, f"{plan.metric} against {aim.replace('_', ' ')}")


def _running(plan: StudyPlan, values: Sequence[float]):
    best: float | None = None
    for value in values:
        best = value if best is None or is_better(plan, "metric", value, best) else best
        yield best


def _scale(variable: Variable, values: Sequence[Value | None]) -> list[float]:
    """Returns heights 0..1; NaN where a trial has no such value."""
    if variable.kind == "choice":
        most = max(1, len(variable.choices) - 1)
        return [math.nan if value is None else variable.choices.index(value) / most for value in values]
    low, high = (math.log(end) if variable.log else end for end in (variable.low, variable.high))
    heights = []
    for value in values:
        number = math.nan if value is None else float(value)
        heights.append(((math.log(number) if variable.log else number) - low) / (high - low))
    return heights


def _unit(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [0.5 if high == low else (value - low) / (high - low) for value in values]


def _ends(variable: Variable) -> tuple[str, str]:
    if variable.kind == "choice":
        return str(variable.choices[0]), str(variable.choices[-1])
    return f"{variable.low:.3g}", f"{variable.high:.3g}"


def _name_axes(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)))
    axes.set_xticklabels(names, rotation=20, ha="right", parse_math=False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for place in range(len(names)):
        axes.axvline(place, color=PALETTE["rule"], alpha=0.5, linewidth=0.8)
    axes.set_ylim(-0.12, 1.12)


def _name_ends(axes: Axes, place: int, low: str, high: str) -> None:
    for text, y, side in ((low, -0.02, "top"), (high, 1.02, "bottom")):
        axes.text(
            place,
            y,
            text if len(text) <= 14 else f"{text[:13]}…",
            ha="center",
            va=side,
            fontsize=7.5,
            color=PALETTE["ink"],
            parse_math=False,
        )


def _short(name: str) -> str:
    return name.removeprefix("recipe.")
