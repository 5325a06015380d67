"""Parts of the recipe: which layers learn when and how fast, and which pictures are mixed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkroom.records import Config

__all__ = ["Layers", "Mixing"]


class Layers(Config):
    """How the layers of a network take part: in groups by depth, each with its own rate.

    The layers before the last one are cut into `groups` of about as many each, in the order in which a
    picture passes them. The last layer is a group of its own, on top; for masks decoder and last layer are.
    """

    groups: Annotated[int, Field(ge=1, le=32)] = 3
    """For gradual, or a rate_decay below 1: how many groups there are below the last layer."""
    rate_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each group learns at this times the rate of the one above it; the last layer at learning_rate."""
    open_every: Annotated[int, Field(ge=1, le=1000)] = 2
    """For gradual: epochs from one group to the next that begins to learn, from above. The first one opens
    with the first epoch; for masks after so many epochs, as their last layers have to begin. Early stopping
    counts from the epoch with which the last one opens."""
    head_epochs: Annotated[int, Field(ge=0, le=1000)] = 20
    """For gradual: epochs in which the last layer alone learns beforehand, on features that are computed
    once. They do not count among `epochs`, and the best of them is begun from. Left out for masks, and
    where the last layer goes on from an earlier run."""
    head_rate: Annotated[float, Field(gt=0, le=100)] = 0.001
    """For gradual: learning rate of the last layer in `head_epochs`."""
    batch_statistics: Literal["auto", "learn", "keep"] = "auto"
    """Means and deviations of batch normalisation. keep: as the weights give them, in every group; learn:
    of each batch, and their average is kept, in groups that learn. Groups at rest always keep theirs. auto:
    learn; for gradual with fewer than 16 pictures in a batch keep."""


class Mixing(Config):
    """Two training pictures made into one, whose answer is shared between their classes.

    Each batch draws one share from Beta(alpha, alpha) and a partner for each picture. With both on, half of
    the batches are mixed one way and half the other.
    """

    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha for blending two pictures pixel by pixel; 0 never, 0.2 is usual, 1 blends by any share."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha for pasting a rectangle of one picture into the other; 0 never, 1 is usual."""
