"""What training makes small where a picture may have several labels: a loss for each label by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.training.recipe import Loss

__all__ = ["MOST_WEIGHT", "LabelSetLoss", "positive_weights"]

MOST_WEIGHT = 100.0
"""The most that a balanced weight is: one picture of a very rare label would otherwise be a whole step."""


class LabelSetLoss:
    """The mean over pictures and labels of the loss of "does this label hold?".

    Each label is a question of its own. Weights count where it holds, so that a rare label is not learnt as
    "never"; the mean is not divided by them, as each label's weights are for its own question.

    Args:
        chosen: which loss.
        weights: of each label where it holds, or None when all count the same.
        device: where the answers are.

    Source: binary cross-entropy with weights of positives, as PyTorch's `BCEWithLogitsLoss`; focal: Lin et
        al., Focal loss for dense object detection, 2017, eq. 4, of which this is the two-class case.
    """

    def __init__(self, chosen: Loss, weights: Sequence[float] | None, device: torch.device) -> None:
        self._chosen = chosen
        self._weights = None if weights is None else torch.tensor(weights, device=device)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss () of logits (n, C) and labels (n, C): 1 where a label holds, 0 where not."""
        logits, holds = logits.float(), labels.float()
        if self._chosen.name == "cross-entropy":
            return functional.binary_cross_entropy_with_logits(logits, holds, pos_weight=self._weights)
        each = functional.binary_cross_entropy_with_logits(logits, holds, reduction="none")
        # As in `TrainingLoss`: 1 − probability without its rounding error, and a gradient at 0.
        wrong = -torch.expm1(-each)
        each = each * wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** self._chosen.focal_gamma
        if self._weights is not None:
            each = each * (1 + (self._weights - 1) * holds)
        return each.mean()

    def shares(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Returns what part of the mean over all pictures each batch of labels (n, C) makes up."""
        sizes = torch.tensor([float(len(labels)) for labels in batches], device=batches[0].device)
        return list(sizes / sizes.sum())


def positive_weights(chosen: Loss, classes: Sequence[str], labels: np.ndarray) -> tuple[float, ...] | None:
    """Returns what a picture counts for each label that it has; None when all count the same.

    Args:
        chosen: which weights.
        classes: names of the labels.
        labels: (N, C) of the pictures to train on, 1 where a label holds.

    balanced: pictures without the label / pictures with it, so that both sides of each question weigh the
    same, at most `MOST_WEIGHT`. Source: PyTorch's documentation of `BCEWithLogitsLoss`, `pos_weight`. A
    label that no picture has keeps 1, which nothing reads.
    """
    if chosen.class_weights == "none":
        return None
    if chosen.class_weights == "by-name":
        return tuple(chosen.weight_by_class.get(name, 1.0) for name in classes)
    having = np.asarray(labels).sum(axis=0)
    ratios = (len(labels) - having) / np.maximum(having, 1)
    usable = (having > 0) & (having < len(labels))
    return tuple(np.where(usable, np.minimum(ratios, MOST_WEIGHT), 1.0).astype(float).tolist())
