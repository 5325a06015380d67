"""Evaluate a finished run: load its weights, predict one split, judge the answers, keep everything."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import ValidationError

from darkroom import atomic
from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.evaluation.judgement import judge
from darkroom.evaluation.predictions import Predictions, groups_of, save_predictions
from darkroom.evaluation.record import Evaluation, EvaluationSource
from darkroom.operation import library_versions
from darkroom.records import FrozenDict, ModelCard, Split, now

__all__ = ["LabelledImages", "evaluate_run", "evaluation_path", "is_of_today", "load_evaluation"]

LIBRARIES = ("numpy", "pillow", "torch")
"""Packages whose versions can change the answers, beside the one whose code the network is."""


class LabelledImages(Protocol):
    """What `datasets` renders of one split."""

    @property
    def image_ids(self) -> Sequence[str]: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def groups(self) -> Sequence[str | None] | np.ndarray | None: ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...


def evaluate_run(
    run_folder: Path,
    images: LabelledImages,
    *,
    split: Split = "test",
    weights: str = "best",
    classes: Sequence[str] | None = None,
    device: str = "cpu",
    batch_size: int = 256,
    draws: int = 2000,
    seed: int = 0,
    worst: int = 24,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predicts a split with a run's weights and judges the answers.

    Leaves in the run's folder: `predictions-<split>.npy` and `.json`, and last `evaluation-<split>.json`.

    Args:
        run_folder: the run; its weights are `checkpoints/<weights>.safetensors`.
        images: the split, rendered under the contract of the run's card.
        split: its name.
        weights: "best", "last" or the name of a snapshot.
        classes: the dataset's classes in the order of the labels; refused when the card's differ.
        device: "cpu", "cuda" or "mps".
        batch_size: images that go through the network at a time.
        draws: how many times the images are drawn.
        seed: of the bootstrap.
        worst: how many mistakes to list at most.
        on_progress: called with images done and images in all.

    Raises:
        NotFound: the run has no such weights.
        Damaged: the weights cannot be read.
        Invalid: the images do not fit the model, there are none, or the model answers with NaN.
    """
    began = time.perf_counter()
    card, probabilities = _predict(run_folder, images, weights, classes, device, batch_size, on_progress)
    seconds = time.perf_counter() - began
    predictions = Predictions(
        tuple(images.image_ids), np.asarray(images.labels), groups_of(images.groups), probabilities
    )
    evaluation = judge(
        predictions.labels,
        predictions.probabilities,
        predictions.image_ids,
        predictions.groups,
        classes=card.labels,
        source=_source(card, run_folder, split),
        draws=draws,
        seed=seed,
        worst=worst,
    )
    return _kept(
        evaluation,
        run_folder,
        weights,
        predictions,
        {"device": device, "images_per_second": len(predictions.labels) / seconds},
    )


def evaluation_path(run_folder: Path, split: str = "test") -> Path:
    """Returns where the evaluation of a run on a split is kept."""
    return run_folder / f"evaluation-{split}.json"


def load_evaluation(run_folder: Path, split: str = "test") -> Evaluation:
    """Reads the evaluation of a run.

    Raises:
        NotFound: the run was not evaluated on this split.
        Damaged: its file, or the predictions it rests on, are not what was written.
    """
    path = evaluation_path(run_folder, split)
    if not path.is_file():
        raise NotFound(
            "evaluation.missing",
            "Run {run} was not evaluated on {split}.",
            do="Evaluate it: darkroom model evaluate",
            run=run_folder.name,
            split=split,
        )
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise Damaged(
            "evaluation.damaged",
            "Cannot read {path}.",
            do="Evaluate the run again: darkroom model evaluate",
            path=path,
        ) from error


def is_of_today(run_folder: Path, evaluation: Evaluation) -> bool:
    """Says whether the run, asked again now, would answer the same: by its weights and by the libraries."""
    same = evaluation.weights_sha256 == _weights_sha256(run_folder, "best")
    return same and evaluation.libraries == _versions(evaluation.source.network)


def _predict(
    run_folder: Path,
    images: LabelledImages,
    weights: str,
    classes: Sequence[str] | None,
    device: str,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[ModelCard, np.ndarray]:
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load

    network, card = load(run_folder / "checkpoints" / f"{weights}.safetensors")
    _check_classes(card, classes)
    batches = _batches(images, card.contract.shape, batch_size, on_progress)
    probabilities = predict(ImageModel.of(network, card), batches, device=device, batch_size=batch_size)
    return card, probabilities.reshape(-1, len(card.labels))  # (0, 0) when there are no images


def _batches(
    images: LabelledImages,
    shape: tuple[int, int, int],
    batch_size: int,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[np.ndarray]:
    """Yields (n, H, W, C) uint8; one buffer is used over and over."""
    count, buffer = len(images.image_ids), None
    for start in range(0, count, batch_size):
        indices = np.arange(start, min(start + batch_size, count))
        if buffer is not None and len(buffer) == len(indices):
            buffer = images.gather(indices, out=buffer)
        else:
            buffer = images.gather(indices)
        _check_shape(buffer.shape[1:], shape)
        yield buffer
        if on_progress is not None:
            on_progress(int(indices[-1]) + 1, count)


def _source(card: ModelCard, run_folder: Path, split: Split) -> EvaluationSource:
    return EvaluationSource(
        run=card.run or run_folder.name,
        network=card.network,
        seed=card.seed,
        epoch=card.epoch,
        dataset=card.dataset,
        dataset_id=card.dataset_id,
        split=split,
    )


def _kept(
    evaluation: Evaluation,
    run_folder: Path,
    weights: str,
    predictions: Predictions,
    facts: dict[str, object],
) -> Evaluation:
    split = evaluation.source.split
    looks = _looks_before(run_folder, evaluation) + 1
    name, sha256 = save_predictions(run_folder, split, predictions)
    files = {"predictions": name, "predictions_sha256": sha256, "looks": looks}
    asked = {
        "weights_sha256": _weights_sha256(run_folder, weights),
        "libraries": FrozenDict(_versions(evaluation.source.network)),
        "evaluated_at": now(),
    }
    evaluation = evaluation.model_copy(update=facts | files | asked)
    atomic.write_text(evaluation_path(run_folder, split), evaluation.model_dump_json(indent=1) + "\n")
    return evaluation


def _weights_sha256(run_folder: Path, weights: str) -> str:
    with (run_folder / "checkpoints" / f"{weights}.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(network: str) -> dict[str, str]:
    from darkroom.networks.table import library_of

    return library_versions((*LIBRARIES, *library_of(network)))


def _looks_before(run_folder: Path, evaluation: Evaluation) -> int:
    try:
        before = load_evaluation(run_folder, evaluation.source.split)
    except (NotFound, Damaged):
        return 0
    return before.looks if before.source.dataset_id == evaluation.source.dataset_id else 0


def _check_shape(found: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    if found != expected:
        raise Invalid(
            "evaluation.other-shape",
            "The model takes pictures of {expected} (height, width, channels). Received: {found}.",
            do="Evaluate on a dataset that is rendered under the contract of the model's card.",
            expected=expected,
            found=found,
        )


def _check_classes(card: ModelCard, classes: Sequence[str] | None) -> None:
    if classes is not None and tuple(classes) != card.labels:
        raise Invalid(
            "evaluation.other-classes",
            "The model answers with {model}; the dataset's classes are {dataset}.",
            do="Evaluate on a version of the dataset that the model was trained on.",
            model=", ".join(card.labels),
            dataset=", ".join(classes),
        )
