"""Mixup and cutmix: two training pictures made into one, whose answer is shared between their classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.training.device import exact_dtype
from darkroom.training.loss import TrainingLoss
from darkroom.training.recipe import Mixing
from darkroom.training.tally import Figures

__all__ = ["MixedLabels", "MixedLoss", "MixedTally", "Mixer"]


class MixedLabels(NamedTuple):
    """What n mixed pictures show."""

    first: Tensor
    """(n,) int64: class of the picture itself."""
    second: Tensor
    """(n,) int64: class of its partner."""
    share: float
    """Part of the answer that belongs to the first; the rest belongs to the second."""


class Mixer:
    """Mixes batches, as a seed decides.

    Args:
        mixing: how.
        seed: of one epoch; the batches of an epoch are mixed in turn.

    Source: mixup: Zhang et al., mixup: beyond empirical risk minimization, 2018, section 2; one share for a
    batch and partners within it, as there. cutmix: Yun et al., CutMix, 2019, section 3 and algorithm A1;
    the rectangle is cut where it would leave the picture, and the share is that of the pixels.
    """

    def __init__(self, mixing: Mixing, seed: int) -> None:
        self._mixing = mixing
        self._chance = np.random.default_rng(seed)

    def __call__(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, MixedLabels]:
        """Returns mixed pictures (n, C, H, W) and what they show.

        Args:
            pictures: (n, C, H, W).
            labels: (n,).
        """
        # Always as many draws, so that one option does not move what the other one draws.
        partner = self._chance.permutation(len(labels))
        coin = self._chance.random()
        blend, paste = (self._share(alpha) for alpha in (self._mixing.mixup, self._mixing.cutmix))
        middle = self._chance.random(2)
        order = torch.from_numpy(partner).to(labels.device)
        others = pictures.index_select(0, order)
        if self._mixing.cutmix and (not self._mixing.mixup or coin < 0.5):
            mixed, share = _pasted(pictures, others, paste, middle)
        else:
            mixed, share = torch.lerp(pictures, others, 1 - blend), blend
        return mixed, MixedLabels(labels, labels.index_select(0, order), share)

    def _share(self, alpha: float) -> float:
        return float(self._chance.beta(alpha, alpha)) if alpha else 1.0


class MixedLoss:
    """A loss of mixed pictures: that of both classes, each by its share; of others as it was.

    For cross-entropy this is the loss of the soft answer. Shares are of pictures, weights of classes act
    within each of the two parts.

    Args:
        loss: of plain pictures.
    """

    def __init__(self, loss: TrainingLoss) -> None:
        self._loss = loss

    def __call__(self, logits: Tensor, labels: Tensor | MixedLabels) -> Tensor:
        """Returns the loss () of logits (n, classes)."""
        if not isinstance(labels, MixedLabels):
            return self._loss(logits, labels)
        first, second = self._loss(logits, labels.first), self._loss(logits, labels.second)
        return labels.share * first + (1 - labels.share) * second

    def shares(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Returns what part of a step's loss each batch makes up; see `TrainingLoss.shares`."""
        return self._loss.shares(batches)


class MixedTally:
    """Loss and accuracy of mixed pictures, added up without waiting for the device at each batch.

    The loss is the cross-entropy of the shared answer. An answer is right by the share of its class, so
    that a network that sees both pictures in a blend of one half each reaches 0.5 and not 1.

    Args:
        device: where the answers are.
    """

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=exact_dtype(device), device=device)
        self._right = torch.zeros((), dtype=exact_dtype(device), device=device)
        self._count = 0
        self._batches: list[Tensor] = []

    def add(self, logits: Tensor, labels: MixedLabels) -> None:
        """Adds a batch: logits (n, classes)."""
        logits, answers = logits.detach().float(), logits.argmax(1)
        loss = torch.zeros((), dtype=torch.float32, device=logits.device)
        for part, share in ((labels.first, labels.share), (labels.second, 1 - labels.share)):
            loss = loss + share * functional.cross_entropy(logits, part, reduction="sum")
            self._right += share * (answers == part).sum()
        self._loss += loss
        self._batches.append(loss)
        self._count += len(answers)

    def result(self) -> Figures:
        """Returns mean loss and accuracy.

        Raises:
            ArithmeticError: a loss was not a number; its text is the number of the batch, from 1 on.
        """
        losses = torch.stack(self._batches).cpu()
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            raise ArithmeticError(int(bad[0, 0]) + 1)
        return Figures(float(self._loss) / self._count, float(self._right) / self._count)


def _pasted(pictures: Tensor, others: Tensor, share: float, middle: np.ndarray) -> tuple[Tensor, float]:
    """Returns pictures with a rectangle of others in them, and the share of pixels that are their own."""
    height, width = pictures.shape[2:]
    tall, wide = (side * math.sqrt(1 - share) for side in (height, width))
    top, bottom = _span(middle[0] * height, tall, height)
    left, right = _span(middle[1] * width, wide, width)
    mixed = pictures.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(middle: float, length: float, end: int) -> tuple[int, int]:
    return max(0, round(middle - length / 2)), min(end, round(middle + length / 2))
