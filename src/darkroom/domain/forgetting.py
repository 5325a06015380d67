"""Take single pictures out of a sketch: their ids, what was measured on them, and their features."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from darkroom.domain.files import read_sketch, sketch_files
from darkroom.errors import Damaged, NotFound, Unsupported

__all__ = ["forget_rows"]


def forget_rows(folder: Path, image_ids: Collection[str]) -> dict[str, bytes]:
    """Returns the files of a sketch without some pictures; none where it holds none of them.

    Thresholds and tails stay: each rests on thousands of numbers. A sketch that cannot be read is deleted,
    for nobody can say what it holds; it can be made again.

    Args:
        folder: of the sketch; it is not written.
        image_ids: the pictures.
    """
    try:
        sketch = read_sketch(folder)
    except NotFound:
        return {}
    except (Damaged, Unsupported):
        shutil.rmtree(folder)
        return {}
    gone = frozenset(image_ids)
    if gone.isdisjoint(sketch.facts.image_ids):
        return {}
    return sketch_files(sketch.without(gone))
