"""What came out of a search, in words: the best trial, the choice, and whether the brief was reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from darkroom.records import Gate
from darkroom.records.numbers import counted
from darkroom.statistics import wilson
from darkroom.tuning.budget import Budget, holds_all
from darkroom.tuning.pareto import best_first
from darkroom.tuning.trial import StudyPlan, Trial, Value

__all__ = [
    "brief_answer",
    "spoken_best",
    "spoken_count",
    "spoken_end",
    "spoken_figure",
    "spoken_value",
    "spoken_values",
]


def spoken_count(trials: Sequence[Trial]) -> str:
    """Returns how many trials there are, by what became of them: "9 finished, 3 pruned"."""
    states = [one.state for one in trials if one.state != "repeated"]
    found = [(states.count(state), state) for state in dict.fromkeys(sorted(states))]
    return ", ".join(f"{count} {state}" for count, state in found) or "none"


def spoken_end(trials: Sequence[Trial], budget: Budget) -> str:
    """Returns why the search ended before it had all its trials; empty where it had."""
    count = sum(one.counts for one in trials)
    if count >= budget.trials:
        return ""
    if budget.until_brief and any(holds_all(one) for one in trials):
        return f"It ended after {count} of {budget.trials} trials, because one of them holds the brief."
    if budget.time_is_up:
        return f"The time was up after {count} of {budget.trials} trials."
    if all(one.state == "failed" for one in trials if one.counts):
        return f"It was given up after {count} trials: all had failed."
    return f"The space holds no more than {counted(count, 'trial')}: further proposals were there already."


def spoken_figure(plan: StudyPlan, trial: Trial, pictures: int) -> str:
    """Returns a trial's metric; a share with Wilson's interval over the val pictures."""
    value = trial.figures.get(plan.metric)
    if value is None:
        return "—"
    if plan.metric != "val.accuracy" or not pictures:
        return f"{value:.4f}"
    return str(wilson(value * pictures, pictures))


def spoken_value(value: Value) -> str:
    """Returns one value of a variable."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def spoken_values(values: Mapping[str, Value]) -> str:
    """Returns the values of a trial in one line."""
    return ", ".join(
        f"{name.removeprefix('recipe.')} {spoken_value(value)}" for name, value in values.items()
    )


def spoken_best(plan: StudyPlan, trials: Sequence[Trial], pictures: int) -> str:
    """Returns the best trial by the metric in a sentence."""
    best = best_first(plan, trials)[0]
    return (
        f"Best {plan.metric}: {spoken_figure(plan, best, pictures)}, trial {best.number} ({best.run}). "
        "These pictures chose it, so the figure flatters."
    )


def brief_answer(plan: StudyPlan, trials: Sequence[Trial], budget: str) -> tuple[bool, str]:
    """Returns whether a trial holds every limit of the brief, and the answer in words.

    Args:
        plan: the study.
        trials: all of them.
        budget: what the search was allowed, in words.
    """
    held = [one for one in best_first(plan, trials) if holds_all(one)]
    if held:
        return (
            True,
            f"Reached: trial {held[0].number} ({held[0].run}) holds every limit of the brief on val.",
        )
    missed = list(_missed(plan, trials))
    if not missed:
        return False, (
            f"Not reachable within {budget}, because no single trial holds every limit at once, though "
            "each of them is held by some trial."
        )
    return False, f"Not reachable within {budget}, because {'; '.join(missed)}."


def _missed(plan: StudyPlan, trials: Sequence[Trial]) -> Iterator[str]:
    """Yields for each limit that no trial holds the best figure that one of them reached."""
    found: dict[str, list[tuple[Gate, Trial]]] = {}
    for trial in best_first(plan, trials):
        for gate in trial.gates:
            found.setdefault(gate.name, []).append((gate, trial))
    for name, pairs in found.items():
        if any(gate.verdict in ("pass", "advisory") for gate, _ in pairs):
            continue
        known = [pair for pair in pairs if pair[0].value is not None]
        if not known:
            yield f"{name} {pairs[0][0].expected}: not measured, {pairs[0][0].note}"
            continue
        gate, trial = min(known, key=lambda pair: _badness(pair[0]))
        yield (
            f"{name} {gate.expected}: the best trial has {gate.measured} ({gate.verdict}), "
            f"trial {trial.number}, {trial.run}"
        )


def _badness(gate: Gate) -> float:
    assert gate.value is not None
    return gate.value if gate.at_most else -gate.value
