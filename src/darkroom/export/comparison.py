"""Gather how one file's answers differ from PyTorch's, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.bundle import GoldenVectors, size_of
from darkroom.errors import DarkroomError
from darkroom.export.latency import time_loading
from darkroom.export.memory import measure_memory
from darkroom.export.pooled import by_split
from darkroom.export.report import ConvertedFile, FileParity, Flip, GoldenParity, Latency, MemoryUse
from darkroom.export.verdict import failures_of
from darkroom.records import Interval, Limits, ModelCard, Split
from darkroom.serving import Answer, Session, open_session
from darkroom.serving import find as find_runtime
from darkroom.statistics import paired_difference

__all__ = ["Comparison", "ParityBatch", "Truth"]

MOST_FLIPS = 1000
"""Flips kept in a report; all are counted."""


class ParityBatch(NamedTuple):
    """Some images with their labels."""

    image_ids: Sequence[str]
    """Which images they are."""
    labels: np.ndarray
    """(n,) int, index of the right class; (n, labels) of 0 and 1 where a picture may have several; masks
    (n, height, width) uint8 for segmentation."""
    tensors: np.ndarray
    """(n, height, width, channels) uint8, as the contract makes them."""
    groups: Sequence[str | None] | None = None
    """Images of one group are drawn together in the interval."""
    split: Split = "test"
    """The split that they are of; of train and val the network has seen pictures."""


class Truth:
    """What PyTorch made of the images so far."""

    def __init__(self) -> None:
        self.right: list[bool] = []
        self.groups: list[str | None] = []
        self.splits: list[Split] = []
        self.not_finite = 0

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(self.right))

    def add(self, batch: ParityBatch, answer: Answer) -> None:
        """Adds the answers to a batch."""
        answers, finite = _answers(answer.probabilities)
        self.right += (finite & (answers == batch.labels)).tolist()
        self.groups += [None] * len(answers) if batch.groups is None else list(batch.groups)
        self.splits.extend(batch.split for _ in answers)
        self.not_finite += _not_finite(answer.probabilities)


class Comparison:
    """One file, opened, and how its answers differ so far; a file that fails stops, and says why.

    Args:
        file: the file.
        card: the model card that its answers are read by.
        threads: threads that one answer may use.
    """

    def __init__(self, file: ConvertedFile, card: ModelCard, *, threads: int) -> None:
        self.file, self.card = file, card
        self.stopped = ""
        self.session: Session | None = None
        self.max_abs = self.sum_abs = self.sum_squares = self.load_ms = 0.0
        self.embedding_max_abs: float | None = None
        self.cells = self.not_finite = self.embedding_not_finite = self.agreeing = self.flip_count = 0
        self.right: list[bool] = []
        self.alike: list[float] = []
        self.flips: list[Flip] = []
        self.golden = GoldenParity(count=0)
        self.memory: MemoryUse | None = None
        self._prepare()
        try:
            self.session = open_session(file.path, threads=threads)
            if not find_runtime(file.target).stand_in:
                self.load_ms = time_loading(lambda: open_session(file.path, threads=threads))
        except DarkroomError as error:
            self._stop(str(error))
        self._check_outputs()

    def ask(self, tensors: np.ndarray) -> Answer | None:
        """Returns the file's answers; None once it has stopped."""
        if self.session is None:
            return None
        try:
            return self.session.run(tensors)
        except Exception as error:  # runtimes share no base but Exception
            self._stop(f"It stopped while answering: {error}")
            return None

    def add(self, batch: ParityBatch, reference: Answer) -> None:
        """Adds a batch, and what PyTorch answered to it."""
        answer = self.ask(batch.tensors)
        if answer is None:
            return
        self.add_differences(reference, answer)
        self._add_answers(batch, reference.probabilities, answer.probabilities)

    def add_differences(self, reference: Answer, answer: Answer) -> None:
        """Adds how far probabilities and embeddings lie apart."""
        difference = np.abs(answer.probabilities.astype(np.float64) - reference.probabilities)
        known = difference[np.isfinite(difference)]
        self.cells += known.size
        self.max_abs = max(self.max_abs, float(known.max(initial=0.0)))
        self.sum_abs += float(known.sum())
        self.sum_squares += float(np.square(known).sum())
        self.not_finite += _not_finite(answer.probabilities)
        if answer.embedding is not None and reference.embedding is not None:
            self._add_embeddings(reference.embedding, answer.embedding)

    def _add_embeddings(self, expected: np.ndarray, given: np.ndarray) -> None:
        """Adds how far embeddings (n, E) lie apart, and counts what is no number."""
        if given.shape != expected.shape:
            self._stop(
                f"It gives embeddings of {given.shape[1:]} numbers, PyTorch of {expected.shape[1:]}."
            )
            return
        self.embedding_not_finite += _not_finite(given)
        apart = np.abs(given - expected)
        largest = float(apart[np.isfinite(apart)].max(initial=0.0))
        self.embedding_max_abs = max(self.embedding_max_abs or 0.0, largest)

    def check_golden(self, golden: GoldenVectors, limits: Limits) -> None:
        """Asks about the golden vectors, from the picture's bytes on."""
        wrong, largest = [], 0.0
        most = limits.parity_max_abs if self.file.precision == "float32" else float("inf")
        for vector in golden.vectors:
            answer = self.ask(vector.tensor[None])
            if answer is None or vector.probabilities is None:
                continue
            apart = float(np.abs(answer.probabilities[0] - np.asarray(vector.probabilities)).max())
            largest = max(largest, apart)
            if not apart <= most:
                wrong.append(vector.name)
        self.golden = GoldenParity(
            count=len(golden.vectors),
            wrong_tensors=golden.differing(),
            wrong_answers=tuple(wrong),
            max_abs=largest,
        )

    def measure_memory(self, *, wanted: bool) -> None:
        """Measures what one prediction takes, if that is wanted and the file has not stopped."""
        if wanted and self.session is not None and not find_runtime(self.file.target).stand_in:
            self.memory = measure_memory(self.file.path, self.file.target)

    def report(self, truth: Truth, limits: Limits, latency: Latency | None) -> FileParity:
        """Returns all figures and the verdict."""
        figures = FileParity(
            file=self.file.path.name,
            target=self.file.target,
            precision=self.file.precision,
            size_bytes=size_of(self.file.path),
            runtime=self.session.runtime if self.session else find_runtime(self.file.target).version,
        )
        if self.session is None:
            return figures.model_copy(update={"failures": (self.stopped,)})
        figures = figures.model_copy(update={**self._figures(truth), "latency": latency})
        failures = failures_of(figures, self.session.carried, self.card, limits, count=truth.count)
        if truth.not_finite:
            failures = (
                f"{truth.not_finite} of PyTorch's own probabilities are NaN or infinite.",
                *failures,
            )
        return figures.model_copy(update={"failures": failures})

    def _stop(self, why: str) -> None:
        self.stopped, self.session = why, None

    def _check_outputs(self) -> None:
        """Stops a file whose input or output does not fit the card."""
        if self.session is None:
            return
        if self.session.input_shape != self.card.contract.shape:
            self._stop(
                f"It takes {self.session.input_shape}, the contract makes {self.card.contract.shape}."
            )
            return
        answer = self.ask(np.zeros((1, *self.card.contract.shape), np.uint8))
        expected = self._output_shape()
        if answer is not None and answer.probabilities.shape != expected:
            shape = answer.probabilities.shape
            self._stop(
                f"It gives {shape[-1]} probabilities for {len(self.card.labels)} labels."
                if shape[-1] != expected[-1]
                else f"It gives probabilities of {shape}, expected {expected}."
            )

    def _prepare(self) -> None:
        """Lays out what a comparison of another task gathers beside."""

    def _output_shape(self) -> tuple[int, ...]:
        return (1, len(self.card.labels))

    def _add_answers(self, batch: ParityBatch, expected: np.ndarray, given: np.ndarray) -> None:
        reference_answers, _ = _answers(expected)
        answers, finite = _answers(given)
        agree = finite & (answers == reference_answers)
        self.agreeing += int(agree.sum())
        self.alike += agree.tolist()
        self.right += (finite & (answers == batch.labels)).tolist()
        self.flip_count += int((~agree).sum())
        labels = self.card.labels
        for place in np.flatnonzero(~agree)[: MOST_FLIPS - len(self.flips)].tolist():
            ranked = np.sort(expected[place])
            self.flips.append(
                Flip(
                    image_id=str(batch.image_ids[place]),
                    truth=labels[int(batch.labels[place])],
                    reference_answer=labels[int(reference_answers[place])],
                    answer=labels[int(answers[place])] if finite[place] else "not a number",
                    margin=float(ranked[-1] - ranked[-2]) if len(ranked) > 1 else 1.0,
                )
            )

    def _figures(self, truth: Truth) -> dict[str, object]:
        mean_square = self.sum_squares / max(1, self.cells)
        return {
            **self._task_figures(truth),
            "by_split": by_split(
                truth.splits, self.alike, lambda rows: self._metric_difference(truth, rows)
            ),
            "max_abs": self.max_abs,
            "mean_abs": self.sum_abs / max(1, self.cells),
            "psnr_db": -10 * float(np.log10(mean_square)) if mean_square else None,
            "embedding_max_abs": self.embedding_max_abs,
            "embedding_not_finite": self.embedding_not_finite,
            "not_finite": self.not_finite,
            "load_ms": self.load_ms,
            "memory": self.memory,
            "golden": self.golden,
        }

    def _task_figures(self, truth: Truth) -> dict[str, object]:
        return {
            "agreement": self.agreeing / truth.count,
            "flip_count": self.flip_count,
            "flips": tuple(self.flips),
            "accuracy": float(np.mean(self.right)),
            "accuracy_difference": paired_difference(self.right, truth.right, truth.groups),
        }

    def _metric_difference(self, truth: Truth, rows: np.ndarray) -> Interval:
        """Returns the metric of the file less PyTorch's on some of the images."""
        right, reference = np.array(self.right)[rows], np.array(truth.right)[rows]
        groups = [truth.groups[row] for row in rows]
        return paired_difference(right.tolist(), reference.tolist(), groups)


def _answers(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the top-1 answer (N,) and whether all probabilities of the row are numbers (N,)."""
    finite = np.asarray(np.isfinite(probabilities).all(axis=1))
    return np.where(finite[:, None], probabilities, 0.0).argmax(axis=1), finite


def _not_finite(probabilities: np.ndarray) -> int:
    return int((~np.isfinite(probabilities)).sum())
