"""Operation that searches for a better recipe or network, and says with evidence whether it found one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from darkroom.errors import Invalid, InvalidConfig
from darkroom.operation import DatasetRef, Produced, RunRef, operation
from darkroom.operations.gates import limits_on_quality, quality_content
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.starting import starting_inputs
from darkroom.records import FrozenMap, Gate, Result, Table, content_id, gate_notes, shown_gates
from darkroom.training import Recipe
from darkroom.tuning import Span
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.searching import SearchRequest
    from darkroom.operations.tuned import Choice, Contest
    from darkroom.tuning import Budget, Study, StudyPlan, Trial

__all__ = ["TuneReport", "tune"]

SHOWN = 10
"""Trials that the shell shows; the page shows all."""


class TuneReport(Result):
    """What a search found, and whether it beats the recipe as it stood."""

    study: str
    """Its folder in .darkroom/studies/."""
    dataset: DatasetRef
    """What the chosen recipe trains on: another version where the input size was searched."""
    metric: str
    rows: tuple[tuple[str, ...], ...]
    """Trial, run, what became of it, metric, its values; the best first, then the others."""
    count: str
    """How many trials there were, by what became of them."""
    ended: str = ""
    """Why it ended before it had all its trials, in words."""
    filtered: tuple[tuple[str, str], ...] = ()
    """Networks that were left out before any trial, and why."""
    best: str
    """The best trial by the metric, in words."""
    choice: str
    """Which trial was chosen and why, in words."""
    front: tuple[tuple[str, ...], ...] = ()
    """With several aims: the trials that no other one beats, with their figures."""
    aims: tuple[str, ...] = ("metric",)
    verdict: str
    """Of the chosen recipe against the recipe as it stood, over clones, on val: "better", "worse", "no
    difference shown"; "the recipe as it stood" where that was chosen."""
    comparison: str
    """The same in words, with figures."""
    reached: bool | None = None
    """With until = brief: whether a trial holds every limit."""
    answer: str = ""
    """With until = brief: the answer in words."""
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the clones of the chosen recipe on val."""
    runs: tuple[RunRef, ...]
    """Clones of the chosen recipe."""
    clones_before: tuple[str, ...]
    """Clones of the recipe as it stood."""
    recipe: Produced
    """The chosen recipe as TOML."""
    path: Produced
    """The page."""

    @property
    def exit_code(self) -> int:
        """7 when the search was to go on until the limits of the brief hold, and they do not."""
        return 7 if self.reached is False else 0

    def display(self) -> Iterator[str | Table]:
        """Yields the best trials, the choice and the evidence."""
        for network, why in self.filtered:
            yield f"Left out: {network}: {why}."
        columns = ("trial", "run", "state", self.metric, "values")
        yield Table(columns, self.rows[:SHOWN], f"Study {self.study}: {self.count}")
        if self.front:
            yield Table(
                ("trial", "run", self.metric, *self.aims[1:]), self.front, "No other trial beats these"
            )
        yield from self._said()
        yield from shown_gates(self.gates)
        yield f"Recipe: {self.recipe}"
        yield f"Page: {self.path}"

    def notes(self) -> Iterator[str]:
        """Yields what was found, in sentences."""
        yield from self._said()
        yield from gate_notes(self.gates)

    def _said(self) -> Iterator[str]:
        said = (self.ended, self.best, self.choice, self.answer, self.comparison)
        yield from (line for line in said if line)


def _read_by_tuning(workspace: Workspace, *, recipe: Recipe, **values: Any) -> Mapping[str, str]:
    start = starting_inputs(workspace, recipe.network, recipe.network_file, recipe.weights)
    limits = workspace.project.brief.limits
    sizes = [limits.model_bytes, limits.memory_bytes]
    found = {"brief.limits on size": content_id(sizes)} if sizes != [None, None] else {}
    return {**quality_content(workspace, recipe=recipe, **values), **start, **found}


@operation(
    "model.tune",
    slow=True,
    stage=8,
    inputs=_read_by_tuning,
    libraries=LIBRARIES,
    indifferent=("side_by_side",),
)
def tune(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: Recipe = Recipe(),
    space: FrozenMap[str, Span] = {},  # noqa: B006 (its type freezes it)
    by: Literal["auto", "val.accuracy", "val.loss", "val.mean_ap", "val.miou"] = "auto",
    aims: tuple[Literal["metric", "model_bytes", "memory_bytes", "latency_ms"], ...] = ("metric",),
    trials: Annotated[int, Field(ge=1, le=100_000)] = 20,
    minutes: Annotated[float, Field(gt=0, le=1_000_000)] | None = None,
    until: Literal["budget", "brief"] = "budget",
    prune: Literal["auto", "median", "hyperband", "none"] = "auto",
    most_flops: Annotated[int, Field(gt=0)] | None = None,
    clones: Annotated[int, Field(ge=2, le=1000)] = 3,
    seed: int = 0,
    side_by_side: Literal["auto", "yes", "no"] = "auto",
) -> TuneReport:
    """Search for a better recipe or network, and say with evidence whether one was found.

    Trials are told apart by val alone; test is never read. The best recipe is trained again, with seeds
    that no trial had, beside the recipe as it stood. The same call goes on with a search that was stopped,
    and with more trials or minutes with one that had ended.

    Args:
        dataset: the dataset version to train on.
        recipe: the recipe that trials begin from; what does not vary stays as it says.
        space: what varies, by name: recipe.learning_rate, recipe.network (names, or "table" for all), width
            of the network's family, input_px, recipe.train_layers, …; in the shell
            recipe.learning_rate=1e-4..0.1:log or recipe.optimiser.name=adamw|sgd. Left out: a usual set.
        by: the metric that is made good; auto takes accuracy, for masks mIoU.
        aims: what is made good beside the metric; several give a front to choose from.
        trials: how many to train at most, over all calls.
        minutes: time for trials at most, over all calls; the clones at the end come on top.
        until: brief: ends as soon as a trial holds every limit of [brief.limits] on val, and says which
            limit is out of reach when none does (exit code 7).
        prune: ends trials that fall behind: by the median of the others, or hyperband; auto is median with
            one aim, none with several.
        most_flops: networks that take more operations for one picture are left out.
        clones: of each of the two recipes that are compared at the end.
        seed: of the proposals, and of every trial's training; the clones count on from it.
        side_by_side: train several trials at a time, each in a process of its own; as in model.clone.
    """
    from darkroom.operations.searching import SearchRequest

    request = SearchRequest(dataset, recipe, space, by, aims, prune, most_flops, seed, until == "brief")
    return _searched(workspace, request, trials, minutes, clones, side_by_side)


def _searched(
    workspace: Workspace,
    request: SearchRequest,
    trials: int,
    minutes: float | None,
    clones: int,
    side_by_side: Literal["auto", "yes", "no"],
) -> TuneReport:
    """Searches, chooses, lets clones decide, and hands over."""
    from darkroom.operations.gates import check_names
    from darkroom.operations.searching import planned, search, study_folder
    from darkroom.operations.tuned import choose_trial, clone_gates, contest
    from darkroom.tuning import Budget, Study
    from darkroom.tuning.words import spoken_end

    check_names(workspace, request.dataset)
    if request.until_brief:
        _refuse_no_limits(workspace)
    plan = planned(workspace, request)
    if plan.filtered:
        workspace.tell(*(f"Left out: {network}: {why}." for network, why in plan.filtered.items()))
    folder = study_folder(workspace, plan)
    budget = Budget.of(trials, minutes, until_brief=request.until_brief, before=Study(folder).trials())
    study = search(workspace, folder, budget, side_by_side)
    found = study.trials()
    _refuse_all_failed(study.plan, found)
    why_ended = spoken_end(found, budget)  # before the clones are trained, which takes time as well
    choice = choose_trial(workspace, study.plan, found, until_brief=budget.until_brief)
    ended = contest(workspace, study.plan, choice.trial, clones, side_by_side)
    said = {"ended": why_ended, "gates": clone_gates(workspace, ended.runs)}
    return _report(workspace, study, choice, ended, budget, said)


def _report(
    workspace: Workspace,
    study: Study,
    choice: Choice,
    ended: Contest,
    budget: Budget,
    known: Mapping[str, Any],
) -> TuneReport:
    from darkroom.operations.tuned import deliver_search, recipe_text
    from darkroom.tuning.pareto import best_first
    from darkroom.tuning.words import brief_answer, spoken_best, spoken_count

    plan, trials = study.plan, study.trials()
    pictures = workspace.catalogue.datasets.get(plan.dataset).counts["val"]
    reached, answer = brief_answer(plan, trials, budget.words) if budget.until_brief else (None, "")
    others = (one for one in trials if one.state not in ("finished", "repeated"))
    ranked = [*best_first(plan, trials), *others]
    said: dict[str, Any] = {
        "best": spoken_best(plan, trials, pictures),
        "comparison": _spoken_contest(plan, ended),
        "answer": answer,
        "gates": known["gates"],
    }
    version = workspace.catalogue.datasets.get(choice.trial.dataset or plan.dataset)
    shown = {**said, "chosen": choice.trial, "choice": choice.why, "front": choice.front}
    shown |= {"clones": _clone_rows(plan, ended), "pictures": pictures, "verdict": ended.verdict}
    path, recipe = deliver_search(workspace, study, shown, recipe_text(plan, choice.trial, version))
    return TuneReport(
        study=plan.id,
        dataset=version.ref,
        metric=plan.metric,
        rows=tuple(_row(plan, one, pictures) for one in ranked),
        count=spoken_count(trials),
        ended=known["ended"],
        filtered=tuple(plan.filtered.items()),
        choice=choice.why,
        front=tuple(_front_row(plan, one, pictures) for one in choice.front),
        aims=plan.aims,
        verdict=ended.verdict,
        reached=reached,
        runs=tuple(run.id for run in ended.runs),
        clones_before=tuple(run.id for run in ended.before),
        recipe=recipe,
        path=path,
        **said,
    )


def _row(plan: StudyPlan, trial: Trial, pictures: int) -> tuple[str, ...]:
    from darkroom.tuning.words import spoken_figure, spoken_values

    said = spoken_values(trial.values)
    return (
        str(trial.number),
        trial.run or "—",
        trial.state,
        spoken_figure(plan, trial, pictures),
        f"{said}; {trial.reason}" if trial.reason else said,
    )


def _front_row(plan: StudyPlan, trial: Trial, pictures: int) -> tuple[str, ...]:
    from darkroom.tuning.words import spoken_figure

    others = (
        f"{trial.figures[aim]:,.4g}" if aim == "latency_ms" else f"{trial.figures[aim]:,.0f}"
        for aim in plan.aims[1:]
    )
    return (str(trial.number), trial.run, spoken_figure(plan, trial, pictures), *others)


def _clone_rows(plan: StudyPlan, ended: Contest) -> tuple[tuple[str, ...], ...]:
    """Returns recipe, run, seed and metric of each clone."""
    sides = [("chosen", ended.runs)] if ended.evidence is not None else []
    return tuple(
        (side, run.id, str(run.seed), f"{run.metrics[plan.metric]:.4f}")
        for side, runs in (*sides, ("as it stood", ended.before))
        for run in runs
    )


def _spoken_contest(plan: StudyPlan, ended: Contest) -> str:
    """Returns what the clones show, in words, and what follows from it."""
    if ended.evidence is None:
        return "No trial is ahead of the recipe as it stood, so there is nothing to compare. Keep it."
    found, count = ended.evidence, len(ended.runs)
    means = [sum(side) / len(side) for side in (found.first, found.second)]
    ends = found.difference
    said = (
        f"Does it beat the recipe as it stood? Over {count} clones each, with seeds that no trial had, "
        f"{plan.metric} is {means[0]:.4f} against {means[1]:.4f}; difference {ends.value:+.4f} "
        f"[{ends.low:+.4f}, {ends.high:+.4f}], larger is better: {found.verdict}. "
    )
    return said + ADVICE[found.verdict]


ADVICE = {
    "better": "The val pictures chose the trial as well, so ask about test once: darkroom model evaluate",
    "worse": "Keep the recipe as it stood.",
    "no difference shown": "Keep the recipe as it stood, or train more clones: --clones 10",
}


def _refuse_no_limits(workspace: Workspace) -> None:
    limits = workspace.project.brief.limits
    if not limits_on_quality(workspace) and limits.model_bytes is None and limits.memory_bytes is None:
        raise InvalidConfig(
            "tune.no-limits",
            "The search is to go on until the brief holds, and [brief.limits] sets nothing to hold.",
            do="Set accuracy, recall, expected_cost, model_bytes or memory_bytes, or leave until out.",
        )


def _refuse_all_failed(plan: StudyPlan, trials: tuple[Trial, ...]) -> None:
    """Refuses to go on when no trial was finished, and says what went wrong with them.

    Raises:
        Invalid: there is nothing to choose from.
    """
    from darkroom.tuning.words import spoken_count

    if any(one.state == "finished" for one in trials):
        return
    reasons = [one.reason for one in trials if one.state in ("failed", "refused")]
    raise Invalid(
        "tune.no-trial-finished",
        "No trial of study {study} was finished ({count}). {why}",
        do="Narrow the space, or give it more time; .darkroom/studies/{study}/trials.jsonl says more.",
        study=plan.id,
        count=spoken_count(trials),
        why=f"The last reason: {reasons[-1].rstrip('.')}."
        if reasons
        else "The time was up before one ended.",
    )
