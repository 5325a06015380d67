"""How good a model is, on images it has never seen, with intervals; and how much clones differ.

The records come at once; what works with arrays is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from darkroom.evaluation.label_set_record import LabelSetClonesSummary, LabelSetEvaluation, WrongSet
from darkroom.evaluation.mask_record import MaskClonesSummary, MaskEvaluation, WorstMask
from darkroom.evaluation.record import (
    ClassSpread,
    CloneSpread,
    ClonesSummary,
    Comparison,
    EnsembleGain,
    Evaluation,
    EvaluationSource,
    GroupComparison,
    Verdict,
    WrongAnswer,
)

if TYPE_CHECKING:
    from darkroom.evaluation.clones import compare, summarise
    from darkroom.evaluation.ensembles import (
        ensemble_gain,
        label_set_ensemble_gain,
        mask_ensemble_gain,
    )
    from darkroom.evaluation.forgetting import forget_answers
    from darkroom.evaluation.gates import Judged, quality_gates, refuse_unknown_names, unmeasured_gates
    from darkroom.evaluation.groups import (
        compare_groups,
        compare_label_set_groups,
        compare_mask_groups,
    )
    from darkroom.evaluation.judgement import judge
    from darkroom.evaluation.label_set_clones import (
        LabelSetsJudged,
        compare_label_sets,
        summarise_label_sets,
    )
    from darkroom.evaluation.label_set_judgement import judged_sets_again
    from darkroom.evaluation.label_set_limits import label_set_gates
    from darkroom.evaluation.label_set_run import evaluate_label_sets
    from darkroom.evaluation.mask_answers import MaskAnswers, load_mask_answers
    from darkroom.evaluation.mask_clones import compare_masks, summarise_masks
    from darkroom.evaluation.mask_limits import MaskJudged, mask_gates
    from darkroom.evaluation.mask_run import evaluate_masks
    from darkroom.evaluation.panel import ClonePanel, headline
    from darkroom.evaluation.predictions import Predictions, load_predictions, save_predictions
    from darkroom.evaluation.run import (
        evaluate_run,
        evaluation_path,
        is_of_today,
        load_any_evaluation,
        load_evaluation,
        load_mask_evaluation,
    )

__all__ = [
    "ClassSpread",
    "CloneSpread",
    "ClonePanel",
    "ClonesSummary",
    "Comparison",
    "EnsembleGain",
    "Evaluation",
    "EvaluationSource",
    "GroupComparison",
    "Judged",
    "LabelSetClonesSummary",
    "LabelSetEvaluation",
    "LabelSetsJudged",
    "MaskAnswers",
    "MaskClonesSummary",
    "MaskEvaluation",
    "MaskJudged",
    "Predictions",
    "Verdict",
    "WorstMask",
    "WrongAnswer",
    "WrongSet",
    "compare",
    "compare_groups",
    "compare_label_set_groups",
    "compare_mask_groups",
    "compare_label_sets",
    "compare_masks",
    "ensemble_gain",
    "evaluate_label_sets",
    "evaluate_masks",
    "evaluate_run",
    "evaluation_path",
    "forget_answers",
    "headline",
    "is_of_today",
    "judge",
    "label_set_ensemble_gain",
    "judged_sets_again",
    "label_set_gates",
    "load_any_evaluation",
    "load_evaluation",
    "load_mask_answers",
    "load_mask_evaluation",
    "load_predictions",
    "mask_ensemble_gain",
    "mask_gates",
    "quality_gates",
    "refuse_unknown_names",
    "save_predictions",
    "summarise",
    "summarise_label_sets",
    "summarise_masks",
    "unmeasured_gates",
]

_WHERE = {
    "ClonePanel": "panel",
    "Judged": "gates",
    "MaskAnswers": "mask_answers",
    "MaskJudged": "mask_limits",
    "Predictions": "predictions",
    "compare": "clones",
    "compare_groups": "groups",
    "compare_label_set_groups": "groups",
    "compare_mask_groups": "groups",
    "compare_label_sets": "label_set_clones",
    "compare_masks": "mask_clones",
    "evaluate_label_sets": "label_set_run",
    "judged_sets_again": "label_set_judgement",
    "label_set_gates": "label_set_limits",
    "LabelSetsJudged": "label_set_clones",
    "summarise_label_sets": "label_set_clones",
    "ensemble_gain": "ensembles",
    "evaluate_masks": "mask_run",
    "evaluate_run": "run",
    "evaluation_path": "run",
    "forget_answers": "forgetting",
    "headline": "panel",
    "is_of_today": "run",
    "judge": "judgement",
    "label_set_ensemble_gain": "ensembles",
    "load_any_evaluation": "run",
    "load_evaluation": "run",
    "load_mask_answers": "mask_answers",
    "load_mask_evaluation": "run",
    "load_predictions": "predictions",
    "mask_ensemble_gain": "ensembles",
    "mask_gates": "mask_limits",
    "quality_gates": "gates",
    "refuse_unknown_names": "gates",
    "save_predictions": "predictions",
    "summarise": "clones",
    "summarise_masks": "mask_clones",
    "unmeasured_gates": "gates",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
