"""Keep what a model answered, so that it can be judged, compared and doubted again without the model."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom import atomic
from darkroom.errors import Damaged, NotFound

__all__ = [
    "LARGE_BYTES",
    "PART_BYTES",
    "Predictions",
    "groups_of",
    "load_predictions",
    "save_predictions",
]

LARGE_BYTES = 32_000_000
"""A larger file of probabilities is mapped, not read."""

PART_BYTES = 4_000_000
"""Written at a time."""


class Predictions(NamedTuple):
    """The answers of one model to N images."""

    image_ids: tuple[str, ...]
    labels: np.ndarray
    """(N,) int64, index of the right class; (N, C) of 0 and 1 where an image may have several labels."""
    groups: tuple[str | None, ...] | None
    probabilities: np.ndarray
    """(N, C) float32; a large one lies in its file and is read as it is needed."""
    brightness: np.ndarray | None = None
    """(N,) float32, mean of each tensor, 0 (black) to 1 (white); None where an older version predicted."""

    @property
    def answers(self) -> np.ndarray:
        """Index of the class that was answered, (N,) int64."""
        return self.probabilities.argmax(axis=1)


def save_predictions(folder: Path, split: str, predictions: Predictions) -> tuple[str, str]:
    """Writes `predictions-<split>.npy` and its ids, labels and groups beside it.

    Returns:
        Name of the .npy file, and the sha256 of its bytes.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    name, digest = f"predictions-{split}.npy", hashlib.sha256()
    atomic.write_parts(folder / name, _file_of(predictions.probabilities, digest))
    brightness = predictions.brightness
    facts = {
        "schema_version": 1,
        "probabilities_sha256": digest.hexdigest(),
        "image_ids": list(predictions.image_ids),
        "labels": _plain(np.asarray(predictions.labels)),
        "groups": None if predictions.groups is None else list(predictions.groups),
        "brightness": None if brightness is None else [round(float(one), 4) for one in brightness],
    }
    atomic.write_text(folder / f"predictions-{split}.json", json.dumps(facts, ensure_ascii=False))
    return name, digest.hexdigest()


def load_predictions(folder: Path, split: str) -> Predictions:
    """Reads what `save_predictions` wrote.

    Raises:
        NotFound: this split was not evaluated.
        Damaged: the two files do not belong together, or cannot be read.
    """
    path = folder / f"predictions-{split}.npy"
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise NotFound(
            "predictions.missing",
            "No predictions for {split} in {folder}.",
            do="Evaluate the run first: darkroom model evaluate",
            split=split,
            folder=folder,
        )
    try:
        return _read(path)
    except (ValueError, KeyError, IndexError, TypeError, EOFError, RecursionError) as error:
        raise Damaged(
            "predictions.damaged",
            "Cannot read {path}: {reason}.",
            do="Evaluate the run again: darkroom model evaluate",
            path=path,
            reason=error,
        ) from error


def groups_of(names: Sequence[str | None] | np.ndarray | None) -> tuple[str | None, ...] | None:
    """Returns the groups as plain names; None when no image has one."""
    if names is None:
        return None
    plain = tuple(str(name) if name else None for name in names)
    return plain if any(plain) else None


def _file_of(probabilities: np.ndarray, digest: hashlib._Hash) -> Iterator[bytes]:
    """Yields a .npy file in parts, of (N, C) float32, and tells them to a digest."""
    head = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": probabilities.shape}
    np.lib.format.write_array_header_1_0(head, shape)
    rows = max(1, PART_BYTES // max(1, 4 * probabilities.shape[1]))
    parts = (
        np.ascontiguousarray(probabilities[start : start + rows], dtype="<f4").tobytes()
        for start in range(0, len(probabilities), rows)
    )
    for part in chain([head.getvalue()], parts):
        digest.update(part)
        yield part


def _plain(labels: np.ndarray) -> list[int] | list[list[int]]:
    """Returns labels as JSON keeps them: of several the numbers of those that hold, image by image."""
    if labels.ndim == 1:
        return [int(label) for label in labels]
    return [np.flatnonzero(row).tolist() for row in labels]


def _labels(kept: list[int] | list[list[int]], classes: int) -> np.ndarray:
    """Returns what `_plain` was given.

    Raises:
        IndexError: a number is that of no label.
    """
    if not any(isinstance(one, list) for one in kept):
        return np.asarray(kept, dtype=np.int64)
    labels = np.zeros((len(kept), classes), np.int64)
    for row, held in zip(labels, kept, strict=True):
        row[held] = 1
    return labels


def _read(path: Path) -> Predictions:
    facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != facts["probabilities_sha256"]:
        raise ValueError("its bytes are not those that were written")
    mapped = "r" if path.stat().st_size > LARGE_BYTES else None
    probabilities = np.load(path, mmap_mode=mapped, allow_pickle=False)
    labels, groups = _labels(facts["labels"], probabilities.shape[1]), facts["groups"]
    brightness = facts.get("brightness")
    if len(probabilities) != len(labels) or len(labels) != len(facts["image_ids"]):
        raise ValueError("it does not hold as many rows as there are images")
    return Predictions(
        tuple(facts["image_ids"]),
        labels,
        None if groups is None else tuple(groups),
        probabilities,
        None if brightness is None else np.asarray(brightness, dtype=np.float32),
    )
