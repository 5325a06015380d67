"""What training makes small where each pixel has a class: cross-entropy or focal loss, and Dice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from darkroom.tasks.overlap import IGNORE
from darkroom.training.recipe import Loss

__all__ = ["MaskLoss"]

SMOOTH = 1.0
"""Pixels added above and below in Dice, so that a class of no pixels asks for nothing."""


class MaskLoss:
    """A weighted sum of the mean loss of the known pixels and of 1 − Dice, the mean over classes.

    Pixels of which nothing is said have no say. Dice of a class is 2·Σ(p·t) / (Σp + Σt) over all pixels of
    the batch, p being the probability of the class and t whether it is right; only classes that the batch
    shows count, as the others have no t that could be met.

    Args:
        chosen: which losses, and their weights.
        class_weights: weight of each class in the first part, or None when all count the same.
        device: where the answers are.

    Source: Milletari, Navab, Ahmadi, V-Net, 2016, section 3, with Σp and Σt in place of their squares as in
    Drozdzal et al., The importance of skip connections in biomedical image segmentation, 2016, eq. 2.
    """

    def __init__(self, chosen: Loss, class_weights: Sequence[float] | None, device: torch.device) -> None:
        self._chosen = chosen
        self._weights = None if class_weights is None else torch.tensor(class_weights, device=device)

    def __call__(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Returns the loss () of logits (n, classes, H, W) and masks (n, H, W)."""
        logits, right = logits.float(), masks.long()
        known = right != IGNORE
        loss = logits.sum() * 0.0  # also where nothing is known there is something to differentiate
        if self._chosen.cross_entropy_weight > 0:
            loss = loss + self._chosen.cross_entropy_weight * self._of_pixels(logits, right, known)
        if self._chosen.dice_weight > 0:
            loss = loss + self._chosen.dice_weight * _one_less_dice(logits, right, known)
        return loss

    def shares(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Returns what part of the mean over all pixels each batch of masks (n, H, W) makes up.

        With them the losses of the pixels add up to that of all pictures in one batch. Dice does not: it is
        the mean of the batches' own.
        """
        sizes = torch.stack([self._size(masks) for masks in batches])
        return list(sizes / sizes.sum().clamp_min(1.0))

    def _size(self, masks: Tensor) -> Tensor:
        known = masks[masks != IGNORE]
        if self._weights is None:
            return torch.tensor(float(known.numel()), device=masks.device)
        return self._weights.index_select(0, known.long()).sum()

    def _of_pixels(self, logits: Tensor, right: Tensor, known: Tensor) -> Tensor:
        each = functional.cross_entropy(
            logits,
            right,
            reduction="none",
            ignore_index=IGNORE,
            label_smoothing=self._chosen.label_smoothing,
        )
        if self._chosen.name == "focal":
            # As in `TrainingLoss`: 1 − probability without its rounding error, and a gradient at 0.
            wrong = -torch.expm1(-each)
            each = each * wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** self._chosen.focal_gamma
        if self._weights is None:
            weights = known.float()
        else:
            weights = self._weights[right.masked_fill(~known, 0)] * known
        return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(torch.float32).tiny)


def _one_less_dice(logits: Tensor, right: Tensor, known: Tensor) -> Tensor:
    classes = logits.shape[1]
    p = torch.softmax(logits, 1) * known[:, None]
    t = functional.one_hot(right.masked_fill(~known, 0), classes).permute(0, 3, 1, 2) * known[:, None]
    both = (p * t).sum((0, 2, 3))
    of_truth = t.sum((0, 2, 3))
    dice = (2 * both + SMOOTH) / (p.sum((0, 2, 3)) + of_truth + SMOOTH)
    shown = (of_truth > 0).float()
    return ((1 - dice) * shown).sum() / shown.sum().clamp_min(1.0)
