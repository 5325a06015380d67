"""A few validation pictures that are followed through a training: what was answered after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from darkroom import atomic
from darkroom.records import Fact, Record
from darkroom.tasks.overlap import IGNORE

__all__ = ["MOST_SAMPLES", "SAMPLES_FILE", "SampleBook", "Samples", "read_samples"]

SAMPLES_FILE = "watch/samples.json"
MOST_SAMPLES = 12
MOST_OF_MASKS = 4
DIGITS = 4


class SampleAnswers(Fact):
    """What was answered to the followed pictures after one epoch."""

    epoch: int
    answers: tuple[str, ...]
    """The most probable class of each; empty for masks."""
    confidences: tuple[float, ...]
    """Its probability; for masks the share of pixels that are right."""
    right: tuple[bool, ...]
    """For masks: whether nine in ten pixels are right."""


class Samples(Record):
    """The followed pictures with their answers, epoch by epoch; stands in `watch/samples.json` of a run."""

    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    """The class of each; empty for masks."""
    epochs: tuple[SampleAnswers, ...] = ()


class SampleBook:
    """Notes the answers while the pictures are validated anyway; nothing is computed twice.

    Args:
        image_ids: ids of all validation pictures, in order.
        classes: names of the classes.
        of_masks: whether each pixel has a class.
    """

    def __init__(self, image_ids: Sequence[str], classes: Sequence[str], *, of_masks: bool) -> None:
        most = min(MOST_OF_MASKS if of_masks else MOST_SAMPLES, len(image_ids))
        chosen = np.unique(np.linspace(0, max(0, len(image_ids) - 1), most).astype(int))
        self._places = [int(place) for place in chosen] if len(image_ids) else []
        self._ids = tuple(image_ids[place] for place in self._places)
        self._classes = classes
        self._of_masks = of_masks
        self._labels: tuple[str, ...] = ()
        self._found: list[tuple[Tensor, Tensor]] = []
        self._epochs: list[SampleAnswers] = []

    def go_on(self, folder: Path, epoch: int) -> None:
        """Takes up what an earlier call noted, as far as the training goes on from it."""
        before = read_samples(folder)
        if before is not None and before.image_ids == self._ids:
            self._epochs = [one for one in before.epochs if one.epoch <= epoch]
            self._labels = before.labels

    def note(self, start: int, logits: Tensor, labels: Tensor) -> None:
        """Keeps the answers to the followed pictures of a batch that begins at `start`."""
        here = [place - start for place in self._places if start <= place < start + len(logits)]
        if here:
            self._found.append((logits[here].detach(), labels[here]))

    def end_epoch(self, epoch: int) -> None:
        """Puts the answers of an epoch into the book."""
        if not self._found:
            return
        logits = torch.cat([found.float() for found, _ in self._found]).cpu()
        labels = torch.cat([label for _, label in self._found]).cpu()
        self._found = []
        self._epochs.append(self._masks(epoch, logits, labels) if self._of_masks
                            else self._answers(epoch, logits, labels))  # fmt: skip

    def write(self, folder: Path) -> None:
        """Writes the book into a run's folder, whole or not at all."""
        if self._epochs:
            book = Samples(image_ids=self._ids, labels=self._labels, epochs=tuple(self._epochs))
            atomic.write_text(folder / SAMPLES_FILE, book.model_dump_json() + "\n")

    def _answers(self, epoch: int, logits: Tensor, labels: Tensor) -> SampleAnswers:
        if labels.ndim > 1:  # several classes of one picture: right where each is said rightly
            shares = logits.sigmoid()
            said = shares >= 0.5
            right = (said == (labels > 0)).all(1)
            names = [self._named(row) for row in said]
            self._labels = tuple(self._named(row > 0) for row in labels)
            sure = torch.where(said, shares, 1 - shares).amin(1)
        else:
            sure, answers = logits.softmax(1).max(1)
            right = answers == labels
            names = [self._classes[int(one)] for one in answers]
            self._labels = tuple(self._classes[int(one)] for one in labels)
        return SampleAnswers(
            epoch=epoch,
            answers=tuple(names),
            confidences=tuple(round(one, DIGITS) for one in sure.tolist()),
            right=tuple(right.tolist()),
        )

    def _masks(self, epoch: int, logits: Tensor, masks: Tensor) -> SampleAnswers:
        said = masks != IGNORE
        hits = ((logits.argmax(1) == masks) & said).flatten(1).sum(1)
        shares = (hits / said.flatten(1).sum(1).clamp(min=1)).tolist()
        return SampleAnswers(
            epoch=epoch,
            answers=(),
            confidences=tuple(round(one, DIGITS) for one in shares),
            right=tuple(one >= 0.9 for one in shares),
        )

    def _named(self, row: Tensor) -> str:
        return ", ".join(self._classes[int(place)] for place in row.nonzero().flatten())


def read_samples(folder: Path) -> Samples | None:
    """Reads the followed pictures of a run; None where there are none, or the file is no such book."""
    try:
        return Samples.model_validate_json((folder / SAMPLES_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
