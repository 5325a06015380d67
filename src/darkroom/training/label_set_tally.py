"""Loss, exact matches and mean average precision of label sets over many batches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from darkroom.tasks.label_sets import mean_average_precision
from darkroom.training.tally import Figures, Tally

__all__ = ["LabelSetTally"]


class LabelSetTally(Tally):
    """Collects answers to "which labels hold?"; see `Tally`.

    Args:
        device: where the answers are.
        ranked: whether the mean average precision is wanted, for which all probabilities are kept.
    """

    def __init__(self, device: torch.device, *, ranked: bool) -> None:
        super().__init__(device)
        self._ranked = ranked
        self._kept: list[tuple[Tensor, Tensor]] = []

    def result(self) -> Figures:
        """Returns the mean binary cross-entropy over pictures and labels, the share of pictures whose
        labels are all right at 0.5, and, where it is wanted, the mean average precision.

        Raises:
            ArithmeticError: a loss was not a number; its text is the number of the batch, from 1 on.
        """
        found = super().result()
        if not self._ranked:
            return found
        probabilities, labels = (torch.cat(part).cpu().numpy() for part in zip(*self._kept, strict=True))
        return found._replace(mean_ap=mean_average_precision(labels > 0, probabilities))

    def _added(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self._ranked:
            self._kept.append((torch.sigmoid(logits), labels))
        loss = functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        right = ((logits >= 0) == (labels > 0)).all(1)
        return loss.mean(1).sum(), right.sum()
