"""The sources of chance in a training, each with a seed of its own: one can vary while others stay."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Config

__all__ = ["SOURCES", "Chance", "Source"]

Source = Literal["initialisation", "order", "augmentation", "dropout", "split"]
"""What chance decides about a training."""

SOURCES: tuple[Source, ...] = ("initialisation", "order", "augmentation", "dropout", "split")

OF_PURPOSE: dict[str, Source] = {
    "initialisation": "initialisation",
    "order": "order",
    "dropout": "dropout",
}
"""Source that a purpose of random numbers belongs to; what is not listed changes pictures: augmentation."""


class Chance(Config):
    """Seeds of single sources of chance. What is left out follows the seed of the run."""

    initialisation: int | None = None
    """First values of weights that no file gives: all of them, or the last layer's."""
    order: int | None = None
    """In which order pictures come, and which of them share a batch."""
    augmentation: int | None = None
    """How each picture is changed in each epoch, and which view of it is seen."""
    dropout: int | None = None
    """Which values are set to zero while training."""
    split: int | None = None
    """Shares train and val out anew: as many of each class, groups together, test untouched. Left out, the
    dataset's own split stays, whatever the seed of the run."""

    def seed_of(self, purpose: str, seed: int) -> int:
        """Returns the seed that a purpose of random numbers starts from.

        Args:
            purpose: "initialisation", "order", "noise", …
            seed: of the run.
        """
        own = getattr(self, OF_PURPOSE.get(purpose, "augmentation"))
        return seed if own is None else own

    def derived(self, seed: int, purpose: str, *more: object) -> int:
        """Returns the seed of one purpose; see `derive_seed`."""
        from darkroom.training.device import derive_seed  # brings torch, and a recipe comes without

        return derive_seed(self.seed_of(purpose, seed), purpose, *more)

    def settled(self, seed: int) -> Chance:
        """Returns the same without what says nothing new: a source whose seed is that of the run."""
        same = [one for one in SOURCES if one != "split" and getattr(self, one) == seed]
        return self.model_copy(update=dict.fromkeys(same))

    def seeds(self, seed: int) -> dict[Source, int | None]:
        """Returns the seed of every source in a run; None for the dataset's own split."""
        found: dict[Source, int | None] = {
            one: seed if getattr(self, one) is None else getattr(self, one) for one in SOURCES
        }
        return {**found, "split": self.split}
