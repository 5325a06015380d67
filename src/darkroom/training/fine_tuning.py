"""A recipe whose defaults suit pretrained weights and a thousand pictures: the last layer, then deeper."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkroom.records import Task
from darkroom.training.head_recipe import head_recipe
from darkroom.training.recipe import Augment, EarlyStopping, Layers, Recipe

__all__ = ["FineAugment", "FineLayers", "FineStopping", "FineTuning", "fine_recipes"]


class FineLayers(Layers):
    """How the layers of a network take part; see `Layers`."""

    rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Each group learns at this times the rate of the group above it; the last layer at the learning rate.
    Source: 1 / 2.6, Howard, Ruder, ULMFiT, 2018, section 3.2."""
    head_epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Epochs in which the last layer alone learns beforehand, on features that are computed once."""


class FineAugment(Augment):
    """Random changes of each training picture; the defaults keep left and right, and what letters say."""

    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Turned by up to this angle either way, in degrees."""
    zoom: Annotated[float, Field(ge=0, le=4)] = 0.1
    """0.1: drawn between 1.1 times smaller and 1.1 times larger."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Moved by up to this share of each side."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Made lighter or darker by up to this share of the full scale."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Distance from middle grey multiplied by 1 ± this."""


class FineStopping(EarlyStopping):
    """When the deeper training ends before its last epoch."""

    patience_epochs: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Ends after this many epochs without a better validation figure, counted from the epoch with which the
    last group opened; 0 never ends early."""


class FineTuning(Recipe):
    """How a network with pretrained weights is fine-tuned; every option of a recipe, other defaults."""

    network: str = ""
    """Name in the table of networks; empty for that of the weights or of the earlier run."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs in which the layers below the last one learn too."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Pictures that go through the network together."""
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 0.0005
    """Largest learning rate of the last layer while the others learn too; the schedule moves it."""
    augment: FineAugment = FineAugment()  # type: ignore[assignment]
    """Random changes of training pictures, in the deeper part."""
    train_layers: Literal["all", "last", "gradual"] = "gradual"
    """gradual: after the last layer, from above group after group; all: after it all at once; last: nothing
    but the last layer."""
    layers: FineLayers = FineLayers()  # type: ignore[assignment]
    """Groups of layers: when each opens, how fast it learns."""
    early_stopping: FineStopping = FineStopping()  # type: ignore[assignment]
    """When the deeper part ends before its last epoch."""


def fine_recipes(asked: FineTuning, network: str, weights: str, task: Task) -> tuple[Recipe, ...]:
    """Returns the recipes of a fine-tuning, one run after the other: the last layer, and what goes deeper.

    The second one begins with the first one's weights. For masks the second does all of it, as maps are not
    computed once.

    Args:
        asked: what was asked for.
        network: name in the table.
        weights: name of the weights to begin with; empty where an earlier run is gone on from.
        task: what is learnt.
    """
    said = {**asked.model_dump(), "network": network, "weights": weights}
    if asked.find_learning_rate and asked.learning_rate == FineTuning().learning_rate:
        said["learning_rate"] = Recipe().learning_rate  # nobody said one: it is measured
    whole = Recipe.model_validate(said)
    deeper = whole.model_copy(update={"layers": _layers(whole, of_masks=task == "segmentation")})
    if task == "segmentation":
        return (deeper,)
    last = head_recipe(whole)
    if asked.train_layers == "last":
        return (last,)
    return last, deeper.model_copy(update={"weights": ""})


def _layers(whole: Recipe, *, of_masks: bool) -> Layers:
    """Returns the options of layers that have an effect in the deeper part; the others as they stand."""
    asked, usual = whole.layers, Layers()
    if whole.train_layers == "last":
        return usual
    if whole.train_layers == "all":
        kept = ("rate_decay", "batch_statistics", *(("groups",) if asked.rate_decay < 1 else ()))
        return usual.model_copy(update={name: getattr(asked, name) for name in kept})
    if of_masks:
        return asked.model_copy(
            update={name: getattr(usual, name) for name in ("head_epochs", "head_rate")}
        )
    return asked
