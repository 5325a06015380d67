"""Gather how one file's masks differ from PyTorch's, pixel by pixel, a batch at a time."""

from __future__ import annotations

import numpy as np

from darkroom.bundle import GoldenVectors
from darkroom.export.comparison import MOST_FLIPS, Comparison, ParityBatch
from darkroom.export.pooled import MOST_DRAWN, packed
from darkroom.export.report import GoldenParity, PixelFlips, PixelParity
from darkroom.records import Interval, Limits, Split
from darkroom.serving import Answer
from darkroom.tasks.segmentation import HITS, SHOWN, answers_of, count_classes, miou_of, paired_miou

__all__ = ["MaskComparison", "MaskTruth"]


class MaskTruth:
    """What PyTorch made of the images so far.

    Args:
        classes: how many classes there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._counts: list[np.ndarray] = []
        self.groups: list[str | None] = []
        self.splits: list[Split] = []
        self.not_finite = 0

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.groups)

    @property
    def counts(self) -> np.ndarray:
        """Counts of pixels of each image, (N, 7, C)."""
        return np.concatenate(self._counts)

    @property
    def accuracy(self) -> float:
        """Share of right pixels."""
        return accuracy_of(self.counts)

    def add(self, batch: ParityBatch, answer: Answer) -> None:
        """Adds the answers to a batch."""
        self._counts.append(count_classes(batch.labels, answers_of(answer.probabilities), self._classes))
        self.groups += [None] * len(batch.image_ids) if batch.groups is None else list(batch.groups)
        self.splits.extend(batch.split for _ in batch.image_ids)
        self.not_finite += int((~np.isfinite(answer.probabilities)).sum())


class MaskComparison(Comparison):
    """One file that answers masks, and how its pixels differ so far; see `Comparison`."""

    def add(self, batch: ParityBatch, reference: Answer) -> None:
        """Adds a batch, and what PyTorch answered to it."""
        answer = self.ask(batch.tensors)
        if answer is None:
            return
        self.add_differences(reference, answer)
        expected, given = answers_of(reference.probabilities), answers_of(answer.probabilities)
        finite = np.isfinite(answer.probabilities).all(axis=-1)
        apart = (expected != given) | ~finite
        self._counts.append(count_classes(batch.labels, given, len(self.card.labels)))
        self._pixels += apart.size
        self.alike += (1 - apart.mean(axis=(1, 2))).tolist()
        self.flip_count += int(apart.sum())
        for place in np.flatnonzero(apart.any(axis=(1, 2))).tolist():
            ranked = np.sort(reference.probabilities[place][apart[place]], axis=-1)
            margin = float((ranked[:, -1] - ranked[:, -2]).max()) if ranked.shape[1] > 1 else 1.0
            self._largest_margin = max(self._largest_margin, margin)
            self._flipped += 1
            if len(self._flips) < MOST_FLIPS:
                shown = PixelFlips(
                    image_id=str(batch.image_ids[place]),
                    pixels=int(apart[place].sum()),
                    margin=margin,
                    where=packed(apart[place]) if len(self._flips) < MOST_DRAWN else "",
                )
                self._flips.append(shown)

    def check_golden(self, golden: GoldenVectors, limits: Limits) -> None:
        """Asks about the golden vectors: nearly all pixels alike, the kept probabilities near."""
        found: dict[str, tuple[int, float]] = {}
        pixels = 0
        for vector in golden.vectors:
            answer = self.ask(vector.tensor[None])
            if answer is not None and vector.mask is not None:
                found[vector.name] = vector.mask.apart(answer.probabilities[0])
                pixels += vector.mask.mask.size
        differing = sum(count for count, _ in found.values())
        alike = differing <= (1 - limits.parity_pixels) * pixels
        wrong = [
            name
            for name, (count, apart) in found.items()
            if not apart <= limits.parity_margin or (count and not alike)
        ]
        if self.file.precision != "float32":
            wrong = []
        largest = max((apart for _, apart in found.values()), default=0.0)
        self.golden = GoldenParity(
            count=len(golden.vectors),
            wrong_tensors=golden.differing(),
            wrong_answers=tuple(wrong),
            max_abs=largest,
        )

    def _prepare(self) -> None:
        self._counts: list[np.ndarray] = []
        self._flips: list[PixelFlips] = []
        self._pixels = self._flipped = 0
        self._largest_margin = 0.0

    def _output_shape(self) -> tuple[int, ...]:
        return (1, *self.card.contract.shape[:2], len(self.card.labels))

    def _task_figures(self, truth: MaskTruth) -> dict[str, object]:  # type: ignore[override]
        counts, reference = np.concatenate(self._counts), truth.counts
        agreement = 1 - self.flip_count / self._pixels
        return {
            "agreement": agreement,
            "flip_count": self.flip_count,
            "accuracy": accuracy_of(counts),
            "pixels": PixelParity(
                count=self._pixels,
                differing=self.flip_count,
                images=self._flipped,
                largest_margin=self._largest_margin,
                flips=tuple(self._flips),
                miou=_miou(counts),
                reference_miou=_miou(reference),
                miou_difference=paired_miou(counts, reference, truth.groups),
            ),
        }

    def _metric_difference(self, truth: MaskTruth, rows: np.ndarray) -> Interval | None:  # type: ignore[override]
        """Returns the mean IoU of the file less PyTorch's on some of the images."""
        groups = [truth.groups[row] for row in rows]
        return paired_miou(np.concatenate(self._counts)[rows], truth.counts[rows], groups)


def accuracy_of(counts: np.ndarray) -> float:
    """Returns the share of right pixels of counts (N, 7, C)."""
    sums = counts.sum(axis=(0, 2), dtype=np.int64)
    return float(sums[HITS] / max(1, sums[SHOWN]))


def _miou(counts: np.ndarray) -> float | None:
    found = float(miou_of(counts.sum(axis=0, dtype=np.int64)))
    return found if np.isfinite(found) else None
