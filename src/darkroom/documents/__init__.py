"""Pages for people, made from facts: one self-contained HTML file each, with pictures and figures inside.

Facts in, bytes out; nothing is read from disk or measured here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from darkroom.documents.facts import Layer, Link, NextStep, TrainedClone

if TYPE_CHECKING:
    from darkroom.documents.clones import clones_page
    from darkroom.documents.dataset import dataset_page
    from darkroom.documents.docx_file import docx
    from darkroom.documents.evaluation import evaluation_page
    from darkroom.documents.evaluation_blocks import evaluation_paper
    from darkroom.documents.label_sets import label_set_summary, label_sets_page, label_sets_paper
    from darkroom.documents.model import model_page
    from darkroom.documents.parity import parity_page
    from darkroom.documents.pdf_file import pdf
    from darkroom.documents.problem import problem_page
    from darkroom.documents.report import report_page
    from darkroom.documents.runs import ShownRun, runs_page
    from darkroom.documents.segmentation import (
        ShownMask,
        mask_summary,
        segmentation_page,
        segmentation_paper,
    )
    from darkroom.documents.task_report import TaskSummary
    from darkroom.documents.training import training_page
    from darkroom.documents.tuning import tuning_page

__all__ = [
    "Layer",
    "Link",
    "NextStep",
    "ShownMask",
    "ShownRun",
    "TaskSummary",
    "TrainedClone",
    "clones_page",
    "dataset_page",
    "docx",
    "evaluation_page",
    "evaluation_paper",
    "label_set_summary",
    "label_sets_page",
    "label_sets_paper",
    "mask_summary",
    "model_page",
    "parity_page",
    "pdf",
    "problem_page",
    "report_page",
    "runs_page",
    "segmentation_page",
    "segmentation_paper",
    "training_page",
    "tuning_page",
]

_WHERE = {
    f"{name}_page": name
    for name in (
        "clones",
        "dataset",
        "evaluation",
        "model",
        "parity",
        "problem",
        "report",
        "runs",
        "training",
        "tuning",
    )
}
_WHERE |= dict.fromkeys(
    ("ShownMask", "mask_summary", "segmentation_page", "segmentation_paper"), "segmentation"
)
_WHERE |= dict.fromkeys(("label_set_summary", "label_sets_page", "label_sets_paper"), "label_sets")
_WHERE |= {
    "ShownRun": "runs",
    "TaskSummary": "task_report",
    "docx": "docx_file",
    "evaluation_paper": "evaluation_blocks",
    "pdf": "pdf_file",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
