"""What training makes small: cross-entropy or focal loss, with weights of classes.

Only the gradient follows it. Loss and accuracy in metrics.jsonl are plain and unweighted (`Tally`), so that
they can be compared between recipes and the best epoch is chosen by the same figure for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.training.recipe import Loss

__all__ = ["TrainingLoss", "weights_by_counts", "weights_of"]


class TrainingLoss:
    """The weighted mean of each picture's loss: Σ w·loss / Σ w, w being the weight of its class.

    Args:
        chosen: which loss.
        class_weights: weight of each class, or None when all count the same.
        device: where the answers are.

    Source: cross-entropy with label smoothing: Szegedy et al., Rethinking the inception architecture,
    2016, section 7. focal: Lin et al., Focal loss for dense object detection, 2017, eq. 5.
    """

    def __init__(self, chosen: Loss, class_weights: Sequence[float] | None, device: torch.device) -> None:
        self._chosen = chosen
        self._weights = None if class_weights is None else torch.tensor(class_weights, device=device)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss () of logits (n, classes) and labels (n,)."""
        if self._chosen.name == "cross-entropy" and self._weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=self._chosen.label_smoothing)
        each = self._each(logits.float(), labels)
        if self._weights is None:
            return each.mean()
        weights = self._weights.index_select(0, labels)
        return (each * weights).sum() / weights.sum()

    def shares(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Returns what part of the mean over all pictures each batch of labels (n,) makes up.

        With them, the losses of the batches add up to the loss of all pictures in one batch.
        """
        sizes = torch.stack([self._size(labels) for labels in batches])
        return list(sizes / sizes.sum())

    def _size(self, labels: Tensor) -> Tensor:
        if self._weights is None:
            return torch.tensor(float(len(labels)), device=labels.device)
        return self._weights.index_select(0, labels).sum()

    def _each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss (n,) of each picture."""
        smoothing = self._chosen.label_smoothing
        loss = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        if self._chosen.name == "cross-entropy":
            return loss
        # −expm1(−loss) is 1 − probability without its rounding error; 0 ** gamma has no gradient at 0
        wrong = -torch.expm1(-loss)
        return loss * wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** self._chosen.focal_gamma


def weights_of(chosen: Loss, classes: Sequence[str], labels: np.ndarray) -> tuple[float, ...] | None:
    """Returns the weight of each class; None when all count the same.

    Args:
        chosen: which weights.
        classes: names in the order of the labels.
        labels: (N,) label of each picture to train on.
    """
    return weights_by_counts(chosen, classes, np.bincount(labels, minlength=len(classes)))


def weights_by_counts(chosen: Loss, classes: Sequence[str], counts: np.ndarray) -> tuple[float, ...] | None:
    """Returns the weight of each class; None when all count the same.

    Args:
        chosen: which weights.
        classes: names in the order of the counts.
        counts: (C,) pictures or pixels of each class to train on; only looked at for balanced.

    balanced: all / (classes that occur · those of the class), so that the mean weight is 1. Source: King,
    Zeng, Logistic regression in rare events data, 2001, as scikit-learn's `class_weight="balanced"`. A
    class that does not occur has 1, which nothing reads.
    """
    if chosen.class_weights == "none":
        return None
    if chosen.class_weights == "by-name":
        return tuple(chosen.weight_by_class.get(name, 1.0) for name in classes)
    occurring, total = int((counts > 0).sum()), int(counts.sum())
    return tuple(total / (occurring * int(count)) if count else 1.0 for count in counts)
