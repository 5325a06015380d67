"""A range test by itself: the rates of a recipe, measured on a dataset."""

from __future__ import annotations

from darkroom.features import FeatureStore
from darkroom.networks.custom import blamed_on
from darkroom.networks.start import NetworkStart
from darkroom.training.checkpoint import Identity, Progress
from darkroom.training.device import choose_device, default_threads, reproducible
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Rendering
from darkroom.training.rate_test import RATE_SEED, RateTest
from darkroom.training.recipe import Recipe
from darkroom.training.refusals import in_words
from darkroom.training.reporter import ShouldStop
from darkroom.training.settling import Work

__all__ = ["rates_of"]


def rates_of(
    rendering: Rendering,
    recipe: Recipe,
    facts: CardFacts,
    features: FeatureStore,
    start: NetworkStart,
    *,
    should_stop: ShouldStop | None = None,
) -> RateTest:
    """Returns what a range test of a recipe shows; nothing of it stays.

    Args:
        rendering: the pictures.
        recipe: how to train.
        facts: as in the training.
        features: where features are kept.
        start: what the network begins with.
        should_stop: asked after each batch.

    Raises:
        Cancelled: `should_stop` said so.
        DarkroomError: as `train`.
    """
    device, threads = choose_device(recipe.device), recipe.threads or default_threads()
    asked = recipe.model_copy(update={"find_learning_rate": False})
    work = Work(rendering, asked, RATE_SEED, facts, device, features, start, should_stop)
    identity = Identity(
        recipe=asked,
        seed=RATE_SEED,
        dataset_id=facts.dataset_id,
        labels=facts.labels,
        contract=facts.contract,
    )
    with reproducible(device, threads), blamed_on(start.code), in_words(recipe, work.fitting().find):
        return work.test_rates(work.settle(Progress(identity=identity, threads=threads)))
