"""What the domain check says about one picture."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Fact

__all__ = ["DomainAnswer", "DomainReason", "NearestImage", "Used"]

Used = Literal["statistics and features", "statistics"]
"""What a check rests on: the picture's properties with the network's features of it, or the first alone."""


class DomainReason(Fact):
    """One property in which a picture differs from the training pictures."""

    name: str
    """Name in the table of properties: "polarity", "stroke", …"""
    words: str
    """How it differs, with numbers."""
    value: float
    """What was measured, in the property's unit."""
    training: tuple[float, float]
    """Between these lie 98 in 100 training pictures."""
    score: float
    """−ln of the share of training pictures that are expected to lie as far out."""
    fix: str = ""
    """What could be done about it."""
    follows: str = ""
    """The other property of which this one is taken to be a consequence; empty for a reason of its own."""


class NearestImage(Fact):
    """A training picture near to the one in question."""

    image_id: str
    distance: float
    """0 for the same; comparable within one answer only."""


class DomainAnswer(Fact):
    """Whether a picture looks like the training pictures, and how it differs if not."""

    in_domain: bool
    words: str
    """"looks in-domain", or how it differs."""
    reasons: tuple[DomainReason, ...] = ()
    """The properties that differ, the plainest first; consequences behind what they follow from."""
    nearest: tuple[NearestImage, ...] = ()
    """The nearest of the training pictures that the sketch keeps, the nearest first."""
    used: Used
    """What the check rests on."""

    @property
    def fixes(self) -> tuple[str, ...]:
        """What could be done, once each."""
        return tuple(dict.fromkeys(one.fix for one in self.reasons if one.fix and not one.follows))
