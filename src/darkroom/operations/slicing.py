"""What the catalogue knows of pictures, as columns by which an evaluation is sliced."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from darkroom.records import Image
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Predictions
    from darkroom.evaluation.slices import Column

__all__ = ["known_columns"]

AT_A_TIME = 1000
"""Pictures whose facts are in memory together."""

MOST_METADATA = 12
"""Columns of metadata that are looked at; each further look makes every verdict harder."""

SQUARE = 1.05
"""Up to this ratio of the sides a picture is called square."""

HOURS = ("0 to 6 h", "6 to 12 h", "12 to 18 h", "18 to 24 h")

NAMED: dict[str, Callable[[Image], str]] = {
    "origin": lambda image: image.origin,
    "licence": lambda image: image.licence,
    "collector": lambda image: image.collector,
    "camera": lambda image: image.camera.device or "",
    "file format": lambda image: image.format,
    "shape": lambda image: _shape(image),
    "hour taken": lambda image: _hour(image),
    "month taken": lambda image: f"{image.camera.taken_at:%Y-%m}" if image.camera.taken_at else "",
    "group": lambda image: image.group or "",
}
"""Attribute → how a picture says it; empty where nobody knows."""

MEASURED: dict[str, Callable[[Image], float]] = {
    "short side, px": lambda image: min(image.width_px, image.height_px),
    "file size, kB": lambda image: image.size_bytes / 1000,
}


def known_columns(workspace: Workspace, predictions: Predictions) -> list[Column]:
    """Returns a column per fact that the catalogue, the CSV table, or the tensors tell of pictures.

    Args:
        workspace: the project.
        predictions: answers to the pictures, with their brightness.
    """
    from darkroom.evaluation.slices import in_quarters, named_column

    count = len(predictions.image_ids)
    metadata = _metadata_names(workspace, predictions.image_ids)
    words: dict[str, _Words] = {name: _Words() for name in (*NAMED, *metadata)}
    figures = {name: array("d") for name in MEASURED}
    for image in _images(workspace, predictions.image_ids):
        for name, say in NAMED.items():
            words[name].add("" if image is None else say(image))
        for name in metadata:
            words[name].add("" if image is None else image.metadata.get(name, ""))
        for name, measure in MEASURED.items():
            figures[name].append(float("nan") if image is None else measure(image))
    columns = [
        named_column(name, found.names, is_group=name == "group")
        for name, found in words.items()
        if found.known and not (name == "group" and len(found.known) >= count)
    ]
    columns += [in_quarters(name, np.array(found)) for name, found in figures.items()]
    if predictions.brightness is not None:
        columns.append(in_quarters("brightness", predictions.brightness.astype(np.float64), digits=2))
    return columns


class _Words:
    """Names, each kept once."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.known: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Notes what the next picture says."""
        self.names.append(self.known.setdefault(name, name) if name else "")


def _images(workspace: Workspace, image_ids: Sequence[str]) -> Iterator[Image | None]:
    """Yields the pictures in their order; None for one that the project does not hold any more."""
    ids = iter(image_ids)
    while some := list(islice(ids, AT_A_TIME)):
        found = workspace.catalogue.images.many(some)
        yield from (found.get(image_id) for image_id in some)


def _metadata_names(workspace: Workspace, image_ids: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for image in _images(workspace, image_ids):
        if image is not None:
            names.update(dict.fromkeys(image.metadata))
    return [name for name in names if name not in NAMED][:MOST_METADATA]


def _shape(image: Image) -> str:
    sides = image.width_px, image.height_px
    width, height = sides[::-1] if image.camera.orientation >= 5 else sides
    if max(width, height) <= SQUARE * min(width, height):
        return "square"
    return "wide" if width > height else "tall"


def _hour(image: Image) -> str:
    taken = image.camera.taken_at
    return "" if taken is None else HOURS[taken.hour // 6]
