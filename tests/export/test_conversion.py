"""Converting: each file in its own process, whole or not at all, and quietly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from darkroom.errors import MissingExtra, NotFound, StorageFailed, Unsupported
from darkroom.export import ConvertedFile
from darkroom.export.child import refused
from darkroom.export.conversion import convert
from darkroom.export.exporters import EXPORTERS
from darkroom.networks.saved import save
from tests.bad_input.full_disk import files_of_at_most
from tests.export import models
from tests.export.models import Trained


@pytest.fixture(scope="module")
def colours() -> Trained:
    return models.colours()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_failure_does_not_lose_the_others_and_leaves_the_old_file(
    colours: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "shop.tflite").write_text("the file from before")
    (tmp_path / "onnx.py").write_text("raise SystemExit('a file of the user is no library')")
    monkeypatch.chdir(tmp_path)
    card = colours.card.model_copy(update={"labels": ("two\nlines", "b", "c", "d")})
    told: list[tuple[int, int]] = []
    done = convert(
        colours.network,
        card,
        folder,
        targets=("litert", "onnx"),
        name="shop",
        on_done=lambda *counts: told.append(counts),
    )
    (file,) = done.files
    assert isinstance(file, ConvertedFile)
    assert (file.target, file.precision, file.path) == ("onnx", "float32", folder / "shop.onnx")
    assert file.size_bytes == file.path.stat().st_size > 10_000
    (failure,) = done.failures
    assert (failure.target, failure.kind, failure.id) == ("litert", "Unsupported", "label.line-break")
    assert "line break" in failure.message
    assert failure.hint == "Rename the class."
    assert (folder / "shop.tflite").read_text() == "the file from before"
    assert names(folder) == {"shop.onnx", "shop.tflite"}, "nothing is left aside"
    assert told == [(1, 2), (2, 2)]
    assert tuple(capfd.readouterr()) == ("", ""), "converters talk; users do not hear it"


def test_a_missing_extra_is_said_with_the_command_that_installs_it(
    colours: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtra) as caught:
        convert(colours.network, colours.card, tmp_path, targets=("litert",))
    assert 'pip install "darkroom[litert]"' in str(caught.value)
    assert names(tmp_path) == set()


def test_an_unknown_target_is_refused_before_anything_is_written(colours: Trained, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Did you mean"):
        convert(colours.network, colours.card, tmp_path / "files", targets=("onnx", "litret"))
    assert names(tmp_path) == set()


def test_a_precision_that_a_format_lacks_is_refused(colours: Trained, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="int4"):
        convert(colours.network, colours.card, tmp_path, targets=("onnx",), precisions=("int4",))


def test_a_converter_that_ends_without_a_word_is_an_error_with_its_last_words(
    colours: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
    with pytest.raises(Unsupported, match=r"ended with code \d+. Its last words: \S"):
        convert(colours.network, colours.card, tmp_path, targets=("onnx",))
    assert names(tmp_path) == set()


def test_a_converter_without_room_on_the_disk_says_so_and_leaves_nothing(
    colours: Trained, tmp_path: Path
) -> None:
    save(tmp_path / "weights", colours.network, colours.card)
    size_bytes = (tmp_path / "weights").stat().st_size
    folder = tmp_path / "files"
    with (
        files_of_at_most(size_bytes + 1_000),
        pytest.raises(StorageFailed, match="File too large") as caught,
    ):
        convert(colours.network, colours.card, folder, targets=("onnx",))
    assert caught.value.id == "export.disk"
    assert "project clean" in caught.value.hint
    assert names(folder) == set()


def test_a_folder_that_cannot_be_made_is_said(colours: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="in the way|Not a directory|File exists"):
        convert(colours.network, colours.card, tmp_path / "file" / "deeper", targets=("onnx",))


def test_a_refusal_without_a_known_operation_gives_the_first_line_of_the_reason() -> None:
    error = refused(EXPORTERS["onnx"], ValueError("Shapes do not fit\nand more"))
    assert error.message == "The converter for ONNX refused the network: Shapes do not fit"


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=lambda exporter: exporter.name)
def test_each_exporter_names_an_extra_that_exists(exporter) -> None:
    import tomllib

    from tests.tree import ROOT

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert exporter.extra in extras
    exporter.require(exporter.precisions[0])
