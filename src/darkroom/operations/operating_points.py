"""What is chosen for a run after its training, its operating point above all: kept in its model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from darkroom import atomic
from darkroom.errors import Damaged
from darkroom.records import ModelCard, OperatingPoint, content_id
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from darkroom.evaluation.depth import Depth

__all__ = ["depth_of", "keep_in_card", "keep_point", "point_content", "point_of"]

CARD = "model-card.json"

JUDGED_AS = 1
"""Raised when a deeper look finds other things in the same answers: those that are kept are judged anew."""


def point_of(workspace: Workspace, run: str) -> OperatingPoint:
    """Returns the operating point that is kept with a run; one that changes nothing where none was chosen.

    Raises:
        Damaged: the run's card is not what was written.
    """
    path = workspace.runs_folder / run / CARD
    return _card(path).operating_point if path.is_file() else OperatingPoint()


def keep_point(workspace: Workspace, run: str, point: OperatingPoint) -> None:
    """Writes an operating point into a run's card; see `keep_in_card`."""
    keep_in_card(workspace, run, operating_point=point)


def keep_in_card(workspace: Workspace, run: str, **facts: object) -> None:
    """Writes facts into a run's card.

    Raises:
        Damaged: the run's card is not what was written.
        StorageFailed: the disk is full or refuses.
    """
    path = workspace.runs_folder / run / CARD
    card = _card(path).model_copy(update=facts)
    atomic.write_text(path, card.model_dump_json(indent=2) + "\n")


def point_content(workspace: Workspace, runs: Iterable[str | None]) -> dict[str, str]:
    """Returns the chosen operating points of runs as inputs of a stage; nothing for runs without one."""
    found = {run: point_of(workspace, run) for run in runs if run}
    return {
        f"operating point of {run}": content_id(point)
        for run, point in found.items()
        if point != OperatingPoint()
    }


def depth_of(workspace: Workspace, run: str, classes: tuple[str, ...]) -> Depth:
    """Returns what a deeper look at a run's answers needs: costs, operating point, facts about pictures.

    Raises:
        InvalidConfig: a cost of the brief names neither a class nor a rule.
    """
    from darkroom.evaluation.depth import Depth
    from darkroom.evaluation.operating import prices_of
    from darkroom.operations.slicing import known_columns

    brief, point = workspace.project.brief, point_of(workspace, run)
    prices = prices_of(brief, classes)
    costs = None if prices is None else [prices.table.tolist(), prices.not_sure]
    return Depth(
        prices=prices,
        point=point,
        columns=lambda predictions: known_columns(workspace, predictions),
        basis=content_id({"costs": costs, "point": point, "judged": JUDGED_AS}),
    )


def _card(path: Path) -> ModelCard:
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Damaged(
            "run.card-damaged",
            "Cannot read the model card {path}.",
            do="Train the run again: darkroom model train --again …",
            path=path,
        ) from error
