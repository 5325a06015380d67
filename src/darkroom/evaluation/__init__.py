"""How good a model is, on images it has never seen, with intervals; and how much clones differ.

The records come at once; what works with arrays is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from darkroom.evaluation.mask_record import MaskClonesSummary, MaskEvaluation, WorstMask
from darkroom.evaluation.record import (
    ClassSpread,
    ClonesSummary,
    Comparison,
    Evaluation,
    EvaluationSource,
    Verdict,
    WrongAnswer,
)

if TYPE_CHECKING:
    from darkroom.evaluation.clones import compare, summarise
    from darkroom.evaluation.forgetting import forget_answers
    from darkroom.evaluation.gates import Judged, quality_gates, refuse_unknown_names, unmeasured_gates
    from darkroom.evaluation.judgement import judge
    from darkroom.evaluation.mask_answers import MaskAnswers, load_mask_answers
    from darkroom.evaluation.mask_clones import compare_masks, summarise_masks
    from darkroom.evaluation.mask_limits import MaskJudged, mask_gates
    from darkroom.evaluation.mask_run import evaluate_masks
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
    "ClonesSummary",
    "Comparison",
    "Evaluation",
    "EvaluationSource",
    "Judged",
    "MaskAnswers",
    "MaskClonesSummary",
    "MaskEvaluation",
    "MaskJudged",
    "Predictions",
    "Verdict",
    "WorstMask",
    "WrongAnswer",
    "compare",
    "compare_masks",
    "evaluate_masks",
    "evaluate_run",
    "evaluation_path",
    "forget_answers",
    "is_of_today",
    "judge",
    "load_any_evaluation",
    "load_evaluation",
    "load_mask_answers",
    "load_mask_evaluation",
    "load_predictions",
    "mask_gates",
    "quality_gates",
    "refuse_unknown_names",
    "save_predictions",
    "summarise",
    "summarise_masks",
    "unmeasured_gates",
]

_WHERE = {
    "Judged": "gates",
    "MaskAnswers": "mask_answers",
    "MaskJudged": "mask_limits",
    "Predictions": "predictions",
    "compare": "clones",
    "compare_masks": "mask_clones",
    "evaluate_masks": "mask_run",
    "evaluate_run": "run",
    "evaluation_path": "run",
    "forget_answers": "forgetting",
    "is_of_today": "run",
    "judge": "judgement",
    "load_any_evaluation": "run",
    "load_evaluation": "run",
    "load_mask_answers": "mask_answers",
    "load_mask_evaluation": "run",
    "load_predictions": "predictions",
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
