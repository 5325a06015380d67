"""The pages of the domain check: what the training pictures look like, and pictures held against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkroom.documents.page import html

if TYPE_CHECKING:
    from darkroom.domain import Sketch

__all__ = ["checked_page", "domain_page"]


def domain_page(*, project: str, sketch: Sketch, pictures: Mapping[str, bytes] | None = None) -> bytes:
    """Returns the page of a sketch.

    Args:
        project: name of the project.
        sketch: what is known of the training pictures.
        pictures: encoded thumbnails of some training pictures, by image id.
    """
    rows = [
        (trait.known, *(trait.known.said(trait.quantiles[place]) for place in (0, 2, 4)))
        for trait in sketch.facts.traits
    ]
    return html("domain", project=project, facts=sketch.facts, rows=rows, pictures=pictures or {})


def checked_page(
    *,
    project: str,
    report: Any,
    shown: Sequence[Any],
    pictures: Mapping[str, bytes],
    training: Mapping[str, bytes],
) -> bytes:
    """Returns the page of answers to pictures.

    Args:
        project: name of the project.
        report: what answered, and what was refused.
        shown: the answers to show, each with what the domain check says.
        pictures: encoded thumbnails of the pictures, by path.
        training: encoded thumbnails of training pictures, by image id.
    """
    answered = (*report.images, *report.label_sets, *report.masks)
    checked = [one for one in answered if one.domain is not None]
    return html(
        "checked",
        project=project,
        report=report,
        shown=shown,
        answered=answered,
        checked=len(checked),
        differing=sum(not one.domain.in_domain for one in checked),
        pictures=pictures,
        training=training,
    )
