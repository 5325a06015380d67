"""Say in words what torch refuses while it trains: more memory than there is, a batch of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import InvalidConfig, Unsupported
from darkroom.training.recipe import Recipe

__all__ = ["in_words"]


@contextmanager
def in_words(recipe: Recipe) -> Iterator[None]:
    """Turns torch's errors about memory and about a batch of one picture into ours.

    Args:
        recipe: how it trains.

    Raises:
        Unsupported: memory does not hold a batch.
        InvalidConfig: the network needs more than one picture at a time.
    """
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as error:
        if _lacks_memory(error):
            raise Unsupported(
                "training.no-memory",
                "There is not enough memory to train {network} with batches of {size} pictures.",
                do="Halve batch_size in the recipe and double accumulate_batches, or take smaller "
                "pictures. See: darkroom model estimate",
                network=recipe.network,
                size=recipe.batch_size,
            ) from error
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


def _lacks_memory(error: Exception) -> bool:
    """Says so for cuda's error, for numpy's, and for that of torch on a processor, which is a text."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator: " in str(error)
