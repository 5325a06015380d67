"""How the last layer of a deeper training learns alone beforehand."""

from __future__ import annotations

from darkroom.training.recipe import (
    Augment,
    EarlyStopping,
    Layers,
    Mixing,
    Optimiser,
    Recipe,
    Schedule,
)

__all__ = ["head_recipe"]


def head_recipe(recipe: Recipe) -> Recipe:
    """Returns how the last layer of a deeper training learns alone.

    Data, loss, sampling, selection, device and chance are the training's own; rate, schedule and optimiser
    are those that suit one layer on features, and pictures are not changed.
    """
    return recipe.model_copy(
        update={
            "train_layers": "last",
            "epochs": max(1, recipe.layers.head_epochs),
            "learning_rate": recipe.layers.head_rate,
            "find_learning_rate": False,
            "accumulate_batches": 1,
            "layers": Layers(),
            "augment": Augment(),
            "feature_views": 1,
            "mixing": Mixing(),
            "optimiser": Optimiser(),
            "schedule": Schedule(),
            "early_stopping": EarlyStopping(),
            "snapshot_every": 0,
            "precision": "float32",
        }
    )
