"""What `init` picks when nothing else is said: a contract, and the stages of the main job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from darkroom.errors import DarkroomError, Invalid
from darkroom.records import Contract, Image, ResizeMode, StageEntry

__all__ = ["guess_contract", "main_job"]

LOOKED_AT = 48
"""Pictures that are looked at for a guess; enough to see a mixture, few enough to be at once."""

SMALL_PX = 40
"""Up to this short side, pictures are taken for small signs such as digits."""

SQUARE_ENOUGH = 1.05
"""Up to this ratio of the sides, squashing to a square changes less than cropping loses."""


def guess_contract(folder: Path) -> Contract:
    """Looks at some pictures of a folder and picks size, colour and resize mode.

    Small pictures become 28×28 tensors, others 64×64, as fits the networks of the table; pictures that
    are all grey stay grey; pictures that are nearly square are squashed, others cropped in the middle.

    Raises:
        Invalid: the folder holds no picture that can be read.
    """
    seen = list(_some_pictures(folder))
    if not seen:
        raise Invalid(
            "init.no-pictures",
            "No picture that can be read in {folder}.",
            do="Give a folder with one sub-folder per class: darkroom init NAME --images FOLDER",
            folder=folder,
        )
    side_px = 28 if median(min(image.width_px, image.height_px) for image in seen) <= SMALL_PX else 64
    grey = all(image.mode in ("1", "L", "LA", "I;16") for image in seen)
    ratios = [max(image.width_px, image.height_px) / min(image.width_px, image.height_px) for image in seen]
    resize: ResizeMode = "squash" if max(ratios) <= SQUARE_ENOUGH else "crop"
    return Contract(width_px=side_px, height_px=side_px, colour="grey" if grey else "rgb", resize=resize)


def main_job(
    name: str,
    images: str,
    *,
    format: str,
    contract: Contract,
    recipe: dict[str, Any],
    clones: int,
) -> list[StageEntry]:
    """Returns the stages from a folder of pictures to a proven bundle.

    Args:
        name: name of the dataset.
        images: folder of pictures, relative to the project.
        format: name in the table of formats.
        contract: from decoded pixels to the tensor.
        recipe: what differs from the default recipe.
        clones: how many clones to train.
    """
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("collect", "source.add", {"folder": images, "format": format}),
        ("prepare", "dataset.freeze", {"dataset": name, "sources": ["@collect"], "contract": contract}),
        ("network", "model.describe", {"dataset": "@prepare"}),
        ("train", "model.clone", {"dataset": "@prepare", "times": clones, "recipe": recipe}),
        ("evaluate", "model.evaluate", {"runs": ["@train"]}),
        ("choose", "model.select", {"runs": ["@train"]}),
        ("convert", "export.convert", {"run": "@choose"}),
        ("verify", "export.verify", {"bundle": "@convert"}),
        ("report", "report", {"runs": ["@train"], "bundle": "@verify"}),
    ]
    return [StageEntry(name=stage, operation=verb, request=request) for stage, verb, request in rows]


def _some_pictures(folder: Path) -> Iterator[Image]:
    """Yields facts about pictures spread evenly over a folder's files."""
    from darkroom.images import describe

    paths = sorted(
        Path(parent, name) for parent, _, names in os.walk(folder) for name in names if name[0] != "."
    )
    step = max(1, len(paths) // LOOKED_AT)
    for path in paths[::step]:
        try:
            yield describe(path.read_bytes())
        except (DarkroomError, OSError):
            continue
