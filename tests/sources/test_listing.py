"""One hash says whether anything in a folder may have changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from darkroom.sources import listing_digest
from tests.datasets.projects import touch
from tests.formats.pictures import png, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put(tmp_path / "in", "a/1.png", "b/2.png")


def test_the_same_files_give_the_same_hash(folder: Path) -> None:
    assert listing_digest(folder) == listing_digest(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: put(folder, "a/3.png"),
        lambda folder: (folder / "b" / "2.png").unlink(),
        lambda folder: (folder / "b" / "2.png").rename(folder / "a" / "2.png"),
        lambda folder: touch(folder / "a" / "1.png"),
        lambda folder: (folder / "a" / "1.png").write_bytes(png(9, 50)),
        lambda folder: (folder / "table.csv").write_text("x"),
        lambda folder: (folder / "gone.png").symlink_to(folder / "nowhere"),
    ],
    ids=["new", "gone", "moved", "touched", "changed", "table", "broken link"],
)
def test_any_change_gives_another_hash(folder: Path, change) -> None:
    before = listing_digest(folder)
    change(folder)
    assert listing_digest(folder) != before


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db"])
def test_hidden_files_change_nothing(folder: Path, name: str) -> None:
    before = listing_digest(folder)
    (folder / name).write_text("x")
    assert listing_digest(folder) == before


def test_the_hash_is_of_paths_sizes_and_times_as_it_always_was(folder: Path) -> None:
    """Another one would make the first stage of every project that is there stale."""
    (folder / "b" / "3.png").symlink_to(folder / "a" / "1.png")
    lines = []
    for name in ("a/1.png", "b/2.png", "b/3.png"):
        facts = (folder / name).stat()
        lines.append(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}")
    assert listing_digest(folder) == hashlib.sha256("\0".join(lines).encode()).hexdigest()
