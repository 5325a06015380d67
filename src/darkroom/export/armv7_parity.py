"""Compare .tflite files on 32-bit ARM with PyTorch: the golden vectors, and some pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import AwareDatetime

from darkroom.bundle import Bundle
from darkroom.errors import DarkroomError
from darkroom.export.armv7 import Armv7Root, run_there, script_of
from darkroom.export.parity import Reference
from darkroom.export.precisions import PRECISIONS
from darkroom.records import BundleModel, Fact, Limits, ModelCard, Record, Table, now
from darkroom.records.numbers import number
from darkroom.tasks.label_sets import given

__all__ = ["Armv7File", "Armv7Parity", "compare"]


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
    on_done: Callable[[int, int], None] | None = None,
) -> Armv7Parity:
    """Asks each file on 32-bit ARM and the reference here about the same tensors.

    Args:
        root: the folder of the Debian for 32-bit ARM.
        facts: what is in it.
        bundle: the bundle.
        models: its .tflite files.
        reference: what they are compared with.
        tensors: (N, height, width, channels) uint8.
        limits: what must hold.
        on_done: told how many of how many files are done.
    """
    golden = bundle.golden
    asked = np.concatenate([golden.tensors, tensors])
    expected = reference.run(asked).probabilities
    names = [vector.name for vector in golden.vectors]
    files = []
    for model in models:
        path = bundle.folder / model.path
        figures = Armv7File(file=path.name, precision=model.precision, size_bytes=model.size_bytes)
        try:
            found = run_there(root, script_of(bundle.folder), path, asked)
            files.append(_judged(figures, found, expected, bundle.card, limits, names))
        except DarkroomError as error:
            files.append(figures.model_copy(update={"failures": (str(error),)}))
        if on_done is not None:
            on_done(len(files), len(models))
    return Armv7Parity(
        files=tuple(files),
        image_count=len(tensors),
        golden_count=len(names),
        reference=reference.title,
        runtime=facts.runtime,
        limits=limits,
        created_at=now(),
    )


def _judged(
    file: Armv7File,
    found: np.ndarray,
    expected: np.ndarray,
    card: ModelCard,
    limits: Limits,
    golden: Sequence[str],
) -> Armv7File:
    if found.shape != expected.shape:
        return file.model_copy(
            update={"failures": (f"It answers with {found.shape}, expected {expected.shape}.",)}
        )
    apart = np.abs(found.astype(np.float64) - expected)
    largest = np.maximum(np.abs(found), np.abs(expected))
    least, most = _limits(file.precision, card, limits)
    per_picture = apart.reshape(len(apart), -1).max(axis=1)
    wrong = tuple(name for name, one in zip(golden, per_picture, strict=False) if not one <= most)
    agreement = (
        float(_same(found, expected, card)[len(golden) :].mean()) if len(found) > len(golden) else 1.0
    )
    figures = file.model_copy(
        update={
            "agreement": agreement,
            "max_abs": float(apart.max()) if np.isfinite(apart).all() else float("inf"),
            "relative": float((apart / np.maximum(largest, 1e-30))[largest >= 1e-3].max(initial=0.0)),
            "golden_wrong": wrong,
        }
    )
    return figures.model_copy(update={"failures": tuple(_failures(figures, found, least, most))})


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


def _failures(file: Armv7File, found: np.ndarray, least: float, most: float):
    if not np.isfinite(found).all():
        yield "Some of its probabilities are NaN or infinite."
    if file.agreement < least:
        yield f"Agreement {file.agreement:.4f}, at least {least:g} expected."
    if not file.max_abs <= most:
        yield f"A probability differs by {number(file.max_abs, 2)}, at most {number(most, 2)} expected."
    if file.golden_wrong:
        yield f"Golden vectors with another answer: {', '.join(file.golden_wrong[:3])}."
