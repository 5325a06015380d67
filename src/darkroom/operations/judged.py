"""Judge runs on a split, or take the judgement that is kept; and count how often a split was looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom import atomic
from darkroom.errors import Damaged, NotFound
from darkroom.operations.operating_points import depth_of, point_of
from darkroom.operations.run_pictures import pictures_of, split_seed_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Fact, Split
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Evaluation, Judged, LabelSetEvaluation, MaskEvaluation

__all__ = [
    "DRAWS",
    "Looks",
    "count_looks",
    "counts_all",
    "evaluated",
    "judged",
    "kept",
    "note_look",
    "question",
]

DRAWS = 10_000
"""Bootstrap draws: with 2,000 the ends of an interval still move by one picture in some hundred."""


class Looks(Fact):
    """How often the pictures of one split of a dataset version were looked at."""

    count: int
    runs: int
    """By how many runs."""

    @property
    def words(self) -> str:
        """The two in words."""
        times = "once" if self.count == 1 else f"{self.count:,} times"
        return f"{times}, by {counted(self.runs, 'run')}"


def evaluated(workspace: Workspace, name: str, split: Split) -> Evaluation:
    """Asks a run about a split, which is a look, and judges the answers; what was kept is replaced.

    Raises:
        NotFound: there is no such run, or its weights are gone.
        Invalid: the split has no pictures.
    """
    from darkroom.evaluation import evaluate_run

    asked = question(workspace, name, split)
    return evaluate_run(**asked, depth=depth_of(workspace, name, asked["classes"]))


def question(workspace: Workspace, name: str, split: Split) -> dict[str, Any]:
    """Returns what a run of any task is evaluated with: its folder, pictures, classes, draws, progress.

    Raises:
        NotFound: there is no such run, or its weights are gone.
        Cancelled: a person asked to stop, while it is evaluated.
    """
    run = workspace.catalogue.runs.get(name)
    refuse_lost_run(workspace, run)
    version = workspace.catalogue.datasets.get(run.dataset)

    def show(done: int, total: int) -> None:
        workspace.report(f"evaluating {name} on {split}", done=done, total=total, unit="images", stops=True)

    return {
        "run_folder": workspace.runs_folder / run.id,
        "images": pictures_of(workspace, run.id, version).split(split),
        "split": split,
        "classes": version.classes,
        "draws": DRAWS,
        "on_progress": show,
    }


def counts_all(
    workspace: Workspace,
    name: str,
    evaluation: Evaluation | LabelSetEvaluation | MaskEvaluation,
    image_ids: Sequence[str],
) -> bool:
    """Says whether an evaluation of any task was drawn often enough, and of all pictures that are there.

    Args:
        workspace: the project.
        name: of the run.
        evaluation: as it is kept.
        image_ids: the pictures that were answered.

    Raises:
        NotFound: the dataset is gone.
    """
    split = evaluation.source.split
    there = workspace.catalogue.datasets.get(evaluation.source.dataset).counts.get(split, 0)
    if split in ("train", "val") and split_seed_of(workspace, name) is not None:
        there = len(image_ids)  # of another split; whole groups decide how many
    return evaluation.draws >= DRAWS and evaluation.figures.count == there


def kept(workspace: Workspace, name: str, split: Split) -> Judged | None:
    """Returns what is kept of a run on a split; None where nothing is, or nothing that can be read.

    What was judged with fewer draws, or before the dataset lost pictures, does not count.
    """
    from darkroom.evaluation import Judged, load_evaluation, load_predictions

    folder = workspace.runs_folder / name
    try:
        found = Judged(
            load_evaluation(folder, split), load_predictions(folder, split), point_of(workspace, name)
        )
        whole = counts_all(workspace, name, found.evaluation, found.predictions.image_ids)
    except (NotFound, Damaged):
        return None
    return found if whole else None


def judged(workspace: Workspace, name: str, split: Split) -> Judged:
    """Returns what is kept of a run on a split; asks the run where that is not what it would answer today.

    Other weights, other versions of libraries or fewer pictures make the answers others; a limit or a word
    of the brief does not, so holding another limit against what is kept is no look.

    Raises:
        NotFound: as `evaluated`.
    """
    from darkroom.evaluation import Judged, is_of_today, load_predictions

    refuse_lost_run(workspace, workspace.catalogue.runs.get(name))
    found = kept(workspace, name, split)
    if found is not None and is_of_today(workspace.runs_folder / name, found.evaluation):
        return _by_costs_of_today(workspace, name, found)
    evaluation = evaluated(workspace, name, split)
    predictions = load_predictions(workspace.runs_folder / name, split)
    return Judged(evaluation, predictions, point_of(workspace, name))


def _by_costs_of_today(workspace: Workspace, name: str, found: Judged) -> Judged:
    """Returns kept answers judged by the costs and the operating point of today, which is no look."""
    from darkroom.evaluation import evaluation_path
    from darkroom.evaluation.depth import judged_again

    depth = depth_of(workspace, name, found.evaluation.labels)
    if found.evaluation.basis == depth.basis:
        return found
    again = judged_again(found.evaluation, found.predictions, depth)
    path = evaluation_path(workspace.runs_folder / name, again.source.split)
    atomic.write_text(path, again.model_dump_json(indent=1) + "\n")
    return found._replace(evaluation=again)


def count_looks(workspace: Workspace, dataset: str, split: Split = "test") -> Looks:
    """Counts the looks at a split of a dataset version over all runs that are kept.

    Args:
        workspace: the project.
        dataset: name@version.
        split: the pictures.
    """
    counts = []
    for run in workspace.catalogue.runs.list(dataset=dataset):
        folder = workspace.runs_folder / run.id
        found = [_number_in(path) for path in _places_of_looks(folder, split) if path.is_file()]
        counts += [sum(found)] if found else []
    return Looks(count=sum(counts), runs=len(counts))


def note_look(workspace: Workspace, run: str, split: Split) -> str:
    """Notes that the files of a run were held against the labels of a split that the run was never asked.

    Args:
        workspace: the project.
        run: the run.
        split: the pictures.

    Returns:
        That it was noted, in words; empty where an evaluation of the run counts its looks.
    """
    evaluation, noted = _places_of_looks(workspace.runs_folder / run, split)
    if evaluation.is_file():
        return ""
    before = _number_in(noted) if noted.is_file() else 0
    atomic.write_text(noted, json.dumps({"schema_version": 1, "looks": before + 1}) + "\n")
    dataset = workspace.catalogue.runs.get(run).dataset
    looks = count_looks(workspace, dataset, split).words
    return (
        f"{run} was never evaluated on {split}, so this counts as a look: {split} of {dataset} was looked "
        f"at {looks}."
    )


def _places_of_looks(run_folder: Path, split: Split) -> tuple[Path, Path]:
    """Returns where looks at a split are counted: those of evaluations, and other ones."""
    from darkroom.evaluation import evaluation_path

    return evaluation_path(run_folder, split), run_folder / f"looks-{split}.json"


def _number_in(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes()).get("looks", 1))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return 1  # it cannot be read, and was written by a look
