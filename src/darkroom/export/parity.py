"""Compare model files with PyTorch, image by image: the proof without which no file is handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from darkroom.bundle import GoldenVector, GoldenVectors
from darkroom.errors import Invalid
from darkroom.export.comparison import Comparison, ParityBatch, Truth
from darkroom.export.label_set_comparison import LabelSetComparison, LabelSetTruth
from darkroom.export.latency import host, time_in_turn
from darkroom.export.mask_comparison import MaskComparison, MaskTruth
from darkroom.export.pooled import compared_pictures
from darkroom.export.portions import most_at_a_time
from darkroom.export.report import ConvertedFile, Latency, ParityReport
from darkroom.images import prepare
from darkroom.records import Contract, Limits, ModelCard, now
from darkroom.serving import Answer, find

__all__ = ["ParityBatch", "Reference", "verify"]


class Reference(Protocol):
    """What files are compared with; see `TorchReference`."""

    title: str
    """Its library, with version."""
    threads: int
    """Threads that one answer may use."""

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        ...


def verify(
    reference: Reference,
    card: ModelCard,
    files: Sequence[ConvertedFile],
    images: Iterable[ParityBatch],
    *,
    golden: Sequence[GoldenVector] = (),
    limits: Limits | None = None,
    threads: int = 1,
    rounds: int = 200,
    memory: bool = False,
    prepare: Callable[[bytes, Contract], np.ndarray] = prepare,
    on_progress: Callable[[int], None] | None = None,
) -> ParityReport:
    """Asks all files and the reference about the same tensors and compares the answers.

    A file that cannot be opened, or stops, has failed; the others are compared all the same.

    Args:
        reference: PyTorch.
        card: what the model knows: labels and contract.
        files: what to compare.
        images: all images to ask about; gone through once, a batch at a time.
        golden: vectors to check from the picture's bytes on.
        limits: what must hold.
        threads: threads that one answer of a file may use.
        rounds: how often each answer is timed; 0 leaves timing out.
        memory: measure what one prediction takes, in a process of its own per file.
        prepare: makes the tensor of a golden picture; another implementation than this one can be held.
        on_progress: told how many images are done.

    Raises:
        Invalid: there are no images.
    """
    limits = limits or Limits()
    kind, truth = _of_task(card)
    compared = [kind(file, card, threads=threads) for file in files]
    sample = None
    for batch in _pieces(images, most_at_a_time(card)):
        sample = batch.tensors[:1].copy() if sample is None else sample
        _ask_all(batch, reference, (truth, *compared))
        if on_progress is not None:
            on_progress(truth.count)
    if sample is None:
        raise _no_images()
    _look_closer(compared, GoldenVectors(card.contract, tuple(golden), prepare), limits, memory=memory)
    first, latencies = _latencies(reference, compared, sample, rounds, threads)
    return ParityReport(
        files=tuple(one.report(truth, limits, latencies.get(one)) for one in compared),
        image_count=truth.count,
        pictures=compared_pictures(truth.splits),
        labels=card.labels,
        reference=reference.title,
        reference_accuracy=truth.accuracy,
        task=card.task,
        reference_latency=first,
        limits=limits,
        host=host(),
        created_at=now(),
    )


def _ask_all(batch: ParityBatch, reference: Reference, sides: Iterable[Any]) -> None:
    answer = reference.run(batch.tensors)
    for one in sides:
        one.add(batch, answer)


def _look_closer(
    compared: Sequence[Comparison], golden: GoldenVectors, limits: Limits, *, memory: bool
) -> None:
    for one in compared:
        one.check_golden(golden, limits)
        one.measure_memory(wanted=memory)


def _of_task(card: ModelCard) -> tuple[type[Comparison], Any]:
    """Returns what compares a file, and what gathers PyTorch's own answers."""
    if card.task == "segmentation":
        return MaskComparison, MaskTruth(len(card.labels))
    if card.task == "multi-label":
        return LabelSetComparison, LabelSetTruth(card)
    return Comparison, Truth()


def _pieces(images: Iterable[ParityBatch], at_a_time: int) -> Iterator[ParityBatch]:
    for batch in images:
        for start in range(0, len(batch.image_ids), at_a_time):
            part = slice(start, start + at_a_time)
            groups = None if batch.groups is None else batch.groups[part]
            tensors = batch.tensors[part]
            yield ParityBatch(batch.image_ids[part], batch.labels[part], tensors, groups, batch.split)


def _latencies(
    reference: Reference, compared: Sequence[Comparison], tensor: np.ndarray, rounds: int, threads: int
) -> tuple[Latency | None, dict[Comparison, Latency]]:
    """Times PyTorch and all files that still answer, in turn."""
    if rounds == 0:
        return None, {}
    alive = [
        (one, one.session)
        for one in compared
        if one.session is not None and not find(one.file.target).stand_in
    ]
    first, *others = time_in_turn(
        [reference.run, *(session.run for _, session in alive)], tensor, rounds=rounds
    )
    return (
        Latency(**first, threads=reference.threads),
        {one: Latency(**took, threads=threads) for (one, _), took in zip(alive, others, strict=True)},
    )


def _no_images() -> Invalid:
    return Invalid(
        "parity.no-images",
        "Comparing files with PyTorch needs at least one image.",
        do="Give test and val a share in the stage that freezes (plan.test_share), then: darkroom run",
    )
