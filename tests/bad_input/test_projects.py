"""Projects in which something is wrong: misspelt keys, files for folders, pictures that change."""

from __future__ import annotations

import copy
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from darkroom.errors import InvalidConfig
from darkroom.operation import find_operation
from darkroom.workspace import Workspace
from tests.bad_input.test_pictures import Said, darkroom
from tests.datasets.projects import classes
from tests.formats.pictures import png


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A new project with 24 pictures beside it."""
    classes(tmp_path / "pictures", {"cat": 12, "dog": 12})
    said = darkroom(tmp_path, "init", "p", "--images", "pictures", "--clones", "1")
    assert said.code == 0, said.err
    return tmp_path / "p"


def tables(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the way to each table that has a key of plain value."""
    if isinstance(value, dict):
        if any(not isinstance(one, dict | list) for one in value.values()):
            yield way
        for key, one in value.items():
            yield from tables(one, (*way, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from tables(one, (*way, number))


def test_a_misspelt_key_of_any_table_names_the_key_that_was_meant(place: Path) -> None:
    file = place / "darkroom.toml"
    whole = tomllib.loads(file.read_text())
    ways = list(tables(whole))
    assert len(ways) > 20
    for way in ways:
        misspelt = copy.deepcopy(whole)
        table: Any = misspelt
        for step in way:
            table = table[step]
        key = max((key for key, one in table.items() if not isinstance(one, dict | list)), key=len)
        wrong = f"{key[:-2]}{key[-1]}{key[-2]}x"
        table[wrong] = table.pop(key)
        file.write_text(tomlkit.dumps(misspelt))
        with pytest.raises(InvalidConfig) as refused:
            validate_all(place)
        assert wrong in str(refused.value), way
        assert f'Did you mean "{key}"?' in str(refused.value), (way, str(refused.value))


def validate_all(place: Path) -> None:
    for stage in Workspace(place).project.stage:
        find_operation(stage.operation).validate(stage.request)


def test_an_unknown_stage_operation_network_and_weights_name_what_was_meant(place: Path) -> None:
    file = place / "darkroom.toml"
    text = file.read_text()
    for old, new, said in (
        ('operation = "model.clone"', 'operation = "model.clonne"', 'Did you mean "model.clone"?'),
        ('network = "lenet5"', 'network = "lenett5"', 'Did you mean "lenet5"?'),
        ('"@prepare"', '"@prepaer"', "prepare"),
        ('weights = ""', 'weights = "nobody"', 'No weights "nobody"'),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        done = darkroom(place, "run", "--until", "train")
        assert done.code in {2, 3, 6}, done.err
        assert said in done.err
        assert not list((place / ".darkroom" / "runs").rglob("*.safetensors"))


@pytest.mark.parametrize("name", [".darkroom", "deliverables", ".darkroom/catalogue.db", "pictures"])
def test_a_file_where_a_folder_should_be_is_said_and_left_alone(place: Path, name: str) -> None:
    wrong = place.parent / name if name == "pictures" else place / name
    if name == "pictures":
        shutil.rmtree(wrong)
    if name.endswith(".db"):
        wrong.mkdir(parents=True)
    else:
        wrong.write_text("mine")
    for words in (["run", "--until", "collect"], ["status"], ["source", "list"], ["project", "usage"]):
        refuse_defects(darkroom(place, *words))
    assert wrong.is_dir() == name.endswith(".db")


def refuse_defects(said: Said) -> None:
    assert said.code != 1, said.err
    assert "Traceback" not in said.err
    assert (said.code == 0) == ("error" not in said.err)


def test_a_picture_that_goes_or_changes_before_the_dataset_is_frozen_is_named(place: Path) -> None:
    assert darkroom(place, "run", "--until", "collect").code == 0
    for change, said in ((Path.unlink, "is gone from its source"), (overwritten, "its content changed")):
        picture = place.parent / "pictures" / "cat" / "3.png"
        before = picture.read_bytes()
        change(picture)
        done = darkroom(place, "dataset", "freeze", "--dataset", "p", "--sources", "s-1")
        assert done.code in {3, 8}, done.err
        assert said in done.err
        assert "3.png" in done.err
        assert not list((place / "deliverables").rglob(".aside-*"))
        picture.write_bytes(before)
    (place.parent / "pictures" / "cat" / "3.png").unlink()
    assert darkroom(place, "run", "--until", "prepare").code == 0  # a run looks again by itself


def test_a_picture_that_goes_before_its_pixels_are_needed_again_is_named(place: Path) -> None:
    assert darkroom(place, "run", "--until", "network").code == 0
    shutil.rmtree(place / ".darkroom" / "renderings")
    overwritten(place.parent / "pictures" / "dog" / "2.png")
    done = darkroom(place, "model", "train", "--dataset", "p", "--recipe.epochs", "1")
    assert done.code == 8, done.err
    assert "2.png" in done.err
    assert "darkroom run" in done.err
    assert not list((place / ".darkroom").rglob("*.safetensors"))
    assert darkroom(place, "run", "--until", "network").code == 0


def overwritten(picture: Path) -> None:
    picture.write_bytes(png(1000))


def test_a_file_in_the_place_of_a_deliverable_is_replaced(place: Path) -> None:
    assert darkroom(place, "run", "--until", "collect").code == 0
    (place / "deliverables" / "04-dataset").write_text("mine")
    assert darkroom(place, "run", "--until", "prepare").code == 0
    assert (place / "deliverables" / "04-dataset" / "train").is_dir()
    assert not list(place.rglob(".aside-*"))
