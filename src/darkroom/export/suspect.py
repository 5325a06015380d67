"""One way to leave the contract before the tensor, which can be tried on a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from darkroom.export.developing import Development, Pixels

__all__ = ["Suspect"]


class Suspect(NamedTuple):
    """One way to leave the contract."""

    id: str
    """"squash-for-crop", "profile-ignored", …"""
    step: str
    """The step that it belongs to."""
    words: str
    """What the other side does."""
    do: str
    """What to do about it."""
    make: Callable[[Development, str], Pixels | None]
    """From a picture's way and a step: what that step would leave; None where it cannot be known."""
    before: Callable[[Development], Development | None] | None = None
    """For what happens before the resize: how the way would have begun; a second cause may follow."""

    @classmethod
    def at_the_start(
        cls, id: str, step: str, words: str, do: str, before: Callable[[Development], Development | None]
    ) -> Suspect:
        """Returns a suspect that begins otherwise and then follows the contract."""

        def make(way: Development, step: str) -> Pixels | None:
            begun = before(way)
            return None if begun is None else begun.until(step)

        return cls(id, step, words, do, make, before)
