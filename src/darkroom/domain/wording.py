"""Say in words how a picture differs, with its number and those of training."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.domain.answer import DomainReason
from darkroom.domain.sketch import Trait

__all__ = ["LOOKS_IN_DOMAIN", "difference", "verdict"]

LOOKS_IN_DOMAIN = "looks in-domain"


def difference(trait: Trait, value: float) -> str:
    """Returns how a value differs from those of training."""
    known, (low, _, middle, _, high) = trait.known, trait.quantiles
    said = known.above if value > middle else known.below
    if known.name == "polarity":
        return f"{said}; {_backgrounds(trait, light=value > 0)}"
    first, last = known.said(low), known.said(high)
    usual = first if first == last else f"{first} to {last}"
    return f"{said}: {known.said(value)}{known.unit} (98 % of the training pictures: {usual})"


def verdict(reasons: Sequence[DomainReason]) -> str:
    """Returns the answer in one sentence; consequences are left to the reasons that they follow from."""
    own = [reason.words for reason in reasons if not reason.follows]
    return f"differs: {'; '.join(own)}" if own else LOOKS_IN_DOMAIN


def _backgrounds(trait: Trait, *, light: bool) -> str:
    share = trait.below_zero if light else 1 - trait.below_zero
    return f"in training {_percent(share)} had a {'dark' if light else 'light'} background"


def _percent(share: float) -> str:
    """Returns a share in percent that says 100 only for all."""
    plain = 100 * share
    digits = 0 if share in (0.0, 1.0) or 1 <= plain <= 99 else 1
    return f"{min(plain, 99.9) if share < 1 else 100.0:.{digits}f} %"
