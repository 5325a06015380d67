"""A thousand damaged pictures: none ends a process or hangs; each is taken in or set aside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from darkroom.engines import Failure
from darkroom.records import Quarantined
from darkroom.settings import Settings
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.bad_input.mutations import mutated, read_in_every_way, whole_pictures
from tests.datasets.projects import add, project

WORKERS = 2


@pytest.mark.timeout(120)
def test_a_thousand_damaged_pictures_are_taken_in_or_set_aside(tmp_path: Path) -> None:
    taken_in_or_set_aside(tmp_path, whole_pictures(), count=1000, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_damaged_pictures_are_taken_in_or_set_aside(tmp_path: Path) -> None:
    taken_in_or_set_aside(tmp_path, whole_pictures(), count=10_000, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_damaged_photos_of_cameras_are_taken_in_or_set_aside(tmp_path: Path, shared_data: Path) -> None:
    found = sorted(path for path in (shared_data / "sample-photos").rglob("*") if path.is_file())
    photos = {path.name: path.read_bytes() for path in found if path.stat().st_size < 3_000_000}
    small = {name: data for name, data in photos.items() if read_suffix(name)}
    assert len(small) > 2
    taken_in_or_set_aside(tmp_path, small, count=120, seed=3)


def read_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".tif", ".avif"}


def taken_in_or_set_aside(folder: Path, whole: dict[str, bytes], *, count: int, seed: int) -> None:
    """Puts damaged pictures beside whole ones, scans all in worker processes and reads each again."""
    pictures = folder / "project" / "pictures"
    put(pictures, whole, count=count, seed=seed)
    project(folder / "project").close()
    with Workspace(folder / "project", settings=Settings(workers=WORKERS)) as workspace:
        source = add(workspace, "pictures")
        report = scan_folder(workspace, source)
        held = {place.path for place in workspace.catalogue.locations.of_source(source.id)}
        aside = {found.path: found for found in workspace.catalogue.quarantine.of_source(source.id)}
        outcomes = read_again(workspace, pictures)
    files = {path.relative_to(pictures).as_posix() for path in pictures.rglob("*") if path.is_file()}
    assert held | aside.keys() == files
    assert not held & aside.keys()
    assert {f"whole/{name}" for name in whole} <= held
    assert report.quarantined == len(aside) > count / 4
    refuse_silent(aside)
    # What one reader takes the others take, but for what only decoding the whole file shows.
    assert {path for path, outcome in outcomes.items() if outcome == "read"} <= held
    unlike = {path: outcomes[path] for path in held if outcomes[path] != "read"}
    assert len(unlike) <= count / 50, unlike


def put(pictures: Path, whole: dict[str, bytes], *, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for part in ("whole", "damaged"):
        (pictures / part).mkdir(parents=True)
    for name, data in whole.items():
        (pictures / "whole" / name).write_bytes(data)
    names = sorted(whole)
    for number in range(count):
        name = names[number % len(names)]
        (pictures / "damaged" / f"{number:04d}-{name}").write_bytes(mutated(whole[name], random))


def read_again(workspace: Workspace, pictures: Path) -> dict[str, str]:
    files = sorted(path for path in pictures.rglob("*") if path.is_file())
    found: dict[str, str] = {}
    for path, outcome in zip(files, workspace.engine.map(read_in_every_way, files), strict=True):
        assert not isinstance(outcome, Failure), (path.name, outcome)
        found[path.relative_to(pictures).as_posix()] = outcome
    return found


def refuse_silent(aside: dict[str, Quarantined]) -> None:
    """Each reason is one of ours, and says more than the name of an exception."""
    reasons = Counter(found.reason.partition(".")[0] for found in aside.values())
    assert set(reasons) <= {"image", "file"}, reasons
    for found in aside.values():
        assert len(found.message) > 30, found
        assert "Error:" not in found.message, found
