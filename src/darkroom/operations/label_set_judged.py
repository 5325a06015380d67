"""Judge runs that answer label sets on a split, or take the judgement that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.operations.judged import counts_all, question
from darkroom.operations.operating_points import point_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import LabelSetsJudged

__all__ = ["evaluated_label_sets", "judged_label_sets", "kept_label_sets"]


def evaluated_label_sets(workspace: Workspace, name: str, split: Split) -> LabelSetsJudged:
    """Returns what a run was evaluated to, as it is kept; a run is asked nothing.

    Raises:
        NotFound: the run was not evaluated on this split.
        Damaged: what is kept is not what was written.
        Invalid: the run answers something else.
    """
    from darkroom.evaluation import (
        LabelSetEvaluation,
        LabelSetsJudged,
        load_any_evaluation,
        load_predictions,
    )

    folder = workspace.runs_folder / name
    found = load_any_evaluation(folder, split)
    if not isinstance(found, LabelSetEvaluation):
        raise Invalid(
            "evaluation.no-label-sets-kept",
            "Run {run} was evaluated for {task}, not for sets of labels.",
            run=name,
            task=found.task,
            do="Evaluate it anew: darkroom model evaluate --runs {run}",
        )
    return LabelSetsJudged(found, load_predictions(folder, split))


def kept_label_sets(workspace: Workspace, name: str, split: Split) -> LabelSetsJudged | None:
    """Returns what is kept of a run on a split, at its operating point of today; None where nothing is.

    What was judged with fewer draws, or before the dataset lost pictures, does not count. What was judged
    at another operating point is judged anew, which is no look at the pictures.
    """
    from darkroom.evaluation import (
        LabelSetEvaluation,
        LabelSetsJudged,
        evaluation_path,
        judged_sets_again,
        load_any_evaluation,
        load_predictions,
    )
    from darkroom.evaluation.label_set_judgement import basis_of

    folder = workspace.runs_folder / name
    try:
        evaluation, predictions = load_any_evaluation(folder, split), load_predictions(folder, split)
        whole = counts_all(workspace, name, evaluation, predictions.image_ids)
    except (NotFound, Damaged):
        return None
    if not isinstance(evaluation, LabelSetEvaluation) or not whole:
        return None
    point = point_of(workspace, name)
    if evaluation.basis != basis_of(point):
        evaluation = judged_sets_again(evaluation, predictions, point)
        atomic.write_text(evaluation_path(folder, split), evaluation.model_dump_json(indent=1) + "\n")
    return LabelSetsJudged(evaluation, predictions)


def judged_label_sets(workspace: Workspace, name: str, split: Split) -> LabelSetsJudged:
    """Returns what is kept of a run on a split; asks the run where that is not what it would answer today.

    Raises:
        NotFound: there is no such run, or its weights are gone.
        Invalid: the split has no pictures.
    """
    from darkroom.evaluation import LabelSetsJudged, evaluate_label_sets, is_of_today, load_predictions

    refuse_lost_run(workspace, workspace.catalogue.runs.get(name))
    folder = workspace.runs_folder / name
    found = kept_label_sets(workspace, name, split)
    if found is not None and is_of_today(folder, found.evaluation):
        return found
    evaluation = evaluate_label_sets(**question(workspace, name, split), point=point_of(workspace, name))
    return LabelSetsJudged(evaluation, load_predictions(folder, split))
