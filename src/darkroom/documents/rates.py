"""The page of a range test: the curve of the loss over the learning rate, and what to make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.documents.page import html, inline

__all__ = ["rates_page"]


def rates_page(*, project: str, dataset: str, network: str, found: Mapping[str, Any]) -> bytes:
    """Returns the page of a range test.

    Args:
        project: name of the project.
        dataset: name@version.
        network: name in the table of networks.
        found: rates, losses, rate, lowest_at, steepest_at and why.
    """
    from darkroom.documents.rate_figures import rate_curve

    drawn = len(found["rates"]) > 1
    return html(
        "rates",
        project=project,
        dataset=dataset,
        network=network,
        found=found,
        drawing=inline(rate_curve(found)) if drawn else None,
    )
