"""What the quickstart shows at its end: clones, formats, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.operations.evaluation import EvaluateReport
from darkroom.operations.export import VerifyReport
from darkroom.pipeline.runner import RunReport
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.pipeline.verbs import QuickstartReport

__all__ = ["quickstart_report"]


def quickstart_report(workspace: Workspace, run: RunReport, *, shown: str) -> QuickstartReport:
    """Gathers the tables from what the stages left.

    Args:
        workspace: the project.
        run: what the stages did.
        shown: the project's folder as a person would type it.
    """
    from darkroom.pipeline.verbs import QuickstartReport

    result = _result(workspace, "evaluate")
    evaluated = EvaluateReport.model_validate(result) if result is not None else None
    verified = VerifyReport.model_validate(_result(workspace, "verify")) if not run.missed else None
    return QuickstartReport(
        run=run,
        clones=tuple(row[:4] for row in evaluated.rows) if evaluated else (),
        formats=verified.rows if verified else (),
        spread=evaluated.spread if evaluated else "not evaluated within the limits",
        report=f"{shown}/deliverables/report.html" if verified else "not written: a limit is missed",
        bundle=f"{shown}/{verified.path}" if verified else "not handed over: a limit is missed",
        folder=shown,
    )


def _result(workspace: Workspace, stage: str) -> dict[str, object] | None:
    """Returns what a stage gave when it last held its limits; None when it never did."""
    last = workspace.catalogue.stages.last(stage)
    return last.result["results"][0] if last is not None else None
