"""What is worth knowing of a dataset version before anything is trained on it."""

from __future__ import annotations

from darkroom.datasets.conflict import LabelConflict
from darkroom.records import Fact, FrozenMap, Record

__all__ = ["ClassFacts", "DatasetFacts", "Histogram", "Twins"]


class Histogram(Fact):
    """How often a figure falls between two edges."""

    edges: tuple[float, ...] = ()
    """One more than counts, rising."""
    counts: tuple[int, ...] = ()
    """The last bin holds its upper edge as well."""


class ClassFacts(Fact):
    """One class of a dataset version."""

    label: str
    """Name of the class."""
    counts: FrozenMap[str, int]
    """Pictures per split; for segmentation those that show it somewhere."""
    pixels: FrozenMap[str, int] = {}
    """For segmentation: pixels per split."""
    share: float
    """Of all pictures, 0..1; for segmentation of all pixels that are said."""
    brightness: float
    """Mean of its tensors, 0 (black) to 1 (white)."""
    examples: tuple[str, ...]
    """Ids of a few of its pictures, from train where there are some."""


class Twins(Fact):
    """Different files whose tensors are equal, pixel by pixel."""

    image_ids: tuple[str, ...]
    """The pictures."""
    labels: tuple[str, ...]
    """Their labels, in the same order."""
    splits: tuple[str, ...]
    """Their splits, in the same order."""


class DatasetFacts(Record):
    """What is worth knowing of a dataset version."""

    dataset: str
    """name@version."""
    images: int
    """How many pictures."""
    classes: tuple[ClassFacts, ...]
    """In the order of the model's output."""
    width_px: Histogram
    """Of the pictures, upright."""
    height_px: Histogram
    """Of the pictures, upright."""
    aspect: Histogram
    """Width over height, upright."""
    brightness: Histogram
    """Mean of each tensor, 0 (black) to 1 (white)."""
    enlarged: int
    """Pictures with a side shorter than the tensor's."""
    across_classes: tuple[Twins, ...] = ()
    """Equal tensors with different labels; the first hundred."""
    across_splits: tuple[Twins, ...] = ()
    """Equal tensors in different splits: what is tested was trained on; the first hundred."""
    conflicts: tuple[LabelConflict, ...] = ()
    """Pictures left out because imports gave them different labels; the first hundred."""
    balance: tuple[str, ...] = ()
    """What the counts give reason to be wary of: small classes, classes missing from a split."""
    warnings: tuple[str, ...] = ()
    """What else gives reason to be wary."""
