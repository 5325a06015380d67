"""How the pictures of a dataset are shared out between train, val and test."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from darkroom.records import Config

__all__ = ["SOURCE_SPLITS", "STICKY_SPLITS", "SplitPlan"]

STICKY_SPLITS = "default"
"""Scheme in the catalogue's splits for where pictures and groups lie, once and for ever."""

SOURCE_SPLITS = "source"
"""Scheme in the catalogue's splits for where folders or tables put their pictures."""


class SplitPlan(Config):
    """How pictures that have no split yet get one; a picture or group keeps its split for ever."""

    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of all pictures that is kept for the test."""
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share, of what is not test, that watches the training."""
    seed: int = 0
    """Another seed shares out other pictures."""
    stratify: bool = True
    """Share out each class by itself, so that all splits have the same mixture."""
    respect_source_splits: bool = True
    """Pictures that their source puts into train, val or test stay there; a part that the source lacks
    is taken from its train."""
