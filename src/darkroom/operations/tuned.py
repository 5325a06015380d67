"""The end of a search: choose a trial, train clones of it and of the recipe as it stood, hand over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from darkroom import atomic
from darkroom.evaluation.clones import verdict
from darkroom.operations.clones import Series, train_clones
from darkroom.operations.judged import judged
from darkroom.operations.mask_judged import judged_masks
from darkroom.operations.trials import study_tag, tag_run
from darkroom.records import DatasetVersion, Gate, Interval, Run
from darkroom.training import Recipe
from darkroom.tuning.budget import holds_all
from darkroom.tuning.evidence import (
    Evidence,
    compare_clones,
    compare_figures,
    compare_mask_clones,
    paired_masks,
)
from darkroom.tuning.pareto import best_first, figure_of, pareto_front
from darkroom.tuning.recipes import recipe_of
from darkroom.tuning.trial import SMALLER_IS_BETTER, StudyPlan, Trial
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.tuning.study import Study

__all__ = ["Choice", "Contest", "choose_trial", "clone_gates", "contest", "deliver_search", "recipe_text"]

SideBySide = Literal["auto", "yes", "no"]


class Choice(NamedTuple):
    """The trial whose recipe goes on, and why that one."""

    trial: Trial
    why: str
    front: tuple[Trial, ...]
    """Where there are several aims: the trials that no other one beats."""


class Contest(NamedTuple):
    """Clones of the chosen recipe beside clones of the recipe as it stood."""

    runs: tuple[Run, ...]
    before: tuple[Run, ...]
    """Clones of the recipe as it stood; the same ones where that was chosen."""
    evidence: Evidence | None
    """None where the recipe as it stood was chosen."""

    @property
    def verdict(self) -> str:
        """What they show: "better", "worse", "no difference shown", or "the recipe as it stood"."""
        return "the recipe as it stood" if self.evidence is None else self.evidence.verdict


def choose_trial(
    workspace: Workspace, plan: StudyPlan, trials: Sequence[Trial], *, until_brief: bool
) -> Choice:
    """Chooses by val alone: the best by the metric; with several aims the smallest that is not shown worse.

    Args:
        workspace: the project.
        plan: the study.
        trials: all of them, at least one finished.
        until_brief: choose among those that hold every limit, if any does.
    """
    held = [one for one in trials if holds_all(one)] if until_brief else []
    ranked = best_first(plan, held or trials)
    best, among = ranked[0], " that hold every limit" if held else ""
    if len(plan.aims) == 1:
        of = f"of {len(ranked)} finished trials{among}"
        why = f"Chosen: trial {best.number}, the best by {plan.metric} {of}."
        if len(ranked) == 1:
            why = f"Chosen: trial {best.number}, the only finished one."
        return Choice(best, why, ())
    front = pareto_front(plan, held or trials)
    second = plan.aims[1]
    for one in sorted(front, key=lambda trial: [figure_of(plan, trial, aim) for aim in plan.aims[1:]]):
        if one is best:
            break
        said = _not_worse(workspace, plan, best, one)
        if said:
            share = 1 - figure_of(plan, one, second) / figure_of(plan, best, second)
            why = (
                f"Chosen: trial {one.number}. Trial {best.number} is best by {plan.metric}{among}, and "
                f"{said}; trial {one.number} has {share:.0%} less {second}."
            )
            return Choice(one, why, tuple(front))
    why = f"Chosen: trial {best.number}{_why_best(workspace, plan, len(front), among)}"
    return Choice(best, why, tuple(front))


def _why_best(workspace: Workspace, plan: StudyPlan, front: int, among: str) -> str:
    """Returns why, with several aims, the best by the metric was chosen and none that is smaller."""
    if front == 1:
        return "; no other trial is ahead of it in any aim."
    best = f", the best by {plan.metric}{among}"
    if _is_paired(workspace, plan):
        return f"{best}; every smaller trial on the front is shown to be worse."
    return (
        f"{best}. Whether smaller trials on the front are worse cannot be shown picture by picture with "
        f"{plan.metric}: look at the front, and train clones of the one that suits."
    )


def contest(
    workspace: Workspace, plan: StudyPlan, chosen: Trial, clones: int, side_by_side: SideBySide
) -> Contest:
    """Trains clones of two recipes with seeds that no trial had, and compares them on the val pictures.

    Raises:
        Cancelled: a person stopped it; the same call goes on.
        DarkroomError: as `train_clones`.
    """
    seeds = tuple(plan.seed + number for number in range(1, clones + 1))
    base = Recipe.model_validate(dict(plan.recipe))
    recipe, dataset = recipe_of(plan, chosen.values), chosen.dataset or plan.dataset
    tag = study_tag(plan.id)
    before = _clones(workspace, plan.dataset, base, seeds, side_by_side, (tag, f"{tag}-before"))
    if recipe == base and dataset == plan.dataset:
        return Contest(before, before, None)
    runs = _clones(workspace, dataset, recipe, seeds, side_by_side, (tag, f"{tag}-chosen"))
    return Contest(runs, before, _evidence(workspace, plan, runs, before))


def recipe_text(plan: StudyPlan, chosen: Trial, version: DatasetVersion) -> str:
    """Returns the chosen recipe as TOML that goes under a training stage of darkroom.toml."""
    import tomlkit

    document = tomlkit.document()
    head = [
        f"Found by darkroom model tune, study {plan.id}, trial {chosen.number}.",
        "It takes the place of [stage.recipe] under a stage of darkroom.toml that trains.",
        "What it does not name stands at its default.",
    ]
    if version.ref != plan.dataset:
        size = f"width_px = {version.contract.width_px}, height_px = {version.contract.height_px}"
        head.append(f"It goes with another input size: {size} under [stage.contract] of dataset.freeze.")
    for line in head:
        document.add(tomlkit.comment(line))
    stage = tomlkit.table(is_super_table=True)
    changed = _changes(
        recipe_of(plan, chosen.values).model_dump(mode="json"), Recipe().model_dump(mode="json")
    )
    stage.add("recipe", _table(changed))
    document.add("stage", stage)
    return tomlkit.dumps(document)


def deliver_search(
    workspace: Workspace, study: Study, facts: Mapping[str, Any], recipe: str
) -> tuple[str, str]:
    """Writes the page of a study with its trials and the chosen recipe; returns the paths of both.

    Args:
        workspace: the project.
        study: the study.
        facts: what the page shows; see `tuning_page`.
        recipe: the chosen recipe as TOML.
    """
    from darkroom.documents import tuning_page

    plan, trials = study.plan, study.trials()
    page = tuning_page(
        project=workspace.project.project.name,
        plan=plan,
        trials=trials,
        importance=study.importance(),
        recipe=recipe,
        **facts,
    )
    place = workspace.deliverables / "08-tuned" / plan.id
    lines = "".join(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n" for one in trials)
    with atomic.write_folder(place) as aside:
        (aside / "tuning.html").write_bytes(page)
        (aside / "recipe.toml").write_text(recipe, "utf-8")
        (aside / "trials.jsonl").write_text(lines, "utf-8")
    return workspace.relative(place / "tuning.html"), workspace.relative(place / "recipe.toml")


def clone_gates(workspace: Workspace, runs: Sequence[Run]) -> tuple[Gate, ...]:
    """Returns the limits on quality, held against the chosen clones on val."""
    from darkroom.operations.gates import hold_quality

    return hold_quality(workspace, [run.id for run in runs])


def _not_worse(workspace: Workspace, plan: StudyPlan, best: Trial, other: Trial) -> str:
    """Returns in words that no difference to the best is shown; empty where one is, or nobody can say."""
    if not _is_paired(workspace, plan):
        return ""
    ends = _difference(workspace, plan, best.run, other.run)
    if verdict(ends) != "no difference shown":
        return ""
    return (
        f"no difference to trial {other.number} is shown on val "
        f"({ends.value:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}])"
    )


def _difference(workspace: Workspace, plan: StudyPlan, first: str, second: str) -> Interval:
    """Returns the difference of two runs on the val pictures, drawn in pairs."""
    from darkroom.evaluation import compare

    if plan.metric == "val.miou":
        return paired_masks(*(judged_masks(workspace, run, "val").answers for run in (first, second)))
    return compare(*(judged(workspace, run, "val").predictions for run in (first, second))).difference


def _is_paired(workspace: Workspace, plan: StudyPlan) -> bool:
    """Says whether two runs can be compared picture by picture."""
    task = workspace.catalogue.datasets.get(plan.dataset).task
    return (plan.metric, task) in (("val.accuracy", "classification"), ("val.miou", "segmentation"))


def _clones(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    seeds: tuple[int, ...],
    side_by_side: SideBySide,
    tags: tuple[str, ...],
) -> tuple[Run, ...]:
    runs, _ = train_clones(workspace, Series(dataset, recipe, seeds, None, 0), side_by_side)
    return tuple(tag_run(workspace, run, *tags) for run in runs)


def _evidence(
    workspace: Workspace, plan: StudyPlan, runs: Sequence[Run], before: Sequence[Run]
) -> Evidence:
    if plan.metric == "val.miou":
        masks = [
            [judged_masks(workspace, run.id, "val").answers for run in side] for side in (runs, before)
        ]
        return compare_mask_clones(*masks)
    if _is_paired(workspace, plan):
        sides = [[judged(workspace, run.id, "val").predictions for run in side] for side in (runs, before)]
        return compare_clones(*sides)
    figures = [[run.metrics[plan.metric] for run in side] for side in (runs, before)]
    return compare_figures(*figures, smaller_is_better=plan.metric in SMALLER_IS_BETTER)


def _changes(found: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what differs from the defaults, nested as it was."""
    changed: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping) and isinstance(usual.get(name), Mapping) and usual[name]:
            inner = _changes(value, usual[name])
            if inner:
                changed[name] = inner
        elif value != usual.get(name) and value is not None:
            changed[name] = value
    return changed


def _table(values: Mapping[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.table()
    for name, value in sorted(values.items(), key=lambda pair: isinstance(pair[1], Mapping)):
        table.add(name, _table(value) if isinstance(value, Mapping) else value)
    return table
