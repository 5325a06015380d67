"""Hand over the pages of the domain check: what training looks like, and what was said of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.errors import DarkroomError
from darkroom.operations.deliverables import THUMBNAIL_PX, thumbnails
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.domain import Sketch
    from darkroom.operations.prediction import PredictReport

__all__ = ["CHECKED_PAGE", "deliver_checked", "deliver_domain"]

CHECKED_PAGE = "08-tuned/predictions.html"
MOST_SHOWN = 200


def deliver_domain(workspace: Workspace, sketch: Sketch) -> str:
    """Writes the page of a sketch; returns its path."""
    from darkroom.documents.domain import domain_page

    page = domain_page(
        project=workspace.project.project.name,
        sketch=sketch,
        pictures=thumbnails(workspace, sketch.facts.image_ids[:24]),
    )
    place = workspace.deliverables / f"07-evaluation/domain-{sketch.facts.run}.html"
    atomic.write_bytes(place, page)
    return workspace.relative(place)


def deliver_checked(workspace: Workspace, report: PredictReport) -> str:
    """Writes the page of answers to pictures, those that differ first; returns its path."""
    from darkroom.documents.domain import checked_page

    answered = (*report.images, *report.label_sets, *report.masks)
    shown = sorted(answered, key=lambda one: one.domain is None or one.domain.in_domain)[:MOST_SHOWN]
    drawn = {mask.image: str(workspace.root / mask.overlay) for mask in report.masks}
    near = [near.image_id for one in shown if one.domain for near in one.domain.nearest]
    page = checked_page(
        project=workspace.project.project.name,
        report=report,
        shown=shown,
        pictures=_of_files({one.image: drawn.get(one.image, one.image) for one in shown}),
        training=thumbnails(workspace, near, most=5 * MOST_SHOWN),
    )
    place = workspace.deliverables / CHECKED_PAGE
    atomic.write_bytes(place, page)
    return workspace.relative(place)


def _of_files(paths: Mapping[str, str]) -> Mapping[str, bytes]:
    """Returns small copies of files, name → path, by name; one that cannot be read is left out."""
    from pathlib import Path

    from darkroom.images import thumbnail

    found = {}
    for name, path in paths.items():
        try:
            found[name] = thumbnail(Path(path).read_bytes(), THUMBNAIL_PX)
        except (DarkroomError, OSError):
            continue
    return found
