"""The bench: recipe, data, network and optimiser, laid out for the epochs of one training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from darkroom.features import FeatureStore
from darkroom.networks import find
from darkroom.networks.network import Network
from darkroom.networks.start import NetworkStart
from darkroom.records import ModelCard, Normalisation, now
from darkroom.training.augment import Augmenter, preview
from darkroom.training.combinations import check_accumulation, check_combinations
from darkroom.training.device import check_precision
from darkroom.training.distributed import ALONE, Team
from darkroom.training.fake_quantisation import rounds
from darkroom.training.label_set_loss import LabelSetLoss, positive_weights
from darkroom.training.last_layer import FeatureRows, LastLayer, lay_out
from darkroom.training.loss import TrainingLoss, weights_of
from darkroom.training.mask_bench import mask_data, mask_loss, mask_sheet
from darkroom.training.mask_loss import MaskLoss
from darkroom.training.mixing import MixedLoss, Mixer
from darkroom.training.normalisation import normalisation_of
from darkroom.training.optimiser import make_optimiser
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Pixels, RenderedSplit, Rendering
from darkroom.training.recipe import Augment, Mixing, Recipe, check_fits, network_options
from darkroom.training.redrawn import redrawn
from darkroom.training.run_folder import library_versions
from darkroom.training.sampling import balanced_order
from darkroom.training.schedule import learning_rate
from darkroom.training.task_options import check_network_options
from darkroom.training.unfreezing import Unfreezing, layer_groups, uses_groups

__all__ = ["Bench", "cut", "prepare"]

PREVIEW_ROWS = 6
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Bench:
    """Everything that an epoch works with."""

    recipe: Recipe
    seed: int
    facts: CardFacts
    device: torch.device
    train: Pixels | FeatureRows
    val: Pixels | FeatureRows
    sheet: np.ndarray
    normalisation: Normalisation
    network: Network
    """The whole, as it will be saved."""
    start: NetworkStart
    learner: nn.Module
    """What is trained and run: the network, or its last layer alone."""
    optimiser: Optimizer
    scaler: GradScaler
    """Scales the loss in float16; does nothing in other precisions."""
    loss: TrainingLoss | MaskLoss | LabelSetLoss | MixedLoss
    augmenter: Augmenter
    arithmetic: str = "float32"
    """What it computes in: the recipe's precision, or what "auto" came to."""
    unfreezing: Unfreezing | None = None
    """Opens groups of layers, where they are treated in different ways."""
    rate_of: Callable[[int], float] | None = None
    """Learning rate of a step, in place of the recipe's schedule."""
    team: Team = ALONE
    """The processes that train it together."""

    @property
    def of_masks(self) -> bool:
        """Whether each pixel has a class, not each picture."""
        return self.facts.task == "segmentation"

    @cached_property
    def steps_per_epoch(self) -> int:
        """How often the weights change in an epoch."""
        return len(self.groups(torch.arange(len(self.train))))

    @property
    def total_steps(self) -> int:
        """How often the weights change in all epochs."""
        return self.steps_per_epoch * self.recipe.epochs

    def groups(self, order: Tensor) -> list[tuple[Tensor, ...]]:
        """Returns the batches of an epoch, together those that make one step; the last may be fewer."""
        batches, together = cut(order, self.recipe.batch_size), self.recipe.accumulate_batches
        return [batches[start : start + together] for start in range(0, len(batches), together)]

    def shares(self, group: tuple[Tensor, ...]) -> list[Tensor] | tuple[None]:
        """Returns what part of a step's loss each of its batches makes up; None for one that is alone."""
        return (None,) if len(group) == 1 else self.loss.shares([self.train.labels(one) for one in group])

    def weights(self) -> dict[str, Tensor]:
        """Returns the weights of the whole network, as they now are."""
        if isinstance(self.learner, LastLayer):
            return self.learner.weights(self.network)
        return self.network.state_dict()

    def order(self, epoch: int) -> Tensor:
        """Returns the indices of the pictures that an epoch shows, in their order."""
        generator = self.generator("order", epoch)
        if self.recipe.sampling == "balanced":
            labels = self.train.labels(torch.arange(len(self.train), device=self.device))
            return balanced_order(labels.cpu(), generator).to(self.device)
        return torch.randperm(len(self.train), generator=generator).to(self.device)

    def mixer(self, epoch: int) -> Mixer | None:
        """Returns what mixes the batches of an epoch; None where nothing does."""
        if self.recipe.mixing == Mixing():
            return None
        return Mixer(self.recipe.mixing, self.derived_seed("mixing", epoch))

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step, from 0 on over all epochs."""
        if self.rate_of is not None:
            return self.rate_of(step)
        return learning_rate(
            self.recipe.schedule,
            self.recipe.learning_rate,
            step=step,
            steps_per_epoch=self.steps_per_epoch,
            total_steps=self.total_steps,
        )

    def begin_epoch(self, epoch: int) -> None:
        """Gets data and network ready for an epoch; the network was set to train before."""
        if self.unfreezing is not None:
            self.unfreezing.begin_epoch(epoch)
        if isinstance(self.train, FeatureRows):
            self.train.begin_epoch(epoch)

    def card(self, epoch: int) -> ModelCard:
        """Returns the card of the weights after an epoch."""
        return ModelCard(
            **self.facts.model_dump(exclude={"contract"}),
            contract=self.facts.contract,
            network=self.recipe.network,
            options={**network_options(self.recipe), **self.start.options},
            code_sha256=self.start.code_sha256,
            weights=self.start.origin,
            parameters=self.network.parameter_count,
            normalisation=self.normalisation,
            epoch=epoch,
            seed=self.seed,
            created_at=now(),
            versions=library_versions(),
            trained_in=self.arithmetic,
        )

    def generator(self, purpose: str, epoch: int, device: str = "cpu") -> torch.Generator:
        """Returns the random numbers of one purpose in one epoch."""
        return torch.Generator(device).manual_seed(self.derived_seed(purpose, epoch))

    def derived_seed(self, purpose: str, epoch: int) -> int:
        """Returns the seed of one purpose in one epoch."""
        return self.recipe.chance.derived(self.seed, purpose, epoch)

    def precision(self) -> AbstractContextManager[object]:
        """Returns the context in which the network computes."""
        if self.arithmetic == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=AUTOCAST[self.arithmetic])


def prepare(
    rendering: Rendering,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    device: torch.device,
    features: FeatureStore,
    start: NetworkStart,
    *,
    precision: str = "",
) -> Bench:
    """Returns everything that epochs work with. `precision` is what "auto" came to; else the recipe's.

    Raises:
        Invalid: there is nothing to train on.
        InvalidConfig: recipe and network, or recipe and data, do not go together.
        InvalidLabel: a label is not one of the classes.
        Unsupported: the device cannot train in the recipe's precision.
    """
    rendering = redrawn(rendering, recipe.chance.split)
    split, val = rendering.split("train"), rendering.split("val")
    arithmetic = precision or recipe.precision
    _check(recipe, arithmetic, facts, device, start, split, val)
    normalisation, mean_image = normalisation_of(
        recipe.normalisation,
        split,
        f"train split of {facts.dataset}",
        of_weights=start.normalisation(split.shape[2]),
        mean_image=start.mean_image,
    )
    network = _network(start, recipe, seed, facts, split.shape)
    network.mean_image = mean_image
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, held, learner = _data(split, val, network, recipe, seed, facts, normalisation, features, start)
    unfreezing = _unfreezing(network, recipe, facts, split.shape)
    return Bench(
        recipe=recipe,
        seed=seed,
        facts=facts,
        device=device,
        train=train,
        val=held,
        sheet=_sheet(split, recipe, normalisation, facts, seed),
        normalisation=normalisation,
        network=network,
        start=start,
        learner=learner,
        optimiser=make_optimiser(recipe, learner, device, unfreezing.groups if unfreezing else ()),
        scaler=GradScaler(device.type, enabled=arithmetic == "float16"),
        loss=_loss(recipe, facts, split, device),
        augmenter=Augmenter(
            Augment() if isinstance(learner, LastLayer) else recipe.augment,
            split.shape,
            normalisation,
            device,
            mean_image,
        ),
        arithmetic=arithmetic,
        unfreezing=unfreezing,
    )


def cut(order: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Returns the batches; a last picture alone joins the batch before, as batch statistics need two."""
    batches = order.split(batch_size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        return (*batches[:-2], torch.cat(batches[-2:]))
    return batches


def _check(
    recipe: Recipe,
    arithmetic: str,
    facts: CardFacts,
    device: torch.device,
    start: NetworkStart,
    split: RenderedSplit,
    val: RenderedSplit,
) -> None:
    check_precision(device, arithmetic)
    check_combinations(recipe, facts.labels, goes_on=start.goes_on, task=facts.task)
    check_fits(recipe, facts, split.shape, len(split), len(val))
    check_network_options(recipe, find(recipe.network))
    check_accumulation(recipe, len(cut(torch.arange(len(split)), recipe.batch_size)))


def _network(
    start: NetworkStart, recipe: Recipe, seed: int, facts: CardFacts, shape: tuple[int, int, int]
) -> Network:
    torch.manual_seed(recipe.chance.derived(seed, "initialisation"))
    network = start.network(
        recipe.network,
        channels=shape[2],
        size=shape[:2],
        classes=len(facts.labels),
        options={**network_options(recipe)},
    )
    if recipe.quantise:
        rounds(network)
    return network


def _unfreezing(
    network: Network, recipe: Recipe, facts: CardFacts, shape: tuple[int, int, int]
) -> Unfreezing | None:
    if not uses_groups(recipe):
        return None
    groups = layer_groups(network, recipe.layers.groups, shape)
    return Unfreezing(groups, recipe, of_masks=facts.task == "segmentation")


def _data(
    split: RenderedSplit,
    val: RenderedSplit,
    network: Network,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    normalisation: Normalisation,
    features: FeatureStore,
    start: NetworkStart,
) -> tuple[Pixels | FeatureRows, Pixels | FeatureRows, nn.Module]:
    """Returns what is trained on, what is validated on, and what learns."""
    if facts.task == "segmentation":
        return mask_data(split, val, network, recipe, normalisation, len(facts.labels))
    if recipe.train_layers == "last":
        return lay_out(
            network,
            split,
            val,
            recipe=recipe,
            seed=recipe.chance.seed_of("views", seed),
            facts=facts,
            normalisation=normalisation,
            store=features,
            start=start,
        )
    device, classes, image = network.device, len(facts.labels), network.mean_image
    train = Pixels(split, normalisation, device, classes, mean_image=image)
    return train, Pixels(val, normalisation, device, classes, mean_image=image), network


def _sheet(
    split: RenderedSplit, recipe: Recipe, normalisation: Normalisation, facts: CardFacts, seed: int
) -> np.ndarray:
    """Returns a contact sheet of a few pictures from all over the split."""
    chosen = np.linspace(0, len(split) - 1, min(PREVIEW_ROWS, len(split))).astype(np.int64)
    seed = recipe.chance.derived(seed, "preview")
    if facts.task == "segmentation":
        return mask_sheet(split, chosen, recipe, normalisation, seed=seed)
    return preview(split.gather(chosen).copy(), recipe.augment, normalisation, seed=seed)


def _loss(
    recipe: Recipe, facts: CardFacts, split: RenderedSplit, device: torch.device
) -> TrainingLoss | MaskLoss | LabelSetLoss | MixedLoss:
    if facts.task == "segmentation":
        return mask_loss(recipe, facts, split, device)
    if facts.task == "multi-label":
        return LabelSetLoss(recipe.loss, positive_weights(recipe.loss, facts.labels, split.labels), device)
    loss = TrainingLoss(recipe.loss, weights_of(recipe.loss, facts.labels, split.labels), device)
    return loss if recipe.mixing == Mixing() else MixedLoss(loss)
