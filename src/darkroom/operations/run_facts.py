"""What is known of runs, by name: figures with their intervals, and what they were trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from darkroom.errors import Damaged, NotFound
from darkroom.operations.run_pictures import recipe_kept
from darkroom.records import SPLITS, Interval, Run
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Evaluation, LabelSetEvaluation, MaskEvaluation

__all__ = ["SMALLER_IS_BETTER", "Figures", "figures_of", "parameters_of", "smaller_is_better"]

Figures = Mapping[str, Interval]
"""Name → figure; one without an interval has its value at both ends, and the method ""."""

SMALLER_IS_BETTER = ("loss", "brier", "ece_equal_mass", "ece_equal_width", "duration_s", "_bytes")
"""Endings of names of figures of which less is better."""


def smaller_is_better(name: str) -> bool:
    """Says whether of a figure the smaller one is the better."""
    return name.endswith(SMALLER_IS_BETTER)


def figures_of(workspace: Workspace, run: Run) -> Figures:
    """Returns every figure that is kept of a run, by names such as "val.accuracy", "test.recall.roses".

    Those of the training come first; where answers to a split are kept, its figures come with the interval
    that verdicts rest on.
    """
    found = {
        name: _plain(value)
        for name, value in run.metrics.items()
        if not name.startswith("foreseen.") and name != "epochs"
    }
    for split in SPLITS:
        evaluation = _evaluation(workspace, run, split)
        if evaluation is not None:
            found |= {f"{split}.{name}": one for name, one in _of_evaluation(evaluation)}
    share = found.get("val.accuracy")
    if share is not None and not share.method and "val.miou" not in found:
        found["val.accuracy"] = _of_share(workspace, run, share.value)
    return found


def parameters_of(workspace: Workspace, run: Run) -> dict[str, Any]:
    """Returns what a run was trained with: by "dataset", "seed", "recipe.learning_rate" and so on."""
    found: dict[str, Any] = {"dataset": run.dataset, "seed": run.seed, "recipe.network": run.network}
    if run.parent:
        found["start_from"] = run.parent
    try:
        recipe = recipe_kept(workspace, run.id)
    except Damaged:
        recipe = {}
    return found | dict(_leaves("recipe", recipe))


def _evaluation(
    workspace: Workspace, run: Run, split: str
) -> Evaluation | LabelSetEvaluation | MaskEvaluation | None:
    from darkroom.evaluation import evaluation_path, load_any_evaluation

    folder = workspace.runs_folder / run.id
    if not evaluation_path(folder, split).is_file():
        return None
    try:
        return load_any_evaluation(folder, split)
    except (NotFound, Damaged):
        return None


def _of_evaluation(evaluation: Any) -> Iterator[tuple[str, Interval]]:
    from darkroom.evaluation import headline

    yield from headline(evaluation.figures).items()
    for row in getattr(evaluation.figures, "classes", ()):
        for name, one in headline(row).items():
            yield f"{name}.{row.label}", one
    calibration = getattr(evaluation, "calibration", None)
    if calibration is not None:
        yield from headline(calibration.before).items()


def _of_share(workspace: Workspace, run: Run, value: float) -> Interval:
    """Returns a validation accuracy with Wilson's interval, as long as no answers are kept."""
    from darkroom.statistics import wilson

    try:
        count = workspace.catalogue.datasets.get(run.dataset).counts.get("val", 0)
    except NotFound:
        count = 0
    return wilson(value * count, count) if count else _plain(value)


def _plain(value: float) -> Interval:
    return Interval(value=value, low=value, high=value, method="")


def _leaves(path: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        here = f"{path}.{name}"
        if isinstance(value, Mapping):
            yield from _leaves(here, value)
        else:
            yield here, list(value) if isinstance(value, list | tuple) else value
