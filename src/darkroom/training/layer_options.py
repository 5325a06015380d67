"""Options of fine-tuning, sampling and mixing that have no effect, or make no sense, together."""

from __future__ import annotations

from darkroom.errors import InvalidConfig
from darkroom.records import Task
from darkroom.training.recipe import Layers, Mixing, Recipe

__all__ = ["check_layers", "check_sampling"]

OF_GRADUAL = ("open_every", "head_epochs", "head_rate")


def check_layers(recipe: Recipe, *, goes_on: bool, task: Task) -> None:
    """Makes sure that every option of `layers` that was changed has an effect, and that every group opens.

    Args:
        recipe: how to train.
        goes_on: whether the training begins with the weights of an earlier run.
        task: what is learnt.

    Raises:
        InvalidConfig: an option has no effect, weights are missing, or a group would never open.
    """
    layers, usual, chosen = recipe.layers, Layers(), recipe.train_layers
    changed = {name for name in Layers.model_fields if getattr(layers, name) != getattr(usual, name)}
    gradual, of_masks = chosen == "gradual", task == "segmentation"
    for name in sorted(changed):
        if name in OF_GRADUAL and not gradual:
            raise _without_effect(name, layers, f"train_layers = {chosen}", "train_layers = gradual")
        if name == "groups" and not (gradual or (chosen == "all" and layers.rate_decay < 1)):
            raise _without_effect(name, layers, "one rate for all layers", "layers.rate_decay below 1")
        if chosen == "last":
            raise _without_effect(name, layers, "train_layers = last", "train_layers = gradual or all")
        if of_masks and name in ("head_epochs", "head_rate"):
            raise _without_effect(name, layers, "masks, whose maps are not computed once", "classification")
    if not gradual:
        return
    if not (recipe.weights or goes_on):
        raise InvalidConfig(
            "training.gradual-needs-weights",
            "train_layers = gradual opens layers that have learnt something, and without pretrained "
            "weights or an earlier run they have learnt nothing.",
            do="Name weights in the recipe, give start_from, or set train_layers = all. "
            "See: darkroom model weights",
        )
    _check_openings(recipe, of_masks=of_masks)


def check_sampling(recipe: Recipe, task: Task) -> None:
    """Makes sure that sampling, mixing and the search for a learning rate have an effect, and one alone.

    Raises:
        InvalidConfig: they have none, or two options do the same.
    """
    balanced, mixes = recipe.sampling == "balanced", recipe.mixing != Mixing()
    for option, asked in (("sampling = balanced", balanced), ("mixing", mixes)):
        if asked and task != "classification":
            raise InvalidConfig(
                "training.one-class-each",
                "{option} is for pictures of one class each; the dataset is for {task}.",
                do="Leave it out.",
                option=option,
                task=task,
            )
    if recipe.quantise and recipe.train_layers == "last":
        raise InvalidConfig(
            "training.quantise-needs-all",
            "quantise rounds what flows through every layer, and train_layers = last trains the last one "
            "alone.",
            do="Set train_layers = all, or leave quantise out.",
        )
    if mixes and recipe.train_layers == "last":
        raise InvalidConfig(
            "training.mixing-of-features",
            "mixing changes pictures in each epoch, and train_layers = last sees features that are "
            "computed once.",
            do="Leave mixing out, or set train_layers = gradual or all.",
        )
    if balanced and recipe.loss.class_weights != "none":
        raise InvalidConfig(
            "training.balanced-twice",
            "sampling = balanced shows rare classes more often, and loss.class_weights = {weights} counts "
            "them more: together they do so twice.",
            do="Set one of the two.",
            weights=recipe.loss.class_weights,
        )
    if recipe.find_learning_rate and recipe.learning_rate != Recipe.model_fields["learning_rate"].default:
        raise InvalidConfig(
            "training.rate-twice",
            "find_learning_rate measures the rate, and learning_rate = {rate:g} says it.",
            do="Leave one of the two out.",
            rate=recipe.learning_rate,
        )


def _check_openings(recipe: Recipe, *, of_masks: bool) -> None:
    layers, steps = recipe.layers, recipe.layers.groups - 1 + of_masks
    last = 1 + layers.open_every * steps
    if last <= recipe.epochs:
        return
    every = (recipe.epochs - 1) // max(1, steps)
    fits = f"layers.open_every = {every}" if every else f"epochs = {last} or more"
    raise InvalidConfig(
        "training.group-never-opens",
        "The last of {groups} groups of layers would open with epoch {last}, and the training ends after "
        "{epochs}.",
        do="Set {fits}, or fewer layers.groups.",
        groups=layers.groups,
        last=last,
        epochs=recipe.epochs,
        fits=fits,
    )


def _without_effect(name: str, layers: Layers, because: str, belongs: str) -> InvalidConfig:
    return InvalidConfig(
        "training.layers-without-effect",
        "layers.{name} = {value} has no effect with {because}; it is for {belongs}.",
        do="Leave layers.{name} out.",
        name=name,
        value=getattr(layers, name),
        because=because,
        belongs=belongs,
    )
