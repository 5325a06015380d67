"""What a recipe leaves open, settled before the first epoch and kept: precision, rate, batch."""

from __future__ import annotations

from typing import NamedTuple

import torch

from darkroom.errors import Invalid
from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.training.bench import Bench, prepare
from darkroom.training.checkpoint import Progress
from darkroom.training.fitting import Fitting
from darkroom.training.head_start import needs_head_start, start_head
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Rendering
from darkroom.training.plan import BatchChoice, RateChoice
from darkroom.training.precision import choose_precision
from darkroom.training.rate_test import RATE_SEED, RateTest, run_rate_test
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import ShouldStop

__all__ = ["Work"]


class Work(NamedTuple):
    """A training that was asked for, with what it works on; call its methods inside `reproducible`."""

    rendering: Rendering
    recipe: Recipe
    seed: int
    facts: CardFacts
    device: torch.device
    features: FeatureStore
    start: NetworkStart
    should_stop: ShouldStop | None = None

    def settle(self, progress: Progress, batch: BatchChoice | None = None) -> Progress:
        """Returns where a training stands, with what the recipe leaves open settled.

        Args:
            progress: where it stands; what was settled before stays.
            batch: a smaller batch to take from now on.

        Raises:
            Invalid: no learning rate shows itself.
            Cancelled: `should_stop` said so.
        """
        recipe, found = self.recipe, progress
        if batch is not None:
            found = found.model_copy(update={"batch": batch})
        if recipe.precision == "auto" and found.precision is None:
            chosen = choose_precision(
                *(self.rendering, recipe, self.seed, self.facts, self.device, self.start),
                should_stop=self.should_stop,
            )
            found = found.model_copy(update={"precision": chosen})
        if recipe.find_learning_rate and found.rate is None:
            rate = _taken(self.test_rates(found))
            found = found.model_copy(update={"rate": rate})
        return found

    def settled(self, progress: Progress) -> Recipe:
        """Returns the recipe with what was settled."""
        more: dict[str, object] = {}
        if progress.batch is not None:
            more |= {
                "batch_size": progress.batch.batch_size,
                "accumulate_batches": progress.batch.accumulate_batches,
            }
        if progress.rate is not None:
            more |= {"learning_rate": progress.rate.rate, "find_learning_rate": False}
        return self.recipe.model_copy(update=more)

    def bench(self, progress: Progress) -> Bench:
        """Returns the bench of the training; see `prepare`."""
        return self._bench(self.settled(progress), self.seed, progress)

    def begin(self, bench: Bench, progress: Progress) -> Progress:
        """Trains the last layer alone where that comes first; returns where the training then stands."""
        if progress.epoch > 0 or not needs_head_start(bench):
            return progress
        head = start_head(bench, self.rendering, self.features, self.should_stop)
        return progress.model_copy(update={"head": head})

    def test_rates(self, progress: Progress) -> RateTest:
        """Returns what a range test shows, on a bench of its own and with a seed of its own.

        Raises:
            Cancelled: `should_stop` said so.
        """
        recipe = self.settled(progress).model_copy(update={"find_learning_rate": False})
        bench = self._bench(recipe, RATE_SEED, progress)
        if needs_head_start(bench):
            start_head(bench, self.rendering, self.features, self.should_stop)
        return run_rate_test(bench, should_stop=self.should_stop)

    def fitting(self) -> Fitting:
        """Returns what finds a smaller batch where memory does not hold the recipe's."""
        precision = "float32" if self.recipe.precision == "auto" else ""
        return Fitting(*self[:-1], precision=precision, should_stop=self.should_stop)

    def _bench(self, recipe: Recipe, seed: int, progress: Progress) -> Bench:
        return prepare(
            *(self.rendering, recipe, seed, self.facts, self.device, self.features, self.start),
            precision=progress.precision.precision if progress.precision else "",
        )


def _taken(found: RateTest) -> RateChoice:
    if found.rate is None:
        raise Invalid(
            "training.no-rate",
            "find_learning_rate found none. {why}",
            do="Set learning_rate in the recipe and find_learning_rate = false; or look at the curve: "
            "darkroom model find-rate",
            why=found.why,
        )
    return RateChoice(rate=found.rate, why=found.why)
