"""Loss, pixel accuracy and mean IoU over many batches of masks, added up without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from darkroom.tasks.overlap import IGNORE, mean_iou, pixel_accuracy
from darkroom.training.device import exact_dtype
from darkroom.training.tally import Figures

__all__ = ["MaskTally"]


class MaskTally:
    """Adds answers up, batch by batch.

    Args:
        device: where the answers are.
        classes: how many classes there are.
    """

    def __init__(self, device: torch.device, classes: int) -> None:
        self._classes = classes
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=exact_dtype(device), device=device)
        self._bad = torch.zeros((), dtype=torch.int64, device=device)
        self._batches = 0

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Adds a batch: logits (n, classes, H, W), masks (n, H, W)."""
        logits, right = logits.detach().float(), masks.long()
        loss = functional.cross_entropy(logits, right, ignore_index=IGNORE, reduction="sum")
        self._batches += 1
        # The first batch whose loss is no number is kept, as its number, without waiting to look.
        self._bad = torch.where(
            (self._bad == 0) & ~torch.isfinite(loss), torch.full_like(self._bad, self._batches), self._bad
        )
        self._loss += loss
        known = right != IGNORE
        pairs = (right * self._classes + logits.argmax(1))[known]
        self._confusion += torch.bincount(pairs, minlength=self._classes**2)

    def result(self) -> Figures:
        """Returns mean loss and accuracy over the known pixels, and the mean IoU of the classes shown.

        Raises:
            ArithmeticError: a loss was not a number; its text is the number of the batch, from 1 on.
        """
        if int(self._bad):
            raise ArithmeticError(int(self._bad))
        confusion = self._confusion.view(self._classes, self._classes).cpu().numpy()
        count = max(1, int(confusion.sum()))
        return Figures(float(self._loss) / count, pixel_accuracy(confusion), mean_iou(confusion))
