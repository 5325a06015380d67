"""Compare .tflite files on 32-bit ARM with PyTorch: the golden vectors, and some pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import AwareDatetime

from darkroom.bundle import Bundle
from darkroom.errors import DarkroomError
from darkroom.export.armv7 import Armv7Root, run_there, script_of
from darkroom.export.parity import Reference
from darkroom.export.portions import in_portions, values_of
from darkroom.export.precisions import PRECISIONS
from darkroom.records import BundleModel, Fact, Limits, ModelCard, Record, Table, now
from darkroom.records.numbers import number
from darkroom.tasks.label_sets import given

__all__ = ["Armv7File", "Armv7Parity", "compare"]

MOST_CELLS = 16_000_000
"""Probabilities that are asked for at a time: 64 MB on each side."""

SMALL = 1e-3
"""Below this a probability's difference is not told as a share of it."""

Ask: TypeAlias = Callable[[Path, Path, Path, np.ndarray], np.ndarray]
"""Answers tensors with a file."""


class Armv7File(Fact):
    """How one file compares on 32-bit ARM."""

    file: str
    """Name of the file."""
    precision: str
    """What its weights are written as."""
    size_bytes: int
    agreement: float = 0.0
    """Share of the pictures with the same top-1 answer, or the same labels; for masks of the pixels."""
    max_abs: float = 0.0
    """Largest difference of a probability, over pictures and golden vectors."""
    relative: float = 0.0
    """Largest difference of a probability, by the larger of the two, where that is at least 0.001."""
    golden_wrong: tuple[str, ...] = ()
    """Golden vectors that differ by more than the limit."""
    failures: tuple[str, ...] = ()
    """What does not hold, in words."""


class Armv7Parity(Record):
    """The comparison of all .tflite files of a bundle on 32-bit ARM."""

    files: tuple[Armv7File, ...]
    image_count: int
    """Pictures that each was asked about."""
    golden_count: int
    """Golden vectors, which came on top."""
    reference: str
    """What they were compared with."""
    runtime: str
    """What ran them."""
    limits: Limits
    """What had to hold."""
    created_at: AwareDatetime

    @property
    def passes(self) -> bool:
        """Whether all files hold."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """What does not hold, each with its file."""
        return tuple(f"{file.file}: {why}" for file in self.files for why in file.failures)

    @property
    def spoken(self) -> str:
        """What was done, in a sentence."""
        return (
            f"{self.runtime} on 32-bit ARM, under QEMU on this host, which says nothing about time: "
            f"{self.golden_count} golden vectors and {self.image_count:,} pictures."
        )

    def table(self) -> Table:
        """Returns a row per file, in the columns of a verification."""
        columns = ("format", "size", "agreement", "max difference", "latency p50", "verdict")
        rows = tuple(
            (
                file.file,
                f"{file.size_bytes / 1e6:.2f} MB",
                f"{file.agreement:.4f}",
                number(file.max_abs, 2),
                "",
                "fails" if file.failures else "passes",
            )
            for file in self.files
        )
        return Table(columns, rows)


def compare(
    root: Path,
    facts: Armv7Root,
    bundle: Bundle,
    models: Sequence[BundleModel],
    reference: Reference,
    tensors: np.ndarray,
    limits: Limits,
    *,
    ask: Ask = run_there,
    on_done: Callable[[int, int], None] | None = None,
) -> Armv7Parity:
    """Asks each file on 32-bit ARM and the reference here about the same tensors, some at a time.

    Args:
        root: the folder of the Debian for 32-bit ARM.
        facts: what is in it.
        bundle: the bundle.
        models: its .tflite files.
        reference: what they are compared with.
        tensors: (N, height, width, channels) uint8.
        limits: what must hold.
        ask: answers the tensors with a file: `(root, script, file, tensors)`, see `run_there`.
        on_done: told how many of how many answers are there.
    """
    golden = bundle.golden
    names = [vector.name for vector in golden.vectors]
    tallies = [_Tally(model, bundle.card, limits) for model in models]
    asked = np.concatenate([golden.tensors, tensors])
    at_a_time, done = _at_a_time(bundle.card), 0
    for start in range(0, len(asked), at_a_time):
        part = asked[start : start + at_a_time]
        portions = in_portions(part, bundle.card)
        expected = np.concatenate([reference.run(one).probabilities for one in portions])
        for tally in tallies:
            if not tally.stopped:
                try:
                    found = ask(root, script_of(bundle.folder), bundle.folder / tally.model.path, part)
                    tally.add(found, expected, names[start : start + at_a_time])
                except DarkroomError as error:
                    tally.stopped = str(error)
            done += len(part)
            if on_done is not None:
                on_done(done, len(asked) * len(tallies))
    return Armv7Parity(
        files=tuple(tally.judged() for tally in tallies),
        image_count=len(tensors),
        golden_count=len(names),
        reference=reference.title,
        runtime=facts.runtime,
        limits=limits,
        created_at=now(),
    )


def _at_a_time(card: ModelCard) -> int:
    """Returns how many tensors are asked about at a time: all for classes, as starting QEMU takes seconds.

    The probabilities of all pixels of all masks may be gigabytes.
    """
    return max(1, MOST_CELLS // values_of(card))


class _Tally:
    """How one file does so far."""

    def __init__(self, model: BundleModel, card: ModelCard, limits: Limits) -> None:
        self.model, self.card, self.stopped = model, card, ""
        self.least, self.most = _limits(model.precision, card, limits)
        self.same: list[float] = []
        self.max_abs = self.relative = 0.0
        self.is_finite = True
        self.golden_wrong: list[str] = []

    def add(self, found: np.ndarray, expected: np.ndarray, golden: Sequence[str]) -> None:
        """Adds answers to some tensors, (N, classes) or (N, height, width, classes).

        Args:
            found: those of the file.
            expected: those of the reference.
            golden: names of the golden vectors, which come first; the others are pictures.
        """
        if found.shape != expected.shape:
            self.stopped = f"It answers with {found.shape}, expected {expected.shape}."
            return
        apart = np.abs(found.astype(np.float64) - expected)
        largest = np.maximum(np.abs(found), np.abs(expected))
        shares = (apart / np.maximum(largest, 1e-30))[largest >= SMALL]
        per_picture = apart.reshape(len(apart), -1).max(axis=1)
        self.is_finite &= bool(np.isfinite(found).all())
        self.max_abs = max(self.max_abs, float(apart.max()) if np.isfinite(apart).all() else float("inf"))
        self.relative = max(self.relative, float(shares.max(initial=0.0)))
        wrong = zip(golden, per_picture, strict=False)
        self.golden_wrong += [name for name, one in wrong if not one <= self.most]
        same = _same(found, expected, self.card)[len(golden) :]
        self.same += same.reshape(len(same), -1).mean(axis=1).tolist() if len(same) else []

    def judged(self) -> Armv7File:
        """Returns the figures and what does not hold."""
        figures = Armv7File(
            file=Path(self.model.path).name,
            precision=self.model.precision,
            size_bytes=self.model.size_bytes,
        )
        if self.stopped:
            return figures.model_copy(update={"failures": (self.stopped,)})
        figures = figures.model_copy(
            update={
                "agreement": float(np.mean(self.same)) if self.same else 1.0,
                "max_abs": self.max_abs,
                "relative": self.relative,
                "golden_wrong": tuple(self.golden_wrong),
            }
        )
        failures = _failures(figures, self.least, self.most, is_finite=self.is_finite)
        return figures.model_copy(update={"failures": tuple(failures)})


def _limits(precision: str, card: ModelCard, limits: Limits) -> tuple[float, float]:
    """Returns the smallest share of equal answers and the largest difference of a probability."""
    known = PRECISIONS.get(precision)
    if known is not None and known.half:
        return limits.parity_float16_agreement, limits.parity_float16_max_abs
    if known is not None and not known.exact:
        return limits.parity_int8_agreement, float("inf")
    if card.task == "segmentation":
        return limits.parity_pixels, limits.parity_margin
    return limits.parity_agreement, limits.parity_max_abs


def _same(found: np.ndarray, expected: np.ndarray, card: ModelCard) -> np.ndarray:
    """Returns which answers are equal: per picture, for masks per pixel."""
    if card.task == "multi-label":
        sets = [given(one, card.labels, card.operating_point) for one in (found, expected)]
        return (sets[0] == sets[1]).all(axis=1)
    return found.argmax(axis=-1) == expected.argmax(axis=-1)


def _failures(file: Armv7File, least: float, most: float, *, is_finite: bool) -> Iterator[str]:
    if not is_finite:
        yield "Some of its probabilities are NaN or infinite."
    if file.agreement < least:
        yield f"Agreement {file.agreement:.4f}, at least {least:g} expected."
    if not file.max_abs <= most:
        yield f"A probability differs by {number(file.max_abs, 2)}, at most {number(most, 2)} expected."
    if file.golden_wrong:
        yield f"Golden vectors with another answer: {', '.join(file.golden_wrong[:3])}."
