"""The range test: find a learning rate on real batches, while it rises until the loss runs away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from darkroom.records import Fact
from darkroom.training.bench import Bench
from darkroom.training.epoch import train_epoch
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import Reporter, ShouldStop

__all__ = ["LOWEST", "MOST", "RATE_SEED", "RateTest", "STEPS", "run_rate_test", "suggest"]

STEPS = 100
LOWEST, MOST = 1e-6, 10.0
RATE_SEED = 0
"""Decides order and first weights of the test, whatever the seed of the run: clones find the same rate."""

SMOOTHING = 0.9
RUNS_AWAY = 4.0
"""The test ends where the smoothed loss is this many times its lowest value.

Source: fastai, `LRFinder`; it smooths by 0.98, as it looks closer.
"""

LEAST_FALL = 0.05
"""A smoothed loss that never fell by this share shows no rate at which the network learns."""

BELOW = 10.0
"""The suggestion lies so many times below the rate of the lowest loss, where it is already unstable."""

LEAST_BATCHES = 10


class RateTest(Fact):
    """What a range test showed."""

    rates: tuple[float, ...]
    """Learning rate of each step, rising."""
    losses: tuple[float, ...]
    """Loss of each step, smoothed."""
    rate: float | None
    """The suggestion, with two digits; None where no rate made the loss fall."""
    lowest_at: float
    """Rate at which the loss was lowest."""
    steepest_at: float
    """Rate at which it fell steepest."""
    ran_away: bool
    """Whether the loss ran away before the largest rate."""
    why: str
    """The reason, in sentences."""


class _Enough(Exception):
    """The test has seen what it needs."""


class _Listener(Reporter):
    """Hears the loss of each batch, and ends the test where it runs away."""

    def __init__(self, recipe: Recipe, steps: int, should_stop: ShouldStop | None) -> None:
        super().__init__(recipe, steps, None, should_stop)
        self._steps = steps
        self.raw: list[list[float]] = []
        self.losses: list[float] = []
        self.ran_away = False

    def batch(self, epoch: int, step: int, loss: Tensor) -> None:
        """Notes the loss of a batch; those of one step count together."""
        self.look(epoch)
        value = float(loss.detach())
        if len(self.raw) < step:
            self._settle()
            if len(self.raw) >= self._steps:
                raise _Enough
            self.raw.append([])
        self.raw[-1].append(value)
        if not math.isfinite(value):
            self.raw.pop()
            self.ran_away = True
            raise _Enough

    def _settle(self) -> None:
        """Smooths the loss of the step that is over."""
        if not self.raw:
            return
        number, value = len(self.raw), sum(self.raw[-1]) / len(self.raw[-1])
        # A running mean starts at 0; divided by what it has seen so far it starts at the first loss.
        before = self.losses[-1] * (1 - SMOOTHING ** (number - 1)) if self.losses else 0.0
        self.losses.append((SMOOTHING * before + (1 - SMOOTHING) * value) / (1 - SMOOTHING**number))
        if number >= LEAST_BATCHES and self.losses[-1] > RUNS_AWAY * min(self.losses):
            self.ran_away = True
            raise _Enough


def run_rate_test(bench: Bench, *, steps: int = STEPS, should_stop: ShouldStop | None = None) -> RateTest:
    """Trains on a bench, whose weights are spoilt by it, with a rate that rises in equal factors.

    Batches, loss, augmentation and optimiser are those of the training. The suggestion is a tenth of the
    rate at which the smoothed loss was lowest: there it still falls, and the test has just shown that ten
    times as much does not yet break it.

    Args:
        bench: of the training.
        steps: steps from the lowest rate to the largest.
        should_stop: asked after each batch.

    Raises:
        Cancelled: `should_stop` said so.

    Source: Smith, Cyclical learning rates for training neural networks, 2017, section 3.3, with rates that
    rise by equal factors; a tenth of the lowest as in Howard, Gugger, Deep learning for coders, 2020,
    chapter 5.
    """
    factor = (MOST / LOWEST) ** (1 / (steps - 1))

    def rate_of(step: int) -> float:
        return LOWEST * factor ** min(step, steps - 1)

    tested = replace(bench, rate_of=rate_of)
    listener, epoch = _Listener(bench.recipe, steps, should_stop), 0
    try:
        while True:  # as many passes over the pictures as the steps take
            epoch += 1
            train_epoch(tested, epoch, listener)
    except _Enough:
        pass
    losses = listener.losses
    return suggest([rate_of(step) for step in range(len(losses))], losses, ran_away=listener.ran_away)


def suggest(rates: Sequence[float], losses: Sequence[float], *, ran_away: bool) -> RateTest:
    """Returns the suggestion that smoothed losses make, and why.

    Args:
        rates: of each step, rising.
        losses: of each step, smoothed.
        ran_away: whether the loss ran away after the last of them.
    """
    if not losses:
        why = "The loss was no number from the first step on: no learning rate can help."
        return RateTest(
            rates=(), losses=(), rate=None, lowest_at=LOWEST, steepest_at=LOWEST, ran_away=True, why=why
        )
    lowest = min(range(len(losses)), key=losses.__getitem__)
    steepest = _steepest(losses, lowest)
    fell = 1 - losses[lowest] / losses[0] if losses[0] else 0.0  # 0: no pixel of which anything is said
    end = "ran away" if ran_away else f"had not run away at {rates[-1]:.2g}"
    found = {
        "rates": tuple(rates),
        "losses": tuple(losses),
        "lowest_at": rates[lowest],
        "steepest_at": rates[steepest],
        "ran_away": ran_away,
    }
    if fell < LEAST_FALL:
        why = f"The loss never fell by {LEAST_FALL:.0%}, from {losses[0]:.3g}, before it {end}."
        return RateTest(rate=None, why=f"{why} No rate shows itself.", **found)
    why = (
        f"The loss fell by {fell:.0%}, steepest at {rates[steepest]:.2g}, was lowest at "
        f"{rates[lowest]:.2g}, and {end}. A tenth of the rate of the lowest loss is taken."
    )
    return RateTest(rate=float(f"{rates[lowest] / BELOW:.2g}"), why=why, **found)


def _steepest(losses: Sequence[float], lowest: int) -> int:
    """Returns the step before the lowest loss at which it fell most over a few steps."""
    reach = 3

    def fall(step: int) -> float:
        return losses[max(0, step - reach)] - losses[min(lowest, step + reach)]

    return max(range(lowest + 1), key=fall)
