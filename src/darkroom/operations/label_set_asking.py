"""Ask a model which labels pictures have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.images import apply_contract, decode
from darkroom.operations.prediction import PredictedLabels
from darkroom.tasks.label_sets import given, holds_from, names_of

if TYPE_CHECKING:
    from darkroom.operations.asking import Model

__all__ = ["predicted_labels"]


def predicted_labels(path: Path, model: Model) -> PredictedLabels:
    """Returns the labels of one picture at the model's operating point.

    Raises:
        InvalidImage: the file is no picture, or too large.
        OSError: it cannot be read.
    """
    labels, point = model.card.labels, model.card.operating_point
    prepared = apply_contract(decode(path.read_bytes()), model.card.contract)
    answer = model.answer(prepared.tensor)
    probabilities = answer.probabilities[:1]
    return PredictedLabels(
        image=str(path),
        labels=names_of(given(probabilities, labels, point)[0], labels),
        probabilities=dict(zip(labels, probabilities[0].astype(float).tolist(), strict=True)),
        thresholds=dict(zip(labels, holds_from(labels, point).tolist(), strict=True)),
        domain=model.checked(prepared.tensor, prepared.transform, answer),
    )
