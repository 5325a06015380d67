"""Operations on the brief: how a run, and the bundle made of it, stand to its limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom.errors import NotFound
from darkroom.operation import RunRef, operation
from darkroom.operations.gates import bundle_gates, check_names, hold_quality, verdict_content
from darkroom.operations.judged import count_looks
from darkroom.operations.kept import kept_json, kept_parity
from darkroom.records import Gate, Result, Run, Table, gate_notes, missed_gates, shown_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.export import ParityReport

__all__ = ["check"]


class CheckReport(Result):
    """Every limit of the brief with its verdict."""

    run: RunRef
    """The run that it was held against."""
    chosen_by: str
    """Why this run: it was named, it was handed over, or it is the newest."""
    bundle: str = ""
    """The newest bundle made of it; empty when there is none."""
    passed: bool
    """Whether no limit is missed; one without enough evidence is not missed."""
    gates: tuple[Gate, ...]
    whose: str = ""
    """Where the run is one of several clones: that these figures are its own, in words."""
    looks: str = ""
    """How often the test pictures of its dataset were looked at."""

    @property
    def exit_code(self) -> int:
        """7 when a limit is missed."""
        return 0 if self.passed else 7

    def display(self) -> Iterator[str | Table]:
        """Yields one row per limit, then what it comes to."""
        made = f", and {self.bundle} made of it" if self.bundle else ""
        yield f"{self.run} ({self.chosen_by}){made}"
        yield from shown_gates(self.gates)
        if self.whose:
            yield self.whose
        if self.looks:
            yield self.looks

    def notes(self) -> Iterator[str]:
        """Yields the limits that do not pass."""
        yield from gate_notes(self.gates)


@operation("brief.check", stage=1, positional=("run",), inputs=verdict_content)
def check(workspace: Workspace, *, run: RunRef | None = None) -> CheckReport:
    """Show every limit of the brief with its verdict, from what is measured already.

    Limits on quality are held against the answers to the val pictures that are kept; once a bundle of the
    run was verified, against those to its test pictures as well. Nothing is measured anew. A missed limit
    ends with exit code 7.

    Args:
        run: the run; when not given the one that the newest bundle was made of, else the newest one.
    """
    from darkroom.export.gates import unmeasured_files
    from darkroom.operations.bundling import compared_split

    found, why = _chosen(workspace, run)
    check_names(workspace, found.dataset)
    gates = list(hold_quality(workspace, (found.id,), ask=False))
    bundle = next(reversed(workspace.catalogue.bundles.list(run_id=found.id)), None)
    parity = _parity(workspace, bundle.id) if bundle is not None else None
    if bundle is not None and parity is not None:
        split = compared_split(workspace, found.id)
        verified = bundle_gates(workspace, found.id, split, bundle.manifest, parity)
        gates += [gate for gate in verified if gate not in gates]
    else:
        task = workspace.catalogue.datasets.get(found.dataset).task
        gates += unmeasured_files(workspace.project.brief.limits, task)
    looks = count_looks(workspace, found.dataset)
    return CheckReport(
        run=found.id,
        chosen_by=why,
        bundle=bundle.id if bundle is not None else "",
        passed=not missed_gates(gates),
        gates=tuple(gates),
        whose=_whose(workspace, found.id),
        looks=f"test of {found.dataset} was looked at {looks.words}." if looks.count else "",
    )


def _whose(workspace: Workspace, run: str) -> str:
    """Returns that the figures are those of one clone alone; empty where the run was judged alone."""
    path = workspace.runs_folder / run / "gates-val.json"
    clones = kept_json(path).get("runs", []) if path.is_file() else []
    if len(clones) < 2:
        return ""
    return (
        f"These are the figures of {run} alone. `darkroom run` goes by the mean of the clones "
        f"{', '.join(map(str, clones))} on val, so its figures are others."
    )


def _chosen(workspace: Workspace, name: str | None) -> tuple[Run, str]:
    runs = workspace.catalogue.runs
    bundles = [
        one for one in workspace.catalogue.bundles.list() if one.run_id
    ]  # others came from elsewhere
    if name is not None:
        return runs.get(name), "named"
    if bundles:
        return runs.get(bundles[-1].run_id), "the newest bundle is made of it"
    finished = runs.list(state="finished")
    if not finished:
        raise NotFound(
            "brief.no-run",
            "There is no finished run to hold the brief against.",
            do="Train one: darkroom run",
        )
    return finished[-1], "the newest run"


def _parity(workspace: Workspace, bundle: str) -> ParityReport | None:
    from darkroom.operations.bundling import parity_path

    path = parity_path(workspace, bundle)
    return kept_parity(path) if path.is_file() else None
