"""The one page that a project ends with: what it is for, how good it is, what leaves, what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom.errors import InvalidConfig
from darkroom.operation import BundleRef, Produced, RunRef, operation
from darkroom.operations.brief_limits import brief_content
from darkroom.operations.gates import hold_quality
from darkroom.operations.judged import count_looks
from darkroom.operations.kept import kept_parity
from darkroom.records import Result, Split, Table, Task
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents import Link, TaskSummary
    from darkroom.evaluation import ClonesSummary, Evaluation

__all__ = ["report"]


class ReportReport(Result):
    """The page of a project."""

    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields where it is."""
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields where it is."""
        yield f"Report: {self.path}"


@operation("report", inputs=brief_content)
def report(
    workspace: Workspace,
    *,
    runs: tuple[RunRef, ...],
    bundle: BundleRef | None = None,
    split: Split = "test",
) -> ReportReport:
    """Write the one page that sums a project up, with links to all others.

    Args:
        runs: the clones that were evaluated.
        bundle: the bundle that was verified.
        split: the pictures that they were evaluated on.
    """
    from darkroom import atomic
    from darkroom.documents import NextStep, report_page
    from darkroom.evaluation import load_evaluation
    from darkroom.operations.bundling import parity_path
    from darkroom.operations.deliverables import trained_clones
    from darkroom.operations.run_tasks import common_task

    if not runs:
        raise InvalidConfig(
            "report.no-runs",
            "report needs at least one run. Received: none.",
            do="List the runs: darkroom model list",
        )
    catalogue = workspace.catalogue
    found = [catalogue.runs.get(name) for name in runs]
    folders = [workspace.runs_folder / run.id for run in found]
    task = common_task(workspace, runs)
    masks = task != "classification"
    evaluations = [] if masks else [load_evaluation(folder, split) for folder in folders]
    kept = parity_path(workspace, catalogue.bundles.get(bundle).id) if bundle else None
    parity = kept_parity(kept) if kept else None
    looks = count_looks(workspace, found[0].dataset, split)
    page = report_page(
        project=workspace.project.project.name,
        brief=workspace.project.brief,
        version=catalogue.datasets.get(found[0].dataset),
        trainings=trained_clones(workspace, found),
        evaluations=evaluations,
        clones=None if masks else _clones(workspace, runs, evaluations, split),
        masks=_summary(workspace, runs, split, task) if masks else None,
        parity=parity,
        chosen=catalogue.bundles.get(bundle).run_id if bundle else "",
        gates=(*hold_quality(workspace, runs, ask=False), *(parity.gates if parity else ())),
        looks=f"{split} of {found[0].dataset} was looked at {looks.words}.",
        diagnoses=tuple(_diagnoses(workspace, runs)),
        links=tuple(_links(workspace, runs, split)),
        next_steps=tuple(NextStep(*step) for step in NEXT_STEPS),
    )
    path = workspace.deliverables / "report.html"
    atomic.write_bytes(path, page)
    return ReportReport(path=workspace.relative(path))


def _clones(
    workspace: Workspace, runs: tuple[str, ...], evaluations: list[Evaluation], split: Split
) -> ClonesSummary:
    """Returns the spread over runs, and whether they are clones."""
    from darkroom.evaluation import load_predictions, summarise
    from darkroom.operations.varying import same_recipe

    answers = [load_predictions(workspace.runs_folder / name, split) for name in runs]
    return summarise(evaluations, answers).model_copy(update={"alike": same_recipe(workspace, runs)})


def _summary(workspace: Workspace, runs: tuple[str, ...], split: Split, task: Task) -> TaskSummary:
    """Returns how good runs that do not answer one class are, as kept.

    Raises:
        NotFound: a run was not evaluated on this split.
    """
    if task == "segmentation":
        return _mask_summary(workspace, runs, split)
    from darkroom.documents import label_set_summary
    from darkroom.evaluation import summarise_label_sets
    from darkroom.operations.label_set_judged import evaluated_label_sets
    from darkroom.operations.varying import same_recipe

    found = [evaluated_label_sets(workspace, name, split) for name in runs]
    clones = summarise_label_sets(found).model_copy(update={"alike": same_recipe(workspace, runs)})
    return label_set_summary([one.evaluation for one in found], clones)


def _mask_summary(workspace: Workspace, runs: tuple[str, ...], split: Split) -> TaskSummary:
    """Returns how good runs that answer masks are, as kept.

    Raises:
        NotFound: a run was not evaluated on this split.
    """
    from darkroom.documents import mask_summary
    from darkroom.evaluation import load_mask_answers, load_mask_evaluation, summarise_masks
    from darkroom.operations.varying import same_recipe

    folders = [workspace.runs_folder / name for name in runs]
    evaluations = [load_mask_evaluation(folder, split) for folder in folders]
    answers = [load_mask_answers(folder, split) for folder in folders]
    clones = summarise_masks(evaluations, answers)
    return mask_summary(evaluations, clones.model_copy(update={"alike": same_recipe(workspace, runs)}))


NEXT_STEPS = (
    ("Ask the model about a picture of your own", "darkroom predict photo.jpg"),
    ("See what stands and what is missing", "darkroom status"),
    ("Change an option in darkroom.toml and see what would run again", "darkroom run --explain"),
)

PAGES = (
    ("03-raw/", "Pictures", "where they came from, and what was set aside"),
    ("04-dataset/dataset.html", "Dataset", "classes, splits, examples"),
    ("05-model/model.html", "Network", "its layers and facts"),
    ("{training}", "Training", "curves, recipe, machine"),
    ("{evaluation}", "Evaluation", "figures with intervals, confusion, worst mistakes"),
    ("09-mobile/parity.html", "Parity", "how the files compare with PyTorch"),
    ("09-mobile/bundle/README.txt", "Bundle", "what goes into the app"),
)


def _diagnoses(workspace: Workspace, runs: tuple[str, ...]) -> Iterator[str]:
    """Yields what was found about the runs, where somebody asked."""
    from darkroom.operations.diagnosis import kept_diagnosis

    for run in runs:
        found = kept_diagnosis(workspace, run)
        if found is not None:
            yield from (f"{run}: {one.name}. {one.said}" for one in found.verdicts if one.state == "found")


def _links(workspace: Workspace, runs: tuple[str, ...], split: str) -> Iterator[Link]:
    from darkroom.documents import Link
    from darkroom.operations.deliverables import evaluation_page_of, training_page_of
    from darkroom.operations.diagnosis import diagnosis_page_of

    pages = {"training": training_page_of(runs), "evaluation": evaluation_page_of(runs, split)}
    for run in runs:
        if (workspace.deliverables / diagnosis_page_of(run)).exists():
            yield Link(diagnosis_page_of(run), f"Diagnosis of {run}", "what holds it back, in words")
    for pattern, title, summary in PAGES:
        place = pattern.format(**pages)
        if (workspace.deliverables / place).exists():
            yield Link(place, title, summary)
