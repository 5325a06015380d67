"""Operation that says in words what is wrong with a training, each finding backed by evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from darkroom.diagnosis.verdict import Verdict
from darkroom.errors import Unsupported
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Record, Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.diagnosis.evidence import Evidence

__all__ = ["DIAGNOSIS_FILE", "Diagnosis", "diagnose", "diagnosis_page_of", "kept_diagnosis"]

DIAGNOSIS_FILE = "diagnosis.json"


class Diagnosis(Record):
    """What was found about a run; stands in its folder."""

    run: str
    epoch: int
    """After which epoch it was asked."""
    verdicts: tuple[Verdict, ...]
    """Those that were found first; whether it looks healthy last."""
    missing: tuple[str, ...] = ()
    """What could not be gathered, and why."""


class DiagnoseReport(Result):
    """What is wrong with a training, in words."""

    run: RunRef
    epoch: int
    """After which epoch it was asked."""
    found: tuple[str, ...]
    """Names of what was found; "looks healthy" among them where nothing is wrong."""
    verdicts: tuple[Verdict, ...]
    """One on each suspicion, those that were found first."""
    missing: tuple[str, ...] = ()
    """What could not be gathered, and why."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields what was found with its evidence and what to try; then what was not found."""
        for one in self.verdicts:
            if one.state != "found":
                continue
            yield f"{self.run}, epoch {self.epoch}: {one.name}. {one.said}"
            yield from (f"    because: {line}" for line in one.evidence)
            yield from (f"    try: {step}" for step in one.next_steps)
        others = [(one.name, one.state, one.said) for one in self.verdicts if one.state != "found"]
        if others:
            yield Table(("", "", ""), tuple(others), "Not found, or not known")
        yield from (f"Not gathered: {line}" for line in self.missing)
        yield f"Page: {self.path}"

    def notes(self) -> Iterator[str]:
        """Yields what was found."""
        yield from (f"{self.run}: {one.name}. {one.said}" for one in self.verdicts if one.state == "found")


@operation("model.diagnose", stage=6, slow=True, libraries=LIBRARIES)
def diagnose(
    workspace: Workspace, *, run: RunRef, minutes: Annotated[float, Field(ge=0, le=10_000)] = 5.0
) -> DiagnoseReport:
    """Say in words what is wrong with a training, each verdict with its evidence and what to try next.

    It asks the newest weights about a part of train and of val in evaluation mode, holds labels against
    features out of fold, and trains for a short while with another rate, half the pictures, regularisation,
    or a larger network, where that could change a verdict. It works on a run that is finished, was stopped,
    failed, or is still trained by another process; of the short trainings nothing is kept. Test is not
    looked at.

    Args:
        run: the run.
        minutes: for all short trainings together, about; 0 makes none.
    """
    from darkroom import atomic
    from darkroom.diagnosis.verdicts import diagnose as judged
    from darkroom.operations.diagnosing import gathered

    found = workspace.catalogue.runs.get(run)
    _refuse_other_tasks(workspace, found.dataset)
    evidence = gathered(workspace, found, minutes=minutes)
    verdicts = judged(evidence)
    epoch = evidence.points[-1].epoch if evidence.points else 0
    kept = Diagnosis(run=found.id, epoch=epoch, verdicts=verdicts, missing=evidence.missing)
    folder = workspace.runs_folder / found.id
    atomic.write_text(folder / DIAGNOSIS_FILE, kept.model_dump_json(indent=1) + "\n")
    return DiagnoseReport(
        run=found.id,
        epoch=epoch,
        found=tuple(one.name for one in verdicts if one.state == "found"),
        verdicts=verdicts,
        missing=evidence.missing,
        path=_deliver(workspace, kept, evidence),
    )


def kept_diagnosis(workspace: Workspace, run: str) -> Diagnosis | None:
    """Returns the diagnosis that is kept with a run; None where there is none, or it cannot be read."""
    try:
        return Diagnosis.model_validate_json((workspace.runs_folder / run / DIAGNOSIS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def diagnosis_page_of(run: str) -> str:
    """Returns the place of the page of a diagnosis, inside the deliverables."""
    return f"06-training/{run}-diagnosis.html"


def _deliver(workspace: Workspace, found: Diagnosis, evidence: Evidence) -> str:
    from darkroom import atomic
    from darkroom.documents.diagnosis import diagnosis_page
    from darkroom.operations.deliverables import thumbnails

    doubted = evidence.labels.doubted[:24] if evidence.labels else ()
    shown = any(one.name == "labels look wrong" and one.state == "found" for one in found.verdicts)
    page = diagnosis_page(
        project=workspace.project.project.name,
        run=found.run,
        epoch=found.epoch,
        verdicts=found.verdicts,
        missing=found.missing,
        doubted=thumbnails(workspace, doubted) if shown else {},
    )
    path = workspace.deliverables / diagnosis_page_of(found.run)
    atomic.write_bytes(path, page)
    return workspace.relative(path)


def _refuse_other_tasks(workspace: Workspace, dataset: str) -> None:
    task = workspace.catalogue.datasets.get(dataset).task
    if task != "classification":
        raise Unsupported(
            "diagnose.task",
            "A diagnosis is of runs that answer one class per picture. Dataset {dataset} is for {task}.",
            do="See how it goes: darkroom model watch",
            dataset=dataset,
            task=task,
        )
