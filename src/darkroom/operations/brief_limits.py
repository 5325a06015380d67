"""What the brief decides for operations: words that travel in the card, and limits that must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from darkroom.errors import NotFound
from darkroom.records import Brief, BundleManifest, Interval, Limits, content_id
from darkroom.workspace import Workspace

__all__ = ["CARD_WORDS", "Standings", "brief_content", "card_words", "hold_limits", "limits_content"]

CARD_WORDS = ("intended_use", "not_for", "human_review", "licence")
"""Fields of the brief that travel in the model card."""


class Standings(NamedTuple):
    """How the limits of a brief stand, in words."""

    missed: tuple[str, ...]
    unproven: tuple[str, ...]
    """Set, and neither shown to hold nor to be missed."""


def brief_content(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns the brief as an input of a stage that shows it."""
    return {"brief": content_id(workspace.project.brief)}


def limits_content(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns the brief's limits as an input of a stage that holds them."""
    return {"brief.limits": content_id(workspace.project.brief.limits)}


def card_words(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns the words of the brief that travel in the card, as an input."""
    brief = workspace.project.brief
    return {"brief.card": content_id({name: getattr(brief, name) for name in CARD_WORDS})}


def hold_limits(workspace: Workspace, run: str, split: str, manifest: BundleManifest) -> Standings:
    """Holds the limits of the brief against a run's evaluation and the bundle made of it.

    Limits on single files and on parity are held where the files are compared.

    Args:
        workspace: the project.
        run: the run.
        split: the pictures that it was evaluated on.
        manifest: what the bundle holds.
    """
    limits = workspace.project.brief.limits
    figures = _figures(workspace, run, split)
    missed, unproven = list(_size(limits, manifest)), list(_not_measured(limits))
    for name, least in _wanted(workspace.project.brief):
        verdict, words = _standing(name, least, figures, split)
        if verdict == "fail":
            missed.append(words)
        elif verdict != "pass":
            unproven.append(words)
    return Standings(tuple(missed), tuple(unproven))


def _wanted(brief: Brief) -> Iterator[tuple[str, float]]:
    if brief.limits.accuracy is not None:
        yield "accuracy", brief.limits.accuracy
    for label, least in brief.limits.recall.items():
        yield f'recall of "{label}"', least


def _figures(workspace: Workspace, run: str, split: str) -> Mapping[str, Interval | None] | None:
    from darkroom.evaluation import load_evaluation

    try:
        figures = load_evaluation(workspace.runs_folder / run, split).figures
    except NotFound:
        return None
    recalls = {f'recall of "{row.label}"': row.recall for row in figures.classes}
    return {"accuracy": figures.accuracy, **recalls}


def _standing(
    name: str, least: float, figures: Mapping[str, Interval | None] | None, split: str
) -> tuple[str, str]:
    from darkroom.statistics import against_limit

    if figures is None:
        return "unknown", (
            f"The limit {name} ≥ {least:g} is not proven: the run is not evaluated on {split}. "
            f"See: darkroom model evaluate --help"
        )
    if name not in figures:
        return "unknown", f"The limit {name} ≥ {least:g} names a class that the model does not have."
    figure = figures[name]
    if figure is None:
        return "unknown", f"The limit {name} ≥ {least:g} is not proven: no such picture in {split}."
    verdict = against_limit(figure, least)
    if verdict == "fail":
        return verdict, f"The limit {name} ≥ {least:g} is missed: {figure} on {split}."
    return verdict, f"The limit {name} ≥ {least:g} is not proven by so few pictures: {figure} on {split}."


def _size(limits: Limits, manifest: BundleManifest) -> Iterator[str]:
    size_bytes = sum(file.size_bytes for file in manifest.files)
    if limits.bundle_bytes is not None and size_bytes > limits.bundle_bytes:
        yield f"The bundle has {size_bytes:,} bytes, at most {limits.bundle_bytes:,} expected."


def _not_measured(limits: Limits) -> Iterator[str]:
    for name in ("expected_cost", "memory_bytes"):
        if getattr(limits, name) is not None:
            yield f"The limit {name} is set, and this version of Darkroom does not measure it yet."
