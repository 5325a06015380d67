"""Judge runs that answer masks on a split, or take the judgement that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.operations.judged import counts_all, question
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import MaskEvaluation, MaskJudged

__all__ = ["evaluated_masks", "judged_masks", "kept_masks"]


def evaluated_masks(workspace: Workspace, name: str, split: Split) -> MaskEvaluation:
    """Asks a run about a split, which is a look, and judges its masks; what was kept is replaced.

    Raises:
        NotFound: there is no such run, or its weights are gone.
        Invalid: the split has no pictures.
    """
    from darkroom.evaluation import evaluate_masks

    return evaluate_masks(**question(workspace, name, split))


def kept_masks(workspace: Workspace, name: str, split: Split) -> MaskJudged | None:
    """Returns what is kept of a run on a split; None where nothing is, or nothing that can be read.

    What was judged with fewer draws, or before the dataset lost pictures, does not count.
    """
    from darkroom.evaluation import MaskEvaluation, MaskJudged, load_any_evaluation, load_mask_answers

    folder = workspace.runs_folder / name
    try:
        evaluation, answers = load_any_evaluation(folder, split), load_mask_answers(folder, split)
        whole = counts_all(workspace, name, evaluation, answers.image_ids)
    except (NotFound, Damaged, Invalid):
        return None
    return MaskJudged(evaluation, answers) if isinstance(evaluation, MaskEvaluation) and whole else None


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
