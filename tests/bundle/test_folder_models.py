"""A model that is a folder goes into a bundle and out of it as one model, each of its files with a hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darkroom.bundle import ModelFile, copy_model, inspect, read_bundle, size_of
from darkroom.bundle.writer import replace_files
from darkroom.errors import Damaged, NotFound
from tests.bundle import made

INSIDE = {
    "Manifest.json": b"{}",
    "Data/com.apple.CoreML/model.mlmodel": b"program" * 9,
    "Data/com.apple.CoreML/weights/weight.bin": bytes(range(256)) * 3,
}
SIZE = sum(map(len, INSIDE.values()))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder laid out as a .mlpackage."""
    for name, data in INSIDE.items():
        path = tmp_path / "shoes.mlpackage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "shoes.mlpackage"


@pytest.fixture
def folder(tmp_path: Path, package: Path) -> Path:
    """A bundle with a model that is a folder and one that is a file."""
    models = [ModelFile(package, "coreml", "float16"), made.model(tmp_path)]
    made.bundle(tmp_path / "bundle", models=models)
    return tmp_path / "bundle"


def test_it_is_one_model_of_several_files(folder: Path) -> None:
    bundle = read_bundle(folder)
    coreml, onnx = bundle.models
    assert (coreml.path, coreml.target, coreml.precision) == ("models/shoes.mlpackage", "coreml", "float16")
    assert (coreml.size_bytes, onnx.path) == (SIZE, "models/shoes.onnx")
    place = bundle.model_path("coreml")
    assert {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()} == set(
        INSIDE
    )
    assert "models/shoes.mlpackage  coreml, float16" in (folder / "README.txt").read_text("utf-8")


def test_each_of_its_files_is_listed_with_its_hash(folder: Path) -> None:
    found = inspect(folder)
    assert found.problems == ()
    assert found.unlisted == ()
    listed = {file.path for file in found.files if file.target == "coreml"}
    assert listed == {f"models/shoes.mlpackage/{name}" for name in INSIDE}


@pytest.mark.parametrize("name", INSIDE)
def test_one_changed_byte_in_it_is_found(folder: Path, name: str) -> None:
    path = folder / "models/shoes.mlpackage" / name
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(Damaged, match=f"{name} .*content changed"):
        read_bundle(folder)


def test_a_file_that_was_added_to_it_is_shown(folder: Path) -> None:
    (folder / "models/shoes.mlpackage/more.txt").write_text("?")
    assert inspect(folder).unlisted == ("models/shoes.mlpackage/more.txt",)


def test_a_manifest_that_takes_files_from_elsewhere_for_it_is_refused(folder: Path) -> None:
    def lead_out(manifest: dict[str, Any]) -> None:
        for file in manifest["files"]:
            if file.get("package"):
                file["package"] = "../elsewhere"

    made.rewrite(folder, "bundle.json", lead_out)
    with pytest.raises(Damaged, match="does not lie in the folder of its model"):
        read_bundle(folder)


def test_it_stays_one_model_when_other_files_of_the_bundle_change(folder: Path) -> None:
    before = read_bundle(folder).models
    replace_files(folder, {"reports/parity.html": b"<p>other</p>"})
    assert read_bundle(folder).models == before


def test_a_manifest_from_before_there_were_folders_is_read(folder: Path) -> None:
    def older(manifest: dict[str, Any]) -> None:
        for file in manifest["files"]:
            file.pop("package")

    made.rewrite(folder, "bundle.json", older)
    assert [model.path for model in read_bundle(folder).models][-1] == "models/shoes.onnx"


def test_it_is_copied_with_all_its_folders(package: Path, tmp_path: Path) -> None:
    copy_model(package, tmp_path / "copied")
    assert size_of(tmp_path / "copied") == size_of(package) == SIZE
    assert size_of(tmp_path / "nothing") == 0


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(NotFound, match=r"no model file .*empty\.mlpackage"):
        made.bundle(tmp_path / "bundle", models=[ModelFile(tmp_path / "empty.mlpackage", "coreml", "")])
