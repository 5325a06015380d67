"""A name that is in no table is refused in the same words by every table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from darkroom import networks, tasks
from darkroom.engines import make_engine
from darkroom.errors import DarkroomError, among
from darkroom.export import exporters
from darkroom.formats import find_format
from darkroom.serving import runtimes
from darkroom.settings import Settings


@pytest.mark.parametrize(
    ("find", "misspelt", "meant"),
    [
        (networks.find, "lenet", "lenet5"),
        (tasks.find, "clasification", "classification"),
        (exporters.find, "onx", "onnx"),
        (runtimes.find, "litrt", "litert"),
        (find_format, "class-folder", "class-folders"),
        (lambda name: make_engine(Settings(engine=name)), "locl", "local"),
    ],
)
def test_every_table_refuses_a_misspelt_name_in_the_same_words(
    find: Callable[[str], object], misspelt: str, meant: str
) -> None:
    with pytest.raises(DarkroomError) as refused:
        find(misspelt)
    said = refused.value.message
    assert f'"{misspelt}". Known: ' in said
    assert said.startswith("No ")
    assert meant in said.partition("Known: ")[2]
    assert said.endswith(f' Did you mean "{meant}"?')


def test_a_name_with_control_characters_is_shown_harmlessly() -> None:
    assert among("\x1b[2Jx", ())["name"] == r"\x1b[2Jx"
    assert among("x", ())["known"] == "none"
