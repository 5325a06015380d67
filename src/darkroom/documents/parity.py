"""The page of a parity report: does each exported file answer as the evaluation did?"""

from __future__ import annotations

from collections.abc import Mapping

from darkroom.documents.page import html
from darkroom.export import ParityReport
from darkroom.export.choice_report import PrecisionReport

__all__ = ["parity_page"]


def parity_page(
    *,
    project: str,
    report: ParityReport,
    bundle: str = "",
    pictures: Mapping[str, bytes] | None = None,
    tried: PrecisionReport | None = None,
) -> bytes:
    """Returns the page of a comparison.

    Args:
        project: name of the project.
        report: the comparison.
        bundle: id of the bundle.
        pictures: encoded thumbnails of images with another answer, by image id.
        tried: the files of several precisions that were tried for this bundle, and which were chosen.
    """
    shown = pictures or {}
    return html("parity", project=project, report=report, bundle=bundle, pictures=shown, tried=tried)
