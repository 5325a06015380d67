"""The brief as the test: hold its limits against runs and bundles of a project, and keep the verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkroom import atomic
from darkroom.operations.judged import judged, kept
from darkroom.operations.label_set_judged import judged_label_sets, kept_label_sets
from darkroom.operations.mask_judged import judged_masks, kept_masks
from darkroom.operations.must_pass import hold_must_pass, must_pass_content
from darkroom.operations.run_tasks import task_of
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import BundleManifest, Gate, Split, content_id, now
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.export import ParityReport

__all__ = [
    "bundle_gates",
    "check_names",
    "hold_quality",
    "limits_on_quality",
    "quality_content",
    "same_recipe",
    "verdict_content",
]

QUALITY = ("accuracy", "recall", "expected_cost", "mean_ap", "miou", "iou", "must_pass_wrong")
"""Limits that are held against answers to pictures; the others are about files."""

FROM_THE_FIRST = ("accuracy", "recall", "expected_cost")
"""Those of them that count for a stage's inputs even where they are not set."""


def quality_content(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns what verdicts on quality rest on, as inputs of a stage; nothing where no limit is set."""
    brief = workspace.project.brief
    wanted = {
        name: value
        for name in QUALITY
        if (value := getattr(brief.limits, name)) not in (None, {}) or name in FROM_THE_FIRST
    }
    if not limits_on_quality(workspace):
        return {}
    found = {"brief.limits": content_id(wanted)}
    if wanted["expected_cost"] is not None and brief.mistakes:
        found["brief.mistakes"] = content_id(brief.mistakes)
    if wanted["recall"] and brief.rules:
        found["brief.rules"] = content_id([rule.name for rule in brief.rules])
    if brief.limits.must_pass_wrong is not None:
        found |= must_pass_content(workspace)
    return found


def verdict_content(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns what the verdicts on a bundle rest on: all limits, and what those on quality rest on."""
    limits = {"brief.limits": content_id(workspace.project.brief.limits)}
    return {**quality_content(workspace), **limits}


def limits_on_quality(workspace: Workspace) -> bool:
    """Returns whether a limit is set that is held against answers to pictures."""
    limits = workspace.project.brief.limits
    return any(getattr(limits, name) not in (None, {}) for name in QUALITY)


def check_names(workspace: Workspace, dataset: str) -> None:
    """Refuses limits and costs that name neither a class nor a rule, before any work is done.

    Raises:
        NotFound: there is no such dataset.
        InvalidConfig: such a name.
    """
    from darkroom.evaluation import refuse_unknown_names

    refuse_unknown_names(workspace.project.brief, workspace.catalogue.datasets.get(dataset).classes)


def hold_quality(
    workspace: Workspace, runs: Sequence[str], split: Split = "val", *, ask: bool = True
) -> tuple[Gate, ...]:
    """Holds the limits on quality against runs; keeps the verdicts in the folder of each run.

    Args:
        workspace: the project.
        runs: runs on one dataset version.
        split: the pictures; verdicts during development look at val.
        ask: ask a run about the pictures where nothing is kept; otherwise its gates are "not measured".

    Raises:
        InvalidConfig: a limit names neither a class nor a rule.
        NotFound: a run has no weights.
    """
    if not limits_on_quality(workspace):
        return ()
    gates, measured = _of_figures(workspace, runs, split, ask=ask)
    dataset = workspace.catalogue.runs.get(runs[0]).dataset
    if workspace.catalogue.datasets.get(dataset).task == "classification":
        gates = (*gates, *hold_must_pass(workspace, runs, ask=ask))
    if ask and measured:
        _keep(workspace, runs, gates, split)
    return gates


def _of_figures(
    workspace: Workspace, runs: Sequence[str], split: Split, *, ask: bool
) -> tuple[tuple[Gate, ...], bool]:
    """Returns the gates of figures over a split, and whether they were measured."""
    from darkroom.evaluation import label_set_gates, mask_gates, quality_gates, unmeasured_gates

    brief, subject = workspace.project.brief, ", ".join(runs)
    if not _count(workspace, runs[0], split):
        why = f"the dataset has no {split} pictures; give {split} a share when freezing it"
        return unmeasured_gates(brief, subject, split, why), False
    ask_one, take_one, gates_of = {
        "classification": (judged, kept, quality_gates),
        "multi-label": (judged_label_sets, kept_label_sets, label_set_gates),
        "segmentation": (judged_masks, kept_masks, mask_gates),
    }[task_of(workspace, runs[0])]
    found: list[Any] = [(ask_one if ask else take_one)(workspace, name, split) for name in runs]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        why = (
            f"not asked about {split} yet: darkroom model evaluate --runs {','.join(runs)} --split {split}"
        )
        return unmeasured_gates(brief, subject, split, why), False
    return _held(workspace, runs, known, gates_of), True


def bundle_gates(
    workspace: Workspace,
    run: str,
    split: Split,
    manifest: BundleManifest,
    parity: ParityReport | None,
) -> tuple[Gate, ...]:
    """Holds every limit against a bundle: its run on the pictures it was compared on, its files, its size.

    Args:
        workspace: the project.
        run: the run that it was made of.
        split: the pictures that its files are compared on.
        manifest: what it holds.
        parity: the comparison of its files; without one nothing is said about single files.
    """
    from darkroom.export.gates import bundle_gate, file_gates

    limits = workspace.project.brief.limits
    quality = hold_quality(workspace, (run,), split, ask=False)
    files = _of_files(file_gates(parity.files, limits, parity.task), parity) if parity is not None else ()
    return (*quality, *files, *bundle_gate(sum(file.size_bytes for file in manifest.files), limits))


def _of_files(gates: Sequence[Gate], parity: ParityReport) -> tuple[Gate, ...]:
    """Returns the gates of files; those on answers say which pictures they rest on."""
    pool = " + ".join(f"{one.count:,} {one.split}" for one in parity.pictures)
    return tuple(
        gate.model_copy(update={"split": pool})
        if pool and gate.limit.startswith(("parity_", "accuracy_loss"))
        else gate
        for gate in gates
    )


def _held(
    workspace: Workspace, runs: Sequence[str], known: Sequence[Any], gates_of: Callable[..., Any]
) -> tuple[Gate, ...]:
    """Returns the gates of runs; of those that repeat another one each has its own, and only those.

    Clones are held together where they were asked about the same pictures: those with splits of their own
    were not asked about the same val.
    """
    brief = workspace.project.brief
    found = distinct_clones(workspace, runs)
    by_run = dict(zip(runs, known, strict=True))
    counted = [by_run[run] for run in found.runs]
    alike = same_recipe(workspace, found.runs) and len({_ids(one) for one in counted}) == 1
    gates = gates_of(brief, counted, alike=alike)
    for run in found.repeats:
        own = gates_of(brief, [by_run[run]], alike=False)
        gates += tuple(gate.model_copy(update={"decides": False}) for gate in own)
    return gates


def _ids(one: Any) -> tuple[str, ...]:
    answers = one.answers if hasattr(one, "answers") else one.predictions
    return answers.image_ids


def _count(workspace: Workspace, run: str, split: Split) -> int:
    dataset = workspace.catalogue.runs.get(run).dataset
    return workspace.catalogue.datasets.get(dataset).counts.get(split, 0)


def _keep(workspace: Workspace, runs: Sequence[str], gates: Sequence[Gate], split: Split) -> None:
    """Writes each run's own gates, and those over the clones that it belongs to, into its folder."""
    limits = workspace.project.brief.limits.model_dump(mode="json", include=set(QUALITY))
    for run in runs:
        mine = [
            gate.model_dump(mode="json")
            for gate in gates
            if gate.subject == run or gate.subject not in runs
        ]
        verdicts = {
            "schema_version": 1,
            "held_at": now().isoformat(),
            "runs": list(runs),
            "limits": limits,
            "gates": mine,
        }
        text = json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n"
        atomic.write_text(workspace.runs_folder / run / f"gates-{split}.json", text)
