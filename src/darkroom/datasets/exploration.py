"""Look through a dataset version once: balance, sizes, brightness, mean pictures, equal pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from darkroom.datasets.candidates import SLOTS
from darkroom.datasets.conflict import label_conflicts
from darkroom.datasets.facts import ClassFacts, DatasetFacts, Histogram, Twins
from darkroom.datasets.renderer import render
from darkroom.datasets.rendering import RenderedSplit, Rendering
from darkroom.records import SPLITS, DatasetVersion, Image
from darkroom.tasks.overlap import IGNORE
from darkroom.workspace import Workspace

__all__ = ["Exploration", "balance_of", "explore"]

EXAMPLES = 6
"""Pictures per class."""

LISTED = 100
"""Twins and conflicts that are named."""

FEW = 10
"""Below so many pictures in train, a class is called small."""

FEW_PIXELS = 100
"""Below so many pixels in a split, nothing can be said of a class of masks."""

MEANS_VALUES = 1 << 26
"""With more values in all mean pictures together, a quarter of a GiB, none is made."""

BINS = 20
CHUNK = 256

_RATIO_EDGES = (0.25, 0.33, 0.5, 0.67, 0.75, 0.9, 1.1, 1.33, 1.5, 2.0, 3.0, 4.0)


class Exploration(NamedTuple):
    """What was found."""

    facts: DatasetFacts
    means: dict[str, np.ndarray]
    """Mean picture of each class, (height, width, channels) uint8; none when there are too many classes. Of
    masks: how often each pixel shows the class, (height, width, 1)."""


def explore(workspace: Workspace, version: DatasetVersion) -> Exploration:
    """Looks through a dataset version; renders it if that was not done yet.

    Raises:
        DarkroomError: as `render`.
    """
    rendering = render(workspace, version)
    survey = _Survey(version)
    for name in SPLITS:
        if version.counts.get(name):
            survey.look_through(name, rendering.split(name))
    sizes = _Sizes(workspace, rendering)
    twins = list(survey.twins())
    across_classes = tuple(found for found in twins if len(set(found.labels)) > 1)
    across_splits = tuple(found for found in twins if len(set(found.splits)) > 1)
    conflicts = tuple(islice(label_conflicts(workspace.catalogue, SLOTS[version.task]), LISTED))
    facts = DatasetFacts(
        dataset=version.ref,
        images=sum(version.counts.values()),
        classes=survey.classes(),
        width_px=_histogram(sizes.widths),
        height_px=_histogram(sizes.heights),
        aspect=_histogram(sizes.ratios, edges=_RATIO_EDGES),
        brightness=_histogram(survey.brightness, edges=np.linspace(0, 1, BINS + 1)),
        enlarged=sizes.enlarged,
        across_classes=across_classes[:LISTED],
        across_splits=across_splits[:LISTED],
        conflicts=conflicts,
        balance=tuple(balance_of(version)),
        warnings=tuple(_warnings(version, sizes.enlarged, across_classes, across_splits)),
    )
    return Exploration(facts, survey.means())


class _Survey:
    """What is added up while the tensors go by."""

    def __init__(self, version: DatasetVersion) -> None:
        self._version = version
        self._masks = version.task == "segmentation"
        height_px, width_px, channels = version.contract.shape
        shape = (len(version.classes), height_px, width_px, 1 if self._masks else channels)
        self._sums = np.zeros(shape if np.prod(shape) <= MEANS_VALUES else (0,), np.uint32)
        self._brightness = np.zeros(len(version.classes))
        self._counts = np.zeros(len(version.classes), np.int64)
        self._examples: list[list[str]] = [[] for _ in version.classes]
        self._seen: dict[bytes, list[tuple[str, str, str]]] = {}
        self.brightness: list[float] = []

    def look_through(self, name: str, split: RenderedSplit) -> None:
        """Adds one split."""
        buffer = np.empty((CHUNK, *split.shape), np.uint8)
        for start in range(0, len(split), CHUNK):
            indices = np.arange(start, min(start + CHUNK, len(split)))
            pixels = split.gather(indices, out=buffer[: len(indices)])
            brightness = (pixels.mean(axis=(1, 2, 3)) / 255).tolist()
            self.brightness += brightness
            masks = split.gather_masks(indices) if self._masks else None
            for row, place in enumerate(indices.tolist()):
                key, image_id = _digest(pixels[row]), split.image_ids[place]
                if masks is None:
                    of_picture = _indices(split.labels[place])
                    labels = "|".join(self._version.classes[index] for index in of_picture)
                    shown = [pixels[row]] * len(of_picture)
                else:
                    of_picture = [int(index) for index in np.unique(masks[row]) if index != IGNORE]
                    labels = f"mask {_digest(masks[row]).hex()[:8]}"
                    shown = [255 * (masks[row][..., None] == index) for index in of_picture]
                self._seen.setdefault(key, []).append((image_id, labels, name))
                self._add(image_id, of_picture, shown, brightness[row])

    def _add(
        self, image_id: str, of_picture: list[int], shown: list[np.ndarray], brightness: float
    ) -> None:
        for index, pixels in zip(of_picture, shown, strict=True):
            if len(self._sums):
                self._sums[index] += pixels.astype(np.uint32)
            self._brightness[index] += brightness
            self._counts[index] += 1
            if len(self._examples[index]) < EXAMPLES:
                self._examples[index].append(image_id)

    def twins(self) -> Iterator[Twins]:
        """Yields the pictures whose tensors are equal."""
        for found in self._seen.values():
            if len(found) > 1:
                image_ids, labels, splits = zip(*found, strict=True)
                yield Twins(image_ids=image_ids, labels=labels, splits=splits)

    def classes(self) -> tuple[ClassFacts, ...]:
        """Returns the facts of each class."""
        histogram: Mapping[str, Mapping[str, int]] = self._version.histogram
        pixels: Mapping[str, Mapping[str, int]] = self._version.pixels
        shares = self._counts / max(1, sum(self._version.counts.values()))
        if self._masks:
            sums = [sum(of[label] for of in pixels.values()) for label in self._version.classes]
            shares = np.array(sums) / max(1, sum(sums))
        return tuple(
            ClassFacts(
                label=label,
                counts={split: counts.get(label, 0) for split, counts in histogram.items()},
                pixels={split: counts.get(label, 0) for split, counts in pixels.items()},
                share=float(shares[index]),
                brightness=float(self._brightness[index] / max(1, self._counts[index])),
                examples=tuple(self._examples[index]),
            )
            for index, label in enumerate(self._version.classes)
        )

    def means(self) -> dict[str, np.ndarray]:
        """Returns the mean picture of each class; of masks, how often each pixel shows it."""
        every = max(1, sum(self._version.counts.values()))
        return {
            label: np.rint(self._sums[index] / (every if self._masks else self._counts[index])).astype(
                np.uint8
            )
            for index, label in enumerate(self._version.classes)
            if self._counts[index] and len(self._sums)
        }


class _Sizes:
    """Sizes of the pictures, upright."""

    def __init__(self, workspace: Workspace, rendering: Rendering) -> None:
        contract = rendering.version.contract
        self.widths: list[float] = []
        self.heights: list[float] = []
        self.ratios: list[float] = []
        self.enlarged = 0
        for image in _images(workspace, rendering):
            width_px, height_px = image.width_px, image.height_px
            if image.camera.orientation >= 5:
                width_px, height_px = height_px, width_px
            self.widths.append(width_px)
            self.heights.append(height_px)
            self.ratios.append(width_px / height_px)
            self.enlarged += width_px < contract.width_px or height_px < contract.height_px


def _images(workspace: Workspace, rendering: Rendering) -> Iterator[Image]:
    for name in SPLITS:
        image_ids = rendering.split(name).image_ids if rendering.version.counts.get(name) else ()
        for start in range(0, len(image_ids), 5000):
            yield from workspace.catalogue.images.many(image_ids[start : start + 5000]).values()


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


def _indices(label: np.ndarray) -> list[int]:
    """Returns the classes of one picture: of an index, or of a row of 0 and 1."""
    return [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label).tolist()


def _histogram(values: list[float], edges: Iterable[float] | None = None) -> Histogram:
    if not values:
        return Histogram()
    if edges is None:
        low, high = int(min(values)), int(max(values)) + 1
        chosen = np.unique(np.rint(np.linspace(low, high, min(BINS, high - low) + 1)))
    else:
        chosen = np.asarray(list(edges), float)
        # What lies beyond the outer edges belongs to the outer bins.
        values = np.clip(values, chosen[0], chosen[-1]).tolist()
    counts, found = np.histogram(values, chosen)
    return Histogram(edges=tuple(found.tolist()), counts=tuple(counts.tolist()))


def balance_of(version: DatasetVersion) -> Iterator[str]:
    """Yields what the counts give reason to be wary of, in sentences."""
    train = version.histogram.get("train", {})
    small = sorted((count, label) for label, count in train.items() if 0 < count < FEW)
    if small:
        count, label = small[0]
        others = f" and {len(small) - 1} more classes are small" if len(small) > 1 else ""
        yield f"Train has {count} pictures of {label}{others}: below {FEW} there is little to learn from."
    for split in ("train", "val", "test"):
        missing = [label for label, count in version.histogram.get(split, {}).items() if not count]
        if missing:
            named = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            yield f"No picture of {named} in {split}."
    yield from _everywhere(version)
    yield from _few_pixels(version)


def _everywhere(version: DatasetVersion) -> Iterator[str]:
    """Yields the labels that every training picture has, where a picture may have any number."""
    train = version.histogram.get("train", {}) if version.task == "multi-label" else {}
    always = [label for label, count in train.items() if count == version.counts.get("train")]
    if always:
        named = ", ".join(always[:5]) + (", …" if len(always) > 5 else "")
        yield f"Every picture of train has {named}: nothing shows what a picture without looks like."


def _few_pixels(version: DatasetVersion) -> Iterator[str]:
    """Yields the classes of masks that hardly cover anything, split by split."""
    for split, of_split in version.pixels.items():
        few = [(count, label) for label, count in of_split.items() if 0 < count < FEW_PIXELS]
        if few:
            named = ", ".join(f"{label} ({count})" for count, label in sorted(few)[:5])
            yield f"Fewer than {FEW_PIXELS} pixels in {split}: {named}; no figure will say much about them."


def _warnings(
    version: DatasetVersion,
    enlarged: int,
    across_classes: tuple[Twins, ...],
    across_splits: tuple[Twins, ...],
) -> Iterator[str]:
    total = sum(version.counts.values())
    if enlarged > total / 10:
        width_px, height_px = version.contract.width_px, version.contract.height_px
        yield f"{enlarged:,} of {total:,} pictures are smaller than the tensor, {width_px}×{height_px}."
    if across_classes:
        yield f"{len(across_classes):,} times equal tensors carry different labels."
    if across_splits:
        yield f"{len(across_splits):,} times equal tensors lie in different splits, trained and tested on."
