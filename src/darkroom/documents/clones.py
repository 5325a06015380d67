"""The page of clones: how much they differ, on pictures as they are and under stress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.documents.page import html, inline
from darkroom.records import Spread

if TYPE_CHECKING:
    from darkroom.documents.clone_figures import Strip
    from darkroom.evaluation import CloneSpread

__all__ = ["clones_page"]

FIGURE_NAMES = {
    "miou": "mean IoU",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "mean_ap": "mean AP",
    "boundary_f1": "boundary F1",
}


def clones_page(
    *,
    project: str,
    dataset: str,
    found: CloneSpread,
    channels: int = 3,
    remarks: Sequence[str] = (),
) -> bytes:
    """Returns the page of some clones.

    Args:
        project: name of the project.
        dataset: name@version of the dataset.
        found: how much they differ.
        channels: of the pictures, which decides what recoloured means.
        remarks: looks, and what must be known.
    """
    from darkroom.documents.clone_figures import strips
    from darkroom.evaluation.stress import spoken_stress

    by = next(iter(found.figures))
    rows = [("as they are", found.figures[by])]
    rows += [(name, spreads[by]) for name, spreads in found.stress.items()]
    drawing = strips(
        [_strip(name, one, "accent" if place == 0 else "cool") for place, (name, one) in enumerate(rows)],
        title=f"{found.figure} of each clone, with the interval of the mean",
        x_title=f"{found.figure} on {found.split}",
    )
    return html(
        "clones",
        project=project,
        dataset=dataset,
        found=found,
        drawing=inline(drawing),
        figures=[
            (FIGURE_NAMES.get(name, name.replace("_", " ")), one) for name, one in found.figures.items()
        ],
        stress=[
            (name, spoken_stress(name, channels), spreads[by])  # type: ignore[arg-type]
            for name, spreads in found.stress.items()
        ],
        of_pixels=found.figure == "mean IoU",
        remarks=remarks,
        values=[
            (run, [one.values[place] for one in found.figures.values()])
            for place, run in enumerate(found.runs)
        ],
    )


def _strip(name: str, found: Spread, family: str) -> Strip:
    from darkroom.documents.clone_figures import Strip

    low, high = (found.interval.low, found.interval.high) if found.interval else (found.mean, found.mean)
    return Strip(name, found.values, found.mean, low, high, family)
