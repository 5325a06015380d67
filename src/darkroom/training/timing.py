"""What a training will take, from a few timed batches of it; nothing of them stays."""

from __future__ import annotations

import math
import statistics
import tempfile
from pathlib import Path

from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import Fact, FrozenMap
from darkroom.training.bench import Bench
from darkroom.training.costs import COPIES_WHILE_SAVING, disk_bytes, weights_bytes
from darkroom.training.device import choose_device, default_threads, reproducible
from darkroom.training.last_layer import MOST_BYTES_IN_MEMORY, FeatureRows
from darkroom.training.memory import device_peak_bytes, forget_peak, peak_bytes
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Rendering
from darkroom.training.plan import PrecisionChoice
from darkroom.training.precision import choose_precision
from darkroom.training.recipe import Recipe
from darkroom.training.refusals import in_words
from darkroom.training.reporter import ShouldStop
from darkroom.training.stopwatch import TIMED, Stopwatch, batches_of

__all__ = ["Timing", "time_training"]


class Timing(Fact):
    """A few timed batches, and what they say about the whole training."""

    batches_s: tuple[float, ...]
    """Seconds of a batch, measured a few times."""
    validate_s: float
    """Seconds of one validation picture."""
    batches: int
    """In an epoch."""
    val_count: int
    """Validation pictures."""
    epochs: int
    threads: int
    device: str
    precision: str
    """What was timed."""
    choice: PrecisionChoice | None = None
    """For precision = "auto"."""
    memory_bytes: int
    """Most memory of the process."""
    device_bytes: int
    """Most memory on a cuda device."""
    disk_bytes: FrozenMap[str, int]
    """What a run needs on disk, by kind."""
    weights_bytes: int

    def epoch_s(self, batch_s: float | None = None) -> float:
        """Returns the seconds of an epoch; of the median batch when none is given."""
        batch_s = statistics.median(self.batches_s) if batch_s is None else batch_s
        return self.batches * batch_s + self.val_count * self.validate_s

    def training_s(self, batch_s: float | None = None) -> float:
        """Returns the seconds of all epochs; of the median batch when none is given."""
        return self.epochs * self.epoch_s(batch_s)


def time_training(
    rendering: Rendering,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    start: NetworkStart,
    *,
    train_count: int,
    val_count: int,
    choice: PrecisionChoice | None = None,
    should_stop: ShouldStop | None = None,
) -> Timing:
    """Times a warm-up batch, three more and a validation batch of a training.

    Args:
        rendering: the pictures, or some of them.
        recipe: how to train.
        seed: as in the training.
        facts: as in the training.
        start: what the network begins with.
        train_count: how many training pictures there are.
        val_count: how many validation pictures there are.
        choice: what "auto" came to, if that is known.
        should_stop: asked after each batch.

    Raises:
        Cancelled: `should_stop` said so.
        Unsupported: the machine has not the memory.
        DarkroomError: as `prepare`.
    """
    device, threads = choose_device(recipe.device), recipe.threads or default_threads()
    forget_peak(device)
    with tempfile.TemporaryDirectory() as unused, reproducible(device, threads), in_words(recipe):
        if recipe.precision == "auto" and choice is None:
            choice = choose_precision(
                rendering, recipe, seed, facts, device, start, should_stop=should_stop
            )
        watch = Stopwatch(
            *(rendering, recipe, seed, facts, device, FeatureStore(Path(unused)), start),
            precision=choice.precision if choice else "",
            should_stop=should_stop,
        )
        batches_s = tuple(watch.train_s() for _ in range(TIMED))
        watch.validate_s()
        validate_s = watch.validate_s()
        bench = watch.bench
        return Timing(
            batches_s=batches_s,
            validate_s=validate_s,
            batches=batches_of(train_count, recipe.batch_size),
            val_count=val_count,
            epochs=recipe.epochs,
            threads=threads,
            device=device.type,
            precision=bench.arithmetic,
            choice=choice,
            **_memory(bench, (train_count, val_count)),
            disk_bytes=disk_bytes(bench),
            weights_bytes=weights_bytes(bench),
        )


def _memory(bench: Bench, counts: tuple[int, int]) -> dict[str, int]:
    """Returns what a training takes of the process's memory and of the device's, all pictures loaded."""
    process = peak_bytes() + COPIES_WHILE_SAVING * weights_bytes(bench)
    device, held = device_peak_bytes(bench.device), sum(_held(bench, counts))
    if bench.device.type == "cuda":
        return {"memory_bytes": process, "device_bytes": device + held}
    return {"memory_bytes": process + held, "device_bytes": device}


def _held(bench: Bench, counts: tuple[int, int]) -> list[int]:
    """Returns what the pictures of each split take in memory; those that were timed are not taken off."""
    if isinstance(bench.train, FeatureRows):
        views = (bench.recipe.feature_views, 1)
        sizes = [4 * bench.train.size * count * view for count, view in zip(counts, views, strict=True)]
        return [size if size <= MOST_BYTES_IN_MEMORY else 0 for size in sizes]
    each = math.prod(bench.facts.contract.shape)
    # As `Pixels`: float32 where that fits, else uint8, else by batch; the file that is read counts too.
    masks = each // bench.facts.contract.channels if bench.of_masks else 0
    return [
        size * (5 if 4 * size <= MOST_BYTES_IN_MEMORY else 2 if size <= MOST_BYTES_IN_MEMORY else 0)
        + (2 * count * masks if count * masks <= MOST_BYTES_IN_MEMORY else 0)
        for size, count in ((each * count, count) for count in counts)
    ]
