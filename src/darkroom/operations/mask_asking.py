"""Write the masks that a model answers: a PNG of class numbers, and the photo with the mask over it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from darkroom import atomic
from darkroom.errors import InvalidImage, Unsupported
from darkroom.images import apply_contract, decode
from darkroom.operations.prediction import PredictedMask, RefusedFile
from darkroom.serving.mask_prediction import mask_on_photo, png_of, shares_of
from darkroom.tasks.overlap import IGNORE
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.asking import Model

__all__ = ["Masked", "ask_masks"]

FOLDER = "08-tuned/masks"


class Masked(NamedTuple):
    """The masks that were written, and the files that no mask was given for."""

    masks: tuple[PredictedMask, ...]
    refused: tuple[RefusedFile, ...]


def ask_masks(workspace: Workspace, model: Model, files: Iterable[Path], *, inline: bool) -> Masked:
    """Asks a model for the masks of pictures and writes them, a picture at a time.

    Args:
        workspace: the project.
        model: what is asked.
        files: the pictures.
        inline: put each mask into the answer as well.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    masks: list[PredictedMask] = []
    refused: list[RefusedFile] = []
    taken: set[str] = set()
    for path in files:
        try:
            masks.append(_masked(workspace, model, path, _name(path, taken), inline=inline))
        except (InvalidImage, Unsupported, OSError) as error:
            refused.append(RefusedFile(image=str(path), why=str(error)))
    return Masked(tuple(masks), tuple(refused))


def _masked(workspace: Workspace, model: Model, path: Path, name: str, *, inline: bool) -> PredictedMask:
    from darkroom.images import overlay

    data = path.read_bytes()
    decoded = decode(data)
    prepared = apply_contract(decoded, model.card.contract)
    answer = model.answer(prepared.tensor)
    labels = model.card.labels
    mask, photo = mask_on_photo(answer.probabilities[0], prepared.transform, decoded, labels)
    folder = workspace.deliverables / FOLDER
    # The picture's id lets `image.forget` find what was made of it.
    facts = {"image": hashlib.sha256(data).hexdigest(), "model": model.name, "classes": json.dumps(labels)}
    mask_png = png_of(mask, facts)
    atomic.write_bytes(folder / f"{name}-mask.png", mask_png)
    atomic.write_bytes(folder / f"{name}-overlay.png", png_of(overlay(photo, mask), facts))
    found = PredictedMask(
        image=str(path),
        mask=workspace.relative(folder / f"{name}-mask.png"),
        overlay=workspace.relative(folder / f"{name}-overlay.png"),
        width_px=mask.shape[1],
        height_px=mask.shape[0],
        shares=shares_of(mask, labels),
        unanswered=float((mask == IGNORE).mean()),
        mask_png=base64.b64encode(mask_png).decode() if inline else "",
        domain=model.checked(prepared.tensor, prepared.transform, answer),
    )
    return found.inside(workspace.root)


def _name(path: Path, taken: set[str]) -> str:
    """Returns a name for the files of a picture that no other picture of this call has."""
    name, number = path.stem, 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}"
    taken.add(name)
    return name
