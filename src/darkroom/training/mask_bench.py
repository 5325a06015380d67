"""What a training of masks lays out in its own way: pictures with masks, loss, a sheet of what is seen."""

from __future__ import annotations

import numpy as np
import torch

from darkroom.networks.mask_network import MaskNetwork
from darkroom.networks.network import Network
from darkroom.records import Normalisation
from darkroom.training.augment import preview
from darkroom.training.loss import weights_by_counts
from darkroom.training.mask_loss import MaskLoss
from darkroom.training.masked_pixels import MaskedPixels, pixel_counts
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import RenderedSplit
from darkroom.training.recipe import Recipe

__all__ = ["mask_data", "mask_loss", "mask_sheet"]


def mask_data(
    split: RenderedSplit,
    val: RenderedSplit,
    network: Network,
    recipe: Recipe,
    normalisation: Normalisation,
    classes: int,
) -> tuple[MaskedPixels, MaskedPixels, Network]:
    """Returns what is trained on, what is validated on, and what learns; see `Recipe.train_layers`.

    Raises:
        InvalidLabel: a mask holds what is no class.
    """
    if recipe.train_layers == "last" and isinstance(network, MaskNetwork):
        network.rest_encoder()
    device, image = network.device, network.mean_image
    train, held = (
        MaskedPixels(part, normalisation, device, classes, mean_image=image) for part in (split, val)
    )
    return train, held, network


def mask_loss(recipe: Recipe, facts: CardFacts, split: RenderedSplit, device: torch.device) -> MaskLoss:
    """Returns what training makes small; balanced weights go by the pixels of the train split."""
    counts = np.zeros(0)
    if recipe.loss.class_weights == "balanced":
        counts = pixel_counts(split, len(facts.labels))
    return MaskLoss(recipe.loss, weights_by_counts(recipe.loss, facts.labels, counts), device)


def mask_sheet(
    split: RenderedSplit, chosen: np.ndarray, recipe: Recipe, normalisation: Normalisation, *, seed: int
) -> np.ndarray:
    """Returns a contact sheet (H, W, 3) uint8: pictures as they are and changed, masks drawn over them."""
    return preview(
        split.gather(chosen),
        recipe.augment,
        normalisation,
        seed=seed,
        masks=split.gather_masks(chosen),
        columns=5,
    )
