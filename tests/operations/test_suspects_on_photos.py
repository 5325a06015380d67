"""Planted wrong labels among real photos are found by features of pretrained weights."""

from __future__ import annotations

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
    classes, ids = sorted(set(labels.values())), sorted(labels)
    generator = np.random.default_rng(0)
    wrong = {ids[place] for place in generator.permutation(len(ids))[: int(SHARE * len(ids))].tolist()}
    for image_id in wrong:
        other = (classes.index(labels[image_id]) + int(generator.integers(1, len(classes)))) % len(classes)
        call(workspace, "label.add", image=image_id, label=classes[other])
    contract = {"width_px": 128, "height_px": 128}
    call(workspace, "dataset.freeze", dataset="flowers", contract=contract, pictures="none")
    report = call(
        workspace,
        "label.suspects",
        dataset="flowers@1",
        network="mobilenetv2_035",
        weights="mobilenetv2_035.keras_in1k_features",
        most=10_000,
    )
    found = [one.image_id for one in report.suspects]
    hits = len(set(found) & wrong)
    print(
        len(found), "suspects,", hits, "of", len(wrong), "planted;", report.accuracy, report.estimated_wrong
    )
    assert hits / len(found) > 0.4  # with so few photos, flowers that are hard to tell are suspects too
    assert hits / len(wrong) > 0.75
    assert len(set(found[: len(wrong) // 2]) & wrong) / (len(wrong) // 2) > 0.7
