"""Train a network on rendered pictures: recipe, augmentation, one readable loop, exact resume.

The loop is `darkroom.training.loop.train`; this file stays free of torch, so that recipes are light.
"""

from darkroom.training.chance import Chance
from darkroom.training.outcome import CardFacts, TrainOutcome
from darkroom.training.recipe import (
    Augment,
    EarlyStopping,
    Layers,
    Loss,
    Mixing,
    Optimiser,
    Recipe,
    Schedule,
)

__all__ = [
    "Augment",
    "CardFacts",
    "Chance",
    "EarlyStopping",
    "Layers",
    "Loss",
    "Mixing",
    "Optimiser",
    "Recipe",
    "Schedule",
    "TrainOutcome",
]
