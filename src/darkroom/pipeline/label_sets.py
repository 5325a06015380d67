"""Whether a folder says one class per picture or any number of labels, for `init`."""

from __future__ import annotations

from collections import Counter

from darkroom.formats import Reading
from darkroom.records import ClassesLabel, ClassLabel, Task

__all__ = ["said_by"]

MOST_READ = 100_000
"""Pictures after which enough was seen to tell."""


def said_by(reading: Reading) -> tuple[Task, tuple[str, ...]]:
    """Returns the task that a folder's labels are for, and what was seen, in sentences.

    It is the one that more pictures have an answer for; of equal ones one class. Sentences are only said
    for several labels, which a person may not expect.

    Args:
        reading: the folder; its pictures are gone through.
    """
    one, sizes = 0, Counter[int]()
    for seen, entry in enumerate(reading.entries):
        if seen == MOST_READ:
            break
        if isinstance(entry.value, ClassLabel):
            one += 1
        elif isinstance(entry.value, ClassesLabel):
            sizes[len(entry.value.labels)] += 1
    several = sizes.total()
    if several <= one:
        return "classification", ()
    mean = sum(size * count for size, count in sizes.items()) / several
    empty = f", {sizes[0]:,} of them none" if sizes[0] else ""
    return "multi-label", (
        f"The table has a column labels: any number may hold for a picture. {several:,} pictures have "
        f"{mean:.3g} on average{empty}; a picture whose cell is empty is unknown and left out.",
        "So each label is answered by itself, with a threshold of its own: see model calibrate. Write "
        "label for the column instead if every picture has one class.",
    )
