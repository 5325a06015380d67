"""A batch that fits: measured on real steps after memory ran out, and taken where the recipe allows it."""

from __future__ import annotations

import gc
import math
import traceback
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

from darkroom.features import FeatureStore
from darkroom.networks import find
from darkroom.networks.start import NetworkStart
from darkroom.training.bench import prepare
from darkroom.training.epoch import train_epoch
from darkroom.training.memory import available_bytes, device_peak_bytes, forget_peak, peak_bytes
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Rendering
from darkroom.training.plan import BatchChoice
from darkroom.training.recipe import Layers, Recipe
from darkroom.training.refusals import lacks_memory
from darkroom.training.reporter import Reporter, ShouldStop
from darkroom.training.stopwatch import TIMED_RATE, Few

__all__ = ["Fitting", "batch_parts", "let_go", "within_memory"]

MEMORY_SHARE = 0.9
"""Share of the free memory that a batch may be foreseen to fill: what is foreseen is rough."""

SMALLEST = 2
"""Batch normalisation needs two pictures."""

Result = TypeVar("Result")


class Fitting(NamedTuple):
    """Finds a batch that fits, with the network, the pictures and the steps of a training."""

    rendering: Rendering
    recipe: Recipe
    seed: int
    facts: CardFacts
    device: torch.device
    features: FeatureStore
    start: NetworkStart
    precision: str = ""
    should_stop: ShouldStop | None = None

    def find(self, below: int) -> BatchChoice | None:
        """Returns the largest part of a batch that memory holds, proven by a step; None where none does.

        What a picture takes is measured on steps of the smallest batches; then parts that should fit are
        tried, the largest first.

        Args:
            below: the batch that did not fit.
        """
        recipe = self.recipe
        least = max(SMALLEST, find(recipe.network).smallest_batch)
        parts = [
            part
            for part in batch_parts(recipe.batch_size * recipe.accumulate_batches)
            if least <= part[0] < below
        ]
        most, each = self._foreseen(least)
        for size, together in parts:
            if size <= most and self._holds(size):
                return BatchChoice(
                    batch_size=size,
                    accumulate_batches=together,
                    asked=below,
                    picture_bytes=each,
                    why=_why(below, size, together, each),
                )
        return None

    def _foreseen(self, least: int) -> tuple[float, int | None]:
        """Returns how many pictures memory should hold, and what each takes; endless where nobody knows."""
        if self.device.type not in ("cpu", "cuda"):
            return math.inf, None
        sizes = (least, 4 * least)
        if not self._holds(least):
            return 0.0, None
        peaks = []
        for size in sizes:
            forget_peak(self.device)
            if not self._holds(size):
                return float(size - 1), None
            peaks.append(_peak(self.device))
        each = max(0, peaks[1] - peaks[0]) // (sizes[1] - sizes[0])
        if each == 0:  # memory that was there already hides it
            return math.inf, None
        room = MEMORY_SHARE * _room(self.device) - (peaks[0] - each * least)
        return max(room / each, float(least)), each

    def _holds(self, size: int) -> bool:
        """Says whether memory holds a step with so many pictures; nothing of the step stays."""
        held = True
        try:
            self._step(size)
        except Exception as error:
            if not lacks_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            held = False
        if not held or self.device.type != "cpu":
            let_go(self.device)
        return held

    def _step(self, size: int) -> None:
        whole = {"train_layers": "all", "layers": Layers()} if self.recipe.train_layers == "gradual" else {}
        tried = self.recipe.model_copy(
            update={
                "batch_size": size,
                "accumulate_batches": 1,
                "learning_rate": TIMED_RATE,
                "find_learning_rate": False,
                **whole,
            }
        )
        bench = prepare(
            Few(self.rendering, size),
            tried,
            self.seed,
            self.facts,
            self.device,
            self.features,
            self.start,
            precision=self.precision,
        )
        train_epoch(bench, 1, Reporter(tried, 1, None, self.should_stop))


def within_memory(
    attempt: Callable[[BatchChoice | None], Result],
    fitting: Callable[[int], BatchChoice | None],
    recipe: Recipe,
    device: torch.device,
    on_choice: Callable[[BatchChoice], None],
) -> Result:
    """Returns what an attempt gives; where memory runs out, tries with smaller batches if that is allowed.

    Args:
        attempt: the training; told what smaller batch to take.
        fitting: finds a batch smaller than one that did not fit.
        recipe: how to train.
        device: where.
        on_choice: told of a smaller batch before it is taken.

    Raises:
        Exception: what the attempt raises, memory among it where no smaller batch is allowed or fits.
    """
    choice, below = None, recipe.batch_size
    while True:
        try:
            return attempt(choice)
        except Exception as error:
            if not (recipe.allow_smaller_batch and lacks_memory(error)):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the pictures and the network
            failed = error
        let_go(device)
        found = fitting(below)
        if found is None:
            raise failed
        failed = None
        choice, below = found, found.batch_size
        on_choice(found)


def batch_parts(whole: int) -> list[tuple[int, int]]:
    """Returns (pictures in a batch, batches to a step) that make a whole batch, the largest part first.

    Parts that make the whole exactly; of a whole that has none of two pictures or more, those that make
    slightly more of it.
    """
    exact = [(whole // many, many) for many in range(2, whole + 1) if whole % many == 0]
    if any(size >= SMALLEST for size, _ in exact):
        return exact
    return [(math.ceil(whole / many), many) for many in range(2, whole + 1)]


def let_go(device: torch.device) -> None:
    """Gives back what is no longer used."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _peak(device: torch.device) -> int:
    return device_peak_bytes(device) if device.type == "cuda" else peak_bytes()


def _room(device: torch.device) -> int:
    """Returns how much memory there is for all that a training takes: what it has, and what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return peak_bytes() + available_bytes()


def _why(asked: int, size: int, together: int, each: int | None) -> str:
    measured = f" A picture takes {each / 1e6:.0f} MB." if each else ""
    return (
        f"Memory does not hold a batch of {asked} pictures. {size} fit, as a step with them showed;"
        f" {together} such batches make a step.{measured}"
    )
