"""Train a network on rendered pictures: recipe, augmentation, one readable loop, exact resume.

The loop is `darkroom.training.loop.train`; this file stays free of torch, so that recipes are light.
"""

from darkroom.training.outcome import CardFacts, TrainOutcome
from darkroom.training.recipe import Augment, EarlyStopping, Loss, Optimiser, Recipe, Schedule

__all__ = [
    "Augment",
    "CardFacts",
    "EarlyStopping",
    "Loss",
    "Optimiser",
    "Recipe",
    "Schedule",
    "TrainOutcome",
]
