"""Planted wrong labels among real photos are found by features of pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from darkroom.settings import Settings
from darkroom.workspace import Workspace
from tests.jobs.projects import project
from tests.networks import pretrained
from tests.operations.clone_projects import call

SHARE = 0.08
PER_CLASS = 100
DRAWS = 5
"""One draw says little: the recall of ten had a mean of 0.66 and a standard deviation of 0.07."""


@pytest.mark.slow
def test_wrong_labels_among_flowers_are_found(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = pretrained.with_notes(tmp_path / "weights", shared_data)
    monkeypatch.setenv("DARKROOM_WEIGHTS", str(weights))
    monkeypatch.setenv("DARKROOM_THREADS", "1")
    workspace = Workspace(project(tmp_path / "p").root, settings=Settings.read())
    for place in sorted((shared_data / "flowers").iterdir()):
        (tmp_path / "photos" / place.name).mkdir(parents=True)
        for photo in sorted(place.iterdir())[:PER_CLASS]:
            (tmp_path / "photos" / place.name / photo.name).symlink_to(photo)
    call(workspace, "source.add", folder=str(tmp_path / "photos"))
    labels = {one.image_id: one.value.label for one in workspace.catalogue.annotations.current("class")}
    draws = [_draw(workspace, labels, number) for number in range(DRAWS)]
    found, hits, planted, early, half = np.sum(draws, axis=0)
    print(f"{DRAWS} draws: {found} suspects, {hits} of {planted} planted; first {half}: {early}")
    first_found, first_hits, first_planted, first_early, first_half = draws[0]
    assert first_hits / first_found > 0.4
    assert first_hits / first_planted > 0.75  # a draw that is easier than most
    assert first_early / first_half > 0.7
    assert hits / found > 0.4  # with so few photos, flowers that are hard to tell are suspects too
    assert hits / planted > 0.6
    assert early / half > 0.7


def _draw(workspace: Workspace, labels: Mapping[str, str], number: int) -> tuple[int, int, int, int, int]:
    """Plants wrong labels and takes them back.

    Returns the number of suspects, of planted labels among them, of planted labels, and of planted labels
    among as many first suspects as half of those planted; then that half.
    """
    classes, ids = sorted(set(labels.values())), sorted(labels)
    generator = np.random.default_rng(number)
    wrong = {ids[place] for place in generator.permutation(len(ids))[: int(SHARE * len(ids))].tolist()}
    for image_id in wrong:
        other = (classes.index(labels[image_id]) + int(generator.integers(1, len(classes)))) % len(classes)
        call(workspace, "label.add", image=image_id, label=classes[other])
    contract = {"width_px": 128, "height_px": 128}
    version = call(workspace, "dataset.freeze", dataset="flowers", contract=contract, pictures="none")
    report = call(
        workspace,
        "label.suspects",
        dataset=version.dataset,
        network="mobilenetv2_035",
        weights="mobilenetv2_035.keras_in1k_features",
        most=10_000,
    )
    for image_id in wrong:
        call(workspace, "label.add", image=image_id, label=labels[image_id])
    found = [one.image_id for one in report.suspects]
    half = len(wrong) // 2
    return len(found), len(set(found) & wrong), len(wrong), len(set(found[:half]) & wrong), half
