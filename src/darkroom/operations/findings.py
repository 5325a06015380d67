"""What a deeper look at a run found, in a few lines for the shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.evaluation import Evaluation
    from darkroom.evaluation.findings import OperatingFigures

__all__ = ["spoken_findings"]

MOST_SLICES = 5
"""Parts of the pictures that are named; the page holds all."""


def spoken_findings(evaluation: Evaluation, human: float | None) -> Iterator[str]:
    """Yields how a run stands to people, at its operating point, and where it differs with evidence.

    Args:
        evaluation: of one run.
        human: accuracy of people on such pictures.
    """
    from darkroom.evaluation.people import against_people

    run = evaluation.source.run
    if human is not None:
        word = against_people(evaluation.figures.accuracy, human)
        yield f"{run} against people, who reach {human:.4g} by the brief: {word}"
    if evaluation.operating is not None:
        yield f"{run} at its operating point: {_spoken_point(evaluation.operating)}"
    found = evaluation.slices.slices if evaluation.slices is not None else ()
    called = [row for row in found if row.verdict in ("worse", "better")]
    for row in called[:MOST_SLICES]:
        yield (
            f"{run} is {row.verdict} on {row.attribute}: {row.value}: {row.accuracy} on {row.count:,} "
            f"pictures, {row.others:.4f} on the others (corrected p {row.adjusted_p_value:.2g})"
        )
    if len(called) > MOST_SLICES:
        yield f"… and differs on {len(called) - MOST_SLICES} more parts: see the page."


def _spoken_point(figures: OperatingFigures) -> str:
    words = f"answers {figures.coverage.value:.1%} of the pictures"
    if figures.accuracy_of_answered is not None:
        words += f", of these rightly {figures.accuracy_of_answered}"
    if figures.expected_cost is not None and figures.cost_if_all_answered is not None:
        words += (
            f"; a picture costs {figures.expected_cost}, {figures.cost_if_all_answered.value:.4f} if all "
            f"were answered ({figures.verdict})"
        )
    return words
