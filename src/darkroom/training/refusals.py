"""Say in words what torch refuses while it trains: more memory than there is, a batch of one picture."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.training.plan import BatchChoice
from darkroom.training.recipe import Recipe

__all__ = ["in_words", "lacks_memory"]


@contextmanager
def in_words(recipe: Recipe, fitting: Callable[[int], BatchChoice | None] | None = None) -> Iterator[None]:
    """Turns torch's errors about memory and about a batch of one picture into ours.

    Args:
        recipe: how it trains.
        fitting: finds a batch smaller than one that did not fit; it is suggested.

    Raises:
        Unsupported: memory does not hold a batch.
        InvalidConfig: the network needs more than one picture at a time.
    """
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as error:
        if lacks_memory(error):
            raise _no_memory(recipe, _found(error, fitting, recipe)) from error
        if "more than 1 value per channel" in str(error):
            raise InvalidConfig(
                "training.batch-of-one",
                "Network {network} normalises over the pictures of a batch and needs two at a time. "
                "Received: batch_size = {size}, or one picture in all.",
                do="Set batch_size to 2 or more in the recipe, with two training pictures or more.",
                network=recipe.network,
                size=recipe.batch_size,
            ) from error
        raise


def lacks_memory(error: Exception) -> bool:
    """Says so for cuda's error, for numpy's, and for that of torch on a processor, which is a text."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator: " in str(error)


def _found(
    error: Exception, fitting: Callable[[int], BatchChoice | None] | None, recipe: Recipe
) -> BatchChoice | None:
    if fitting is None:
        return None
    traceback.clear_frames(error.__traceback__)  # they hold the pictures and the network
    gc.collect()
    return fitting(recipe.batch_size)


def _no_memory(recipe: Recipe, fits: BatchChoice | None) -> Unsupported:
    words = {"network": recipe.network, "size": recipe.batch_size}
    if fits is None:
        return Unsupported(
            "training.no-memory",
            "There is not enough memory to train {network} with batches of {size} pictures.",
            do="Halve batch_size in the recipe and double accumulate_batches, or take smaller "
            "pictures. See: darkroom model estimate",
            **words,
        )
    return Unsupported(
        "training.no-memory-for-batch",
        "There is not enough memory to train {network} with batches of {size} pictures. {why}",
        do="Set batch_size = {fits} and accumulate_batches = {together} in the recipe; or "
        "allow_smaller_batch = true, which does so when it has to.",
        why=fits.why,
        fits=fits.batch_size,
        together=fits.accumulate_batches,
        **words,
    )
