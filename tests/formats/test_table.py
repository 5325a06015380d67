"""The table of formats, and what a folder is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.errors import InvalidConfig
from darkroom.formats import FORMATS, detect, find_format
from tests.formats.pictures import put


def test_an_unknown_format_names_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidConfig, match='Did you mean "class-folders"'):
        find_format("class-folder")


def test_a_format_is_found_under_its_own_name() -> None:
    assert all(find_format(name).name == name for name in FORMATS)


def test_a_folder_is_taken_for_what_it_looks_like(tmp_path: Path) -> None:
    put(tmp_path, "one/cat/1.jpg", "two/images/1.jpg", "two/masks/1.png", "three/a.png", "four/a/1.jpg")
    (tmp_path / "three" / "table.csv").write_text("image;label\na.png;cat\n")
    (tmp_path / "four" / "people.csv").write_text("name,age\n")
    found = [detect(tmp_path / name) for name in ("one", "two", "three", "four", "gone")]
    assert found == ["class-folders", "png-masks", "csv", "class-folders", "class-folders"]
