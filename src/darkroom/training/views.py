"""Changed views of pictures whose changes depend on the picture and the view alone, not on the batch.

So a picture that is added later gets its views without touching those of the others, and clones with
different seeds share theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from darkroom.records import Normalisation, plain
from darkroom.training.augment import Augmenter
from darkroom.training.device import derive_seed
from darkroom.training.recipe import Augment

__all__ = ["VIEW_SEED", "Views"]

VIEW_SEED = 0
"""Decides the changes of all views, for every training; a run's seed only decides when which is seen."""


class Views:
    """Makes one numbered view of each picture.

    Args:
        augment: which changes, and how large.
        shape: (height, width, channels) of a picture.
        normalisation: that of the pictures.
        device: where batches are.
        number: of the view, from 1 on.
        mean_image: (H, W, C), where a mean picture was subtracted.
    """

    def __init__(
        self,
        augment: Augment,
        shape: tuple[int, int, int],
        normalisation: Normalisation,
        device: torch.device,
        number: int,
        mean_image: Tensor | None = None,
    ) -> None:
        self._augmenter = Augmenter(augment, shape, normalisation, device, mean_image)
        self._augment, self._device, self._number = augment, device, number

    @property
    def facts(self) -> dict[str, Any]:
        """What the key of the features says about the view."""
        return {
            "view": self._number,
            "augment": plain(self._augment),
            "augment_seed": VIEW_SEED,
        }

    def __call__(self, values: Tensor, image_ids: Sequence[str]) -> Tensor:
        """Returns the view of each of n normalised pictures (n, C, H, W)."""
        changed = [
            self._one(values[place : place + 1], image_id) for place, image_id in enumerate(image_ids)
        ]
        return torch.cat(changed)

    def _one(self, value: Tensor, image_id: str) -> Tensor:
        seed = derive_seed(VIEW_SEED, "view", self._number, image_id)
        draws = self._augmenter.draw(1, torch.Generator().manual_seed(seed))
        noise = torch.Generator(self._device).manual_seed(derive_seed(seed, "noise"))
        return self._augmenter.apply(value, draws, noise)
