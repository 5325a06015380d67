"""Judge runs that answer masks on a split, or take the judgement that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.operations.run_pictures import pictures_of, split_seed_of
from darkroom.operations.run_tasks import common_task, task_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import MaskEvaluation, MaskJudged

__all__ = ["answers_masks", "evaluated_masks", "judged_masks", "kept_masks", "refuse_mixed_tasks"]


def answers_masks(workspace: Workspace, run: str) -> bool:
    """Returns whether a run answers masks.

    Raises:
        NotFound: there is no such run, or its dataset is gone.
    """
    return task_of(workspace, run) == "segmentation"


def refuse_mixed_tasks(workspace: Workspace, runs: Sequence[str]) -> bool:
    """Returns whether some runs answer masks, which then all must.

    Raises:
        InvalidConfig: they are of different tasks.
    """
    return common_task(workspace, runs) == "segmentation"


def evaluated_masks(workspace: Workspace, name: str, split: Split) -> MaskEvaluation:
    """Asks a run about a split, which is a look, and judges its masks; what was kept is replaced.

    Raises:
        NotFound: there is no such run, or its weights are gone.
        Invalid: the split has no pictures.
    """
    from darkroom.evaluation import evaluate_masks
    from darkroom.operations.judged import DRAWS

    run = workspace.catalogue.runs.get(name)
    refuse_lost_run(workspace, run)
    version = workspace.catalogue.datasets.get(run.dataset)

    def show(done: int, total: int) -> None:
        workspace.report(f"evaluating {name} on {split}", done=done, total=total, unit="images")

    return evaluate_masks(
        workspace.runs_folder / run.id,
        pictures_of(workspace, run.id, version).split(split),
        split=split,
        classes=version.classes,
        draws=DRAWS,
        on_progress=show,
    )


def kept_masks(workspace: Workspace, name: str, split: Split) -> MaskJudged | None:
    """Returns what is kept of a run on a split; None where nothing is, or nothing that can be read.

    What was judged with fewer draws, or before the dataset lost pictures, does not count.
    """
    from darkroom.evaluation import MaskEvaluation, MaskJudged, load_any_evaluation, load_mask_answers
    from darkroom.operations.judged import DRAWS

    folder = workspace.runs_folder / name
    try:
        evaluation, answers = load_any_evaluation(folder, split), load_mask_answers(folder, split)
        counts = workspace.catalogue.datasets.get(evaluation.source.dataset).counts
    except (NotFound, Damaged, Invalid):
        return None
    if not isinstance(evaluation, MaskEvaluation) or evaluation.draws < DRAWS:
        return None
    there = counts.get(split, 0)
    if split in ("train", "val") and split_seed_of(workspace, name) is not None:
        there = len(answers.image_ids)  # of another split; whole groups decide how many
    whole = evaluation.figures.count == there
    return MaskJudged(evaluation, answers) if whole else None


def judged_masks(workspace: Workspace, name: str, split: Split) -> MaskJudged:
    """Returns what is kept of a run on a split; asks the run where that is not what it would answer today.

    Raises:
        NotFound: as `evaluated_masks`.
    """
    from darkroom.evaluation import MaskJudged, is_of_today, load_mask_answers

    refuse_lost_run(workspace, workspace.catalogue.runs.get(name))
    found = kept_masks(workspace, name, split)
    if found is not None and is_of_today(workspace.runs_folder / name, found.evaluation):
        return found
    evaluation = evaluated_masks(workspace, name, split)
    return MaskJudged(evaluation, load_mask_answers(workspace.runs_folder / name, split))
