"""What is worth knowing of a dataset: counted exactly, and what is strange is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.datasets import explore, freeze
from darkroom.records import Contract
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, project

CONTRACT = Contract(width_px=4, height_px=4, resize="squash")


def flat(value: int, width_px: int = 8, height_px: int = 8, note: int = 0) -> bytes:
    """Returns a PNG of one grey; another note gives other bytes with the same pixels."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("note", str(note))
    file = io.BytesIO()
    Image.new("RGB", (width_px, height_px), (value, value, value)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.fixture
def strange(tmp_path: Path) -> Workspace:
    """Dark cats, bright dogs, and what should not be."""
    workspace = project(tmp_path)
    folder = classes(tmp_path / "pictures", {"cat": 0, "dog": 0})
    for number in range(20):
        (folder / "cat" / f"{number}.png").write_bytes(flat(number, 8, 4, number))
        (folder / "dog" / f"{number}.png").write_bytes(
            flat(200 + number, 2 if number < 8 else 8, 8, number)
        )
    (folder / "cat" / "both.png").write_bytes(flat(100))
    (folder / "dog" / "both.png").write_bytes(flat(100))
    (folder / "dog" / "twin.png").write_bytes(flat(7, 8, 4, 99))  # as cat/7.png, in other bytes
    scan_folder(workspace, add(workspace, "pictures"))
    return workspace


def test_balance_brightness_and_sizes_are_counted(strange: Workspace) -> None:
    version = freeze(strange, name="pets", contract=CONTRACT)
    facts = explore(strange, version).facts
    assert (facts.dataset, facts.images) == ("pets@1", 41)
    cat, dog = facts.classes
    assert (cat.label, sum(cat.counts.values()), sum(dog.counts.values())) == ("cat", 20, 21)
    assert cat.share == pytest.approx(20 / 41)
    assert cat.brightness == pytest.approx(9.5 / 255, abs=1e-9)
    assert len(cat.examples) == 6
    assert facts.width_px.edges[0] == 2
    assert sum(facts.width_px.counts) == sum(facts.height_px.counts) == sum(facts.aspect.counts) == 41
    assert (sum(facts.brightness.counts), len(facts.brightness.edges)) == (41, 21)
    assert facts.brightness.counts[0] + facts.brightness.counts[1] == 21
    assert facts.enlarged == 8
    assert any("8 of 41 pictures are smaller" in warning for warning in facts.warnings)


def test_mean_pictures_are_means(strange: Workspace) -> None:
    means = explore(strange, freeze(strange, name="pets", contract=CONTRACT)).means
    assert means["cat"].shape == (4, 4, 3)
    assert set(np.unique(means["cat"])) <= {9, 10}


def test_equal_tensors_and_contradicting_labels_are_named(strange: Workspace) -> None:
    version = freeze(strange, name="pets", contract=CONTRACT)
    facts = explore(strange, version).facts
    (twins,) = facts.across_classes
    assert sorted(twins.labels) == ["cat", "dog"]
    assert facts.across_splits == ((twins,) if len(set(twins.splits)) > 1 else ())
    assert any("carry different labels" in warning for warning in facts.warnings)
    (conflict,) = facts.conflicts
    assert [one.file for one in conflict.said] == ["s-1/cat/both.png", "s-1/dog/both.png"]


def test_small_classes_and_empty_splits_are_warned_of(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 40, "dog": 9, "bird": 1})
    scan_folder(workspace, add(workspace, "pictures"))
    facts = explore(workspace, freeze(workspace, name="pets", contract=CONTRACT)).facts
    assert facts.balance[0].startswith("Train has 1 pictures of bird and 1 more classes are small")
    assert facts.balance[1:] == ("No picture of bird in val.", "No picture of bird in test.")


def test_the_facts_are_read_back_as_they_were(strange: Workspace) -> None:
    facts = explore(strange, freeze(strange, name="pets", contract=CONTRACT)).facts
    assert type(facts).model_validate_json(facts.model_dump_json()) == facts


def test_with_very_many_classes_no_mean_picture_is_made(
    strange: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.datasets.exploration.MEANS_VALUES", 10)
    found = explore(strange, freeze(strange, name="pets", contract=CONTRACT))
    assert found.means == {}
    assert found.facts.classes[0].brightness == pytest.approx(9.5 / 255)
