"""Keep what a model answered, so that it can be judged, compared and doubted again without the model."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom import atomic
from darkroom.errors import Damaged, NotFound

__all__ = ["Predictions", "groups_of", "load_predictions", "save_predictions"]


class Predictions(NamedTuple):
    """The answers of one model to N images."""

    image_ids: tuple[str, ...]
    labels: np.ndarray
    """(N,) int64, index of the right class."""
    groups: tuple[str | None, ...] | None
    probabilities: np.ndarray
    """(N, C) float32."""

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
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(predictions.probabilities, dtype=np.float32), allow_pickle=False)
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    facts = {
        "schema_version": 1,
        "probabilities_sha256": sha256,
        "image_ids": list(predictions.image_ids),
        "labels": [int(label) for label in predictions.labels],
        "groups": None if predictions.groups is None else list(predictions.groups),
    }
    name = f"predictions-{split}.npy"
    atomic.write_bytes(folder / name, data)
    atomic.write_text(folder / f"predictions-{split}.json", json.dumps(facts, ensure_ascii=False))
    return name, sha256


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
    except (ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
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


def _read(path: Path) -> Predictions:
    data, facts = path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8"))
    if hashlib.sha256(data).hexdigest() != facts["probabilities_sha256"]:
        raise ValueError("its bytes are not those that were written")
    probabilities = np.load(io.BytesIO(data), allow_pickle=False)
    labels, groups = np.asarray(facts["labels"], dtype=np.int64), facts["groups"]
    if len(probabilities) != len(labels) or len(labels) != len(facts["image_ids"]):
        raise ValueError("it does not hold as many rows as there are images")
    return Predictions(
        tuple(facts["image_ids"]), labels, None if groups is None else tuple(groups), probabilities
    )
