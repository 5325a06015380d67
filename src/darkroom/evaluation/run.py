"""Evaluate a finished run: load its weights, predict one split, judge the answers, keep everything."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from darkroom import atomic
from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.evaluation.batches import batches_of, check_classes, source_of
from darkroom.evaluation.depth import Depth, deepened
from darkroom.evaluation.judgement import judge
from darkroom.evaluation.label_set_record import LabelSetEvaluation
from darkroom.evaluation.mask_record import MaskEvaluation, any_evaluation
from darkroom.evaluation.predictions import LARGE_BYTES, Predictions, groups_of, save_predictions
from darkroom.evaluation.record import Evaluation, Judgement
from darkroom.operation import library_versions
from darkroom.records import FrozenDict, ModelCard, Split, Task, now

__all__ = [
    "Asked",
    "LabelledImages",
    "Watched",
    "evaluate_run",
    "evaluation_path",
    "is_of_today",
    "keep_evaluation",
    "load_any_evaluation",
    "load_evaluation",
    "load_mask_evaluation",
    "predict_split",
    "refuse_label_sets",
    "speed_since",
]

Kept = TypeVar("Kept", bound=Judgement)

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
    depth: Depth | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predicts a split with a run's weights and judges the answers; memory does not grow with the images.

    Leaves in the run's folder `predictions-<split>.npy` and `.json`, and last `evaluation-<split>.json`.

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
        depth: costs, operating point, facts about the images; without them only curves and calibration.
        on_progress: called with images done and images in all.

    Raises:
        NotFound: the run has no such weights.
        Damaged: the weights cannot be read.
        Invalid: the images do not fit the model, there are none, or the model answers with NaN.
    """
    depth = depth or Depth()
    with atomic.scratch_folder(run_folder) as scratch:
        asked = Asked(run_folder, Watched(images), weights, classes, device, batch_size, on_progress)
        began = time.perf_counter()
        card, predictions = predict_split(asked, scratch)
        refuse_label_sets(card.run, card.task)
        facts = {"device": device, "images_per_second": speed_since(began, predictions)}
        evaluation = judge(
            predictions.labels,
            predictions.probabilities,
            predictions.image_ids,
            predictions.groups,
            classes=card.labels,
            source=source_of(card, run_folder, split),
            draws=draws,
            seed=seed,
            worst=worst,
            costs=depth.prices.table if depth.prices else None,
        )
        found = deepened(evaluation, predictions, depth)
        kept = save_predictions(run_folder, split, predictions)
        return keep_evaluation(found, run_folder, weights, kept, facts)


def speed_since(began: float, predictions: Predictions) -> float:
    """Returns the images per second since a moment of `time.perf_counter`."""
    return len(predictions.labels) / (time.perf_counter() - began)


def evaluation_path(run_folder: Path, split: str = "test") -> Path:
    """Returns where the evaluation of a run on a split is kept."""
    return run_folder / f"evaluation-{split}.json"


def load_evaluation(run_folder: Path, split: str = "test") -> Evaluation:
    """Reads the evaluation of a classifier.

    Raises:
        NotFound: the run was not evaluated on this split.
        Damaged: its file, or the predictions it rests on, are not what was written.
        Invalid: the run answers masks, or sets of labels.
    """
    found = load_any_evaluation(run_folder, split)
    if isinstance(found, LabelSetEvaluation):
        refuse_label_sets(run_folder.name, found.task)
        raise AssertionError(found.task)
    if isinstance(found, MaskEvaluation):
        raise Invalid(
            "evaluation.of-masks",
            "Run {run} answers masks; what was asked for is about classes of whole pictures.",
            run=run_folder.name,
            do="Name runs of one class per picture: darkroom model list",
        )
    return found


def refuse_label_sets(run: str, task: Task) -> None:
    """Refuses a run that answers any number of labels where one class per picture is what counts.

    Raises:
        Invalid: it does.
    """
    if task == "multi-label":
        raise Invalid(
            "evaluation.of-label-sets",
            "Run {run} answers any number of labels per picture; this is about one class each.",
            run=run,
            do="Name runs of one class per picture: darkroom model list",
        )


def load_mask_evaluation(run_folder: Path, split: str = "test") -> MaskEvaluation:
    """Reads the evaluation of a run that answers masks.

    Raises:
        NotFound: the run was not evaluated on this split.
        Damaged: its file is not what was written.
        Invalid: the run answers classes of whole pictures.
    """
    found = load_any_evaluation(run_folder, split)
    if not isinstance(found, MaskEvaluation):
        raise Invalid(
            "evaluation.no-masks",
            "Run {run} answers {task}, not masks.",
            run=run_folder.name,
            task=found.task,
            do="Name runs that answer masks: darkroom model list",
        )
    return found


def load_any_evaluation(
    run_folder: Path, split: str = "test"
) -> Evaluation | LabelSetEvaluation | MaskEvaluation:
    """Reads the evaluation of a run of any task.

    Raises:
        NotFound: the run was not evaluated on this split.
        Damaged: its file is not what was written.
    """
    path = evaluation_path(run_folder, split)
    if not path.is_file():
        raise NotFound(
            "evaluation.missing",
            "Run {run} was not evaluated on {split}.",
            do="Evaluate it: darkroom model evaluate --runs {run} --split {split}",
            run=run_folder.name,
            split=split,
        )
    try:
        return any_evaluation(path.read_bytes())
    except ValidationError as error:
        raise Damaged(
            "evaluation.damaged",
            "Cannot read {path}.",
            do="Evaluate the run again: darkroom model evaluate",
            path=path,
        ) from error


def _looks_before(run_folder: Path, evaluation: Judgement) -> int:
    """Returns how often the same images were looked at with this run before."""
    try:
        before = load_any_evaluation(run_folder, evaluation.source.split)
    except (NotFound, Damaged):
        return 0
    return before.looks if before.source.dataset_id == evaluation.source.dataset_id else 0


def is_of_today(run_folder: Path, evaluation: Judgement) -> bool:
    """Says whether the run, asked again now, would answer the same: by its weights and by the libraries."""
    same = evaluation.weights_sha256 == _weights_sha256(run_folder, "best")
    return same and evaluation.libraries == _versions(evaluation.source.network)


class Asked(NamedTuple):
    """What is asked of whom."""

    run_folder: Path
    images: Watched
    weights: str
    classes: Sequence[str] | None
    device: str
    batch_size: int
    on_progress: Callable[[int, int], None] | None


class Watched:
    """Images that note how bright each is as it is looked at, so that nothing is read twice."""

    def __init__(self, images: LabelledImages) -> None:
        self._images = images
        self.image_ids, self.labels, self.groups = images.image_ids, images.labels, images.groups
        self.brightness = np.full(len(images.image_ids), np.nan, np.float32)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        tensors = self._images.gather(indices, out=out)
        sums = tensors.reshape(len(tensors), -1).sum(axis=1, dtype=np.uint64)
        self.brightness[indices] = sums / (255.0 * tensors[0].size)
        return tensors


def predict_split(asked: Asked, scratch: Path) -> tuple[ModelCard, Predictions]:
    """Returns the card of a run and its answers; large probabilities lie in a scratch folder.

    Raises:
        DarkroomError: as `evaluate_run`.
    """
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict_into
    from darkroom.networks.saved import load

    network, card = load(asked.run_folder / "checkpoints" / f"{asked.weights}.safetensors")
    check_classes(card, asked.classes)
    batches = batches_of(asked.images, card.contract.shape, asked.batch_size, asked.on_progress)
    probabilities = _room_for((len(asked.images.image_ids), len(card.labels)), scratch)
    model = ImageModel.of(network, card)
    predict_into(probabilities, model, batches, device=asked.device, batch_size=asked.batch_size)
    return card, Predictions(
        tuple(asked.images.image_ids),
        np.asarray(asked.images.labels),
        groups_of(asked.images.groups),
        probabilities,
        asked.images.brightness,
    )


def _room_for(shape: tuple[int, int], scratch: Path) -> np.ndarray:
    """Returns an array float32 to be filled; a large one lies in a file."""
    if 4 * shape[0] * shape[1] <= LARGE_BYTES:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(scratch / "probabilities.npy", "w+", np.float32, shape)


def keep_evaluation(
    evaluation: Kept,
    run_folder: Path,
    weights: str,
    answers: tuple[str, str],
    facts: dict[str, object],
) -> Kept:
    """Writes what was judged into a run's folder, beside the answers; returns it with the facts filled in.

    Args:
        evaluation: what was judged.
        run_folder: the run.
        weights: that answered.
        answers: name and sha256 of the file of answers, which is written already.
        facts: where the model ran, and how fast.
    """
    name, sha256 = answers
    about = {
        "predictions": name,
        "predictions_sha256": sha256,
        "looks": _looks_before(run_folder, evaluation) + 1,
        "weights_sha256": _weights_sha256(run_folder, weights),
        "libraries": FrozenDict(_versions(evaluation.source.network)),
        "evaluated_at": now(),
    }
    evaluation = evaluation.model_copy(update=facts | about)
    path = evaluation_path(run_folder, evaluation.source.split)
    atomic.write_text(path, evaluation.model_dump_json(indent=1) + "\n")
    return evaluation


def _weights_sha256(run_folder: Path, weights: str) -> str:
    with (run_folder / "checkpoints" / f"{weights}.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(network: str) -> dict[str, str]:
    from darkroom.networks.table import library_of

    return library_versions((*LIBRARIES, *library_of(network)))
