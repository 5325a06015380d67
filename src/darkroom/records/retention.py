"""What stays when a picture is forgotten: a tombstone without content, and marks on what held it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import AwareDatetime

from darkroom.records.record import Fact, Record

__all__ = ["Mark", "MarkKind", "Tombstone", "names_file"]

MarkKind = Literal["dataset", "run", "bundle"]
"""What can have held a picture."""


def names_file(text: str, path: str) -> bool:
    """Says whether a text names a file by this path or by one that ends with it."""
    return re.search(rf"(?<![\w.-]){re.escape(path)}(?![\w.-])", text) is not None


class Tombstone(Record):
    """A picture that was forgotten; nothing of its content."""

    image_id: str
    """sha256 of its encoded bytes, by which it is known when it comes again."""
    at: AwareDatetime
    """When somebody asked for it."""
    by: str = ""
    """Who asked for it."""
    reason: str = ""
    """Why, in the words of who asked."""
    finished: bool = False
    """Whether everything is erased; if not, forgetting it again finishes."""


class Mark(Fact):
    """Says that something held a picture that was forgotten since."""

    kind: MarkKind
    """What held it."""
    name: str
    """Name of what held it: "digits@1", "r-3", "b-2"."""
    image_id: str
    """The picture."""
