"""Options that belong to one task: refused for another, before anything is trained."""

from __future__ import annotations

from darkroom.errors import InvalidConfig
from darkroom.networks import NetworkEntry
from darkroom.records import Task
from darkroom.training.recipe import Recipe

__all__ = ["check_network_options", "check_task_options"]


def check_task_options(recipe: Recipe, task: Task) -> None:
    """Makes sure that every option that was changed has an effect for a task.

    Raises:
        InvalidConfig: an option is for another task, or two do not go together.
    """
    if task == "segmentation":
        _check_masks(recipe)
        return
    if task == "multi-label" and recipe.loss.label_smoothing:
        raise InvalidConfig(
            "training.smoothing-of-label-sets",
            "loss.label_smoothing = {share:g} spreads one right answer over the others; where any number "
            "of labels may hold there is no such answer.",
            do="Leave it out. loss.name = focal makes easy labels count less.",
            share=recipe.loss.label_smoothing,
        )
    of_masks = {
        "loss.dice_weight": (recipe.loss.dice_weight, 0.0),
        "loss.cross_entropy_weight": (recipe.loss.cross_entropy_weight, 1.0),
        "augment.crop_px": (recipe.augment.crop_px, 0),
    }
    for option, (value, default) in of_masks.items():
        if value != default:
            raise InvalidConfig(
                "training.option-of-masks",
                "{option} = {value} is for segmentation; the dataset is for {task}.",
                do="Leave {option} out.",
                option=option,
                value=value,
                task=task,
            )


def check_network_options(recipe: Recipe, entry: NetworkEntry) -> None:
    """Makes sure that a network can train on what the recipe gives it at a time.

    Raises:
        InvalidConfig: crops are too small for it, or a batch is.
    """
    crop_px = recipe.augment.crop_px
    if 0 < crop_px < entry.smallest_input_px:
        raise InvalidConfig(
            "training.crop-too-small",
            "Network {network} needs at least {least} px on each side. Received: augment.crop_px = "
            "{crop_px}.",
            do="Raise augment.crop_px, or set it to 0 for whole pictures.",
            network=entry.name,
            least=entry.smallest_input_px,
            crop_px=crop_px,
        )
    if recipe.batch_size < entry.smallest_batch:
        raise InvalidConfig(
            "training.batch-too-small",
            "Network {network} pools whole pictures and needs at least {least} of them at a time. "
            "Received: batch_size = {batch_size}.",
            do="Set batch_size to {least} or more.",
            network=entry.name,
            least=entry.smallest_batch,
            batch_size=recipe.batch_size,
        )


def _check_masks(recipe: Recipe) -> None:
    loss = recipe.loss
    if loss.cross_entropy_weight == loss.dice_weight == 0:
        raise InvalidConfig(
            "training.no-loss",
            "loss.cross_entropy_weight and loss.dice_weight are both 0: there is nothing to make small.",
            do="Set one of them, for example loss.cross_entropy_weight = 1.",
        )
    if loss.cross_entropy_weight == 0 and (
        loss.name != "cross-entropy" or loss.class_weights != "none" or loss.label_smoothing
    ):
        raise InvalidConfig(
            "training.dice-alone",
            "With loss.cross_entropy_weight = 0 only Dice is left, and loss.name, loss.class_weights and "
            "loss.label_smoothing have no effect.",
            do="Leave them out, or raise loss.cross_entropy_weight.",
        )
    if recipe.feature_views > 1:
        raise InvalidConfig(
            "training.views-of-masks",
            "feature_views = {views} is for features that are computed once, and maps are not: a training "
            "of masks changes its pictures anew in each epoch, also with train_layers = last.",
            do="Set feature_views = 1.",
            views=recipe.feature_views,
        )
    if recipe.normalisation == "mean-image" and recipe.augment.crop_px:
        raise InvalidConfig(
            "training.crop-of-mean-image",
            "normalisation = mean-image subtracts a picture of full size, and augment.crop_px cuts "
            "pictures.",
            do="Set normalisation = mean-std, or augment.crop_px = 0.",
        )
