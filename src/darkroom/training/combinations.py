"""Options that have no effect, or make no sense, together: refused before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from darkroom.errors import InvalidConfig, nearest
from darkroom.records import Task
from darkroom.training.layer_options import check_layers, check_sampling
from darkroom.training.recipe import Augment, Loss, Optimiser, Recipe, Schedule
from darkroom.training.task_options import check_task_options

__all__ = ["check_accumulation", "check_combinations"]

ADAPTIVE = ("adam", "adamw")
WITH_WARMUP = (
    *("fixed", "step", "multistep", "exponential"),
    *("inverse", "polynomial", "sigmoid", "cosine"),
)
BELONGS: dict[str, dict[str, tuple[str, ...]]] = {
    "optimiser": {
        "momentum": ("sgd", "nag"),
        "beta1": ADAPTIVE,
        "beta2": ADAPTIVE,
        "epsilon": (*ADAPTIVE, "rmsprop", "adagrad"),
        "rms_decay": ("rmsprop",),
        "rho": ("adadelta",),
        "adadelta_epsilon": ("adadelta",),
    },
    "schedule": {
        "warmup_epochs": WITH_WARMUP,
        "step_epochs": ("step",),
        "step_factor": ("step", "multistep"),
        "milestones": ("multistep",),
        "epoch_factor": ("exponential",),
        "gamma": ("inverse",),
        "power": ("inverse", "polynomial"),
        "steepness": ("sigmoid",),
        "middle_share": ("sigmoid",),
        "start_share": ("one-cycle",),
        "rise_share": ("one-cycle",),
        "final_share": ("cosine", "one-cycle"),
    },
    "loss": {"focal_gamma": ("focal",), "label_smoothing": ("cross-entropy",)},
}
"""Which options belong to which names; an option that is not listed belongs to all."""


def check_combinations(
    recipe: Recipe, classes: Sequence[str], *, goes_on: bool = False, task: Task = "classification"
) -> None:
    """Makes sure that every option that was changed has an effect, and that the schedule happens.

    Args:
        recipe: how to train.
        classes: names of the dataset's classes.
        goes_on: whether the training begins with the weights of an earlier run.
        task: what is learnt.

    Raises:
        InvalidConfig: two options do not go together, or a class has another name.
    """
    for part, chosen in (
        ("optimiser", recipe.optimiser),
        ("schedule", recipe.schedule),
        ("loss", recipe.loss),
    ):
        _refuse_idle(part, chosen)
    _check_schedule(recipe)
    _check_class_weights(recipe.loss, classes)
    _check_last_layer(recipe, goes_on, cached=task != "segmentation")
    check_layers(recipe, goes_on=goes_on, task=task)
    check_sampling(recipe, task)
    check_task_options(recipe, task)
    _check_edge(recipe)
    _check_least_gain(recipe)
    if recipe.optimiser.name == "nag" and recipe.optimiser.momentum == 0:
        raise InvalidConfig(
            "training.nag-without-momentum",
            "Nesterov's method needs a momentum above 0. Received: optimiser.momentum = 0.",
            do="Set optimiser.momentum = 0.9, or optimiser.name = sgd.",
        )


def check_accumulation(recipe: Recipe, batches: int) -> None:
    """Makes sure that an epoch holds at least one whole step.

    Args:
        recipe: how to train.
        batches: batches in an epoch.

    Raises:
        InvalidConfig: more batches are to make a step than there are.
    """
    if recipe.accumulate_batches > batches:
        raise InvalidConfig(
            "training.accumulates-too-many",
            "accumulate_batches is {asked}, and an epoch has {batches} batches of {size} pictures.",
            do="Set accumulate_batches to {batches} or less, or make batch_size smaller.",
            asked=recipe.accumulate_batches,
            batches=batches,
            size=recipe.batch_size,
        )


def _refuse_idle(part: str, chosen: Optimiser | Schedule | Loss) -> None:
    for option, names in _changed(part, chosen):
        if chosen.name not in names:
            raise InvalidConfig(
                "training.option-without-effect",
                "{part}.{option} = {value} has no effect with {part}.name = {name}; it is for {names}.",
                do="Leave {part}.{option} out, or set {part}.name to {first}.",
                part=part,
                option=option,
                value=getattr(chosen, option),
                name=chosen.name,
                names=", ".join(names),
                first=names[0],
            )


def _changed(part: str, chosen: BaseModel) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the options that differ from their default, with the names to which they belong."""
    for option, names in BELONGS[part].items():
        if getattr(chosen, option) != type(chosen).model_fields[option].default:
            yield option, names


def _check_schedule(recipe: Recipe) -> None:
    schedule = recipe.schedule
    if schedule.name == "multistep" and list(schedule.milestones) != sorted(
        set(schedule.milestones) or [0]
    ):
        raise InvalidConfig(
            "training.milestones",
            "A multistep schedule needs milestones in rising order. Received: {milestones}.",
            do="Set schedule.milestones, for example to 15, 25.",
            milestones=", ".join(map(str, schedule.milestones)) or "none",
        )
    last = {"step": schedule.step_epochs, "multistep": max(schedule.milestones, default=0)}
    if last.get(schedule.name, 0) >= recipe.epochs:
        raise InvalidConfig(
            "training.step-past-the-end",
            "The learning rate would step after epoch {epoch}, and the training ends after {epochs}.",
            do="Set schedule.{option} below {epochs}, or schedule.name = fixed.",
            epoch=last[schedule.name],
            epochs=recipe.epochs,
            option="step_epochs" if schedule.name == "step" else "milestones",
        )
    if schedule.name != "one-cycle" and schedule.warmup_epochs > recipe.epochs:
        raise InvalidConfig(
            "training.warmup-past-the-end",
            "The warm-up takes {warmup:g} epochs, and the training ends after {epochs}.",
            do="Set schedule.warmup_epochs to less than {epochs}.",
            warmup=schedule.warmup_epochs,
            epochs=recipe.epochs,
        )


def _check_last_layer(recipe: Recipe, goes_on: bool, *, cached: bool) -> None:
    """Views of pictures need changes, and changes need views, when features are computed once."""
    changes = recipe.augment != Augment()
    if recipe.train_layers != "last" and recipe.feature_views > 1:
        raise InvalidConfig(
            "training.views-without-last",
            "feature_views = {views} has no effect with train_layers = {layers}, which changes pictures "
            "anew in each epoch.",
            do="Set feature_views = 1, or train_layers = last.",
            views=recipe.feature_views,
            layers=recipe.train_layers,
        )
    if recipe.train_layers == "last" and not (recipe.weights or goes_on):
        raise InvalidConfig(
            "training.last-needs-weights",
            "train_layers = last trains the last layer on what the others have learnt, and without "
            "pretrained weights they have learnt nothing.",
            do="Name weights in the recipe, or set train_layers = all. See: darkroom model weights",
        )
    if cached and recipe.train_layers == "last" and changes != (recipe.feature_views > 1):
        raise InvalidConfig(
            "training.views-and-changes",
            "With train_layers = last, augment and feature_views go together. Received: feature_views = "
            "{views}, and augment {says}.",
            do="Set feature_views to 4 and some changes under augment, or neither.",
            views=recipe.feature_views,
            says="changes pictures" if changes else "changes nothing",
        )


def _check_edge(recipe: Recipe) -> None:
    augment = recipe.augment
    if augment.edge == Augment().edge:
        return
    if not (augment.rotate_deg or augment.zoom or augment.shift):
        raise InvalidConfig(
            "training.edge-without-move",
            "augment.edge = {edge} has no effect: without rotate_deg, zoom or shift nothing comes in from "
            "outside.",
            do="Leave augment.edge out, or set one of them.",
            edge=augment.edge,
        )
    if augment.edge == "mean" and recipe.normalisation == "none":
        raise InvalidConfig(
            "training.edge-without-mean",
            "augment.edge = mean needs a mean colour, and normalisation = none measures none.",
            do="Set augment.edge = edge or mirror, or another normalisation.",
        )


def _check_least_gain(recipe: Recipe) -> None:
    stopping = recipe.early_stopping
    if stopping.least_gain > 0 and stopping.patience_epochs == 0:
        raise InvalidConfig(
            "training.gain-without-patience",
            "early_stopping.least_gain = {gain:g} has no effect with patience_epochs = 0, which never ends "
            "early.",
            do="Set early_stopping.patience_epochs, for example to 5, or leave least_gain out.",
            gain=stopping.least_gain,
        )


def _check_class_weights(loss: Loss, classes: Sequence[str]) -> None:
    if (loss.class_weights == "by-name") != bool(loss.weight_by_class):
        raise InvalidConfig(
            "training.class-weights",
            "loss.class_weights = by-name and loss.weight_by_class go together. "
            "Received: {kind}, {weights}.",
            do="Set both, for example loss.weight_by_class = {{ rare = 5.0 }}, or none of them.",
            kind=loss.class_weights,
            weights=", ".join(loss.weight_by_class) or "no weights",
        )
    for name in loss.weight_by_class:
        if name not in classes:
            raise InvalidConfig(
                "training.class-unknown",
                "The dataset has no class {name!r}, for loss.weight_by_class. Known: {known}.{nearest}",
                name=name,
                known=", ".join(classes),
                nearest=nearest(name, classes),
                do="Correct the name in loss.weight_by_class.",
            )
