"""Evaluate a run that answers label sets: predict one split, judge the answers, keep everything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from darkroom import atomic
from darkroom.errors import Invalid
from darkroom.evaluation.batches import OnImages, source_of
from darkroom.evaluation.label_set_judgement import judge_label_sets
from darkroom.evaluation.label_set_record import LabelSetEvaluation
from darkroom.evaluation.predictions import save_predictions
from darkroom.evaluation.run import (
    Asked,
    LabelledImages,
    Watched,
    keep_evaluation,
    predict_split,
    speed_since,
)
from darkroom.records import OperatingPoint, Split
from darkroom.tasks.label_sets import AT_HALF

__all__ = ["evaluate_label_sets"]


def evaluate_label_sets(
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
    point: OperatingPoint = AT_HALF,
    on_progress: OnImages | None = None,
) -> LabelSetEvaluation:
    """Predicts a split with a run's weights and judges the label sets; leaves what `evaluate_run` leaves.

    Args:
        run_folder: the run.
        images: the split; its labels are (N, C) of 0 and 1.
        split: its name.
        weights: "best", "last" or the name of a snapshot.
        classes: the dataset's labels in their order; refused when the card's differ.
        device: "cpu", "cuda" or "mps".
        batch_size: images that go through the network at a time.
        draws: how many times the images are drawn.
        seed: of the bootstrap.
        worst: how many images to list at most.
        point: its thresholds decide which labels are given.
        on_progress: called with images done and images in all.

    Raises:
        NotFound: the run has no such weights.
        Damaged: the weights cannot be read.
        Invalid: the images do not fit the model, there are none, or the model answers with NaN.
    """
    with atomic.scratch_folder(run_folder) as scratch:
        asked = Asked(run_folder, Watched(images), weights, classes, device, batch_size, on_progress)
        began = time.perf_counter()
        card, predictions = predict_split(asked, scratch)
        if card.task != "multi-label":
            raise Invalid(
                "evaluation.other-task",
                "Run {run} answers {task}, not sets of labels.",
                run=card.run,
                task=card.task,
                do="Evaluate it as what it is: darkroom model evaluate --runs {run}",
            )
        facts = {"device": device, "images_per_second": speed_since(began, predictions)}
        evaluation = judge_label_sets(
            predictions,
            classes=card.labels,
            source=source_of(card, run_folder, split),
            point=point,
            draws=draws,
            seed=seed,
            worst=worst,
        )
        kept = save_predictions(run_folder, split, predictions)
        return keep_evaluation(evaluation, run_folder, weights, kept, facts)
