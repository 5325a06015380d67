"""Converting: each file in its own process, whole or not at all, and quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import MissingExtra, NotFound, StorageFailed, Unsupported
from darkroom.export import ConvertedFile
from darkroom.export.child import refused, write_file
from darkroom.export.conversion import convert
from darkroom.export.exporters import EXPORTERS
from darkroom.export.precisions import Recipe
from darkroom.networks.image_model import ImageModel
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


@pytest.mark.slow
def test_a_disk_that_fills_between_two_precisions_leaves_nothing_half_written_and_is_said(
    colours: Trained, tmp_path: Path
) -> None:
    folder, calibration = tmp_path / "files", tmp_path / "calibration.npy"
    np.save(calibration, colours.images[:40])
    plain = convert(colours.network, colours.card, tmp_path / "before", targets=("onnx",)).files[0]
    with files_of_at_most(plain.size_bytes + 20_000), pytest.raises(StorageFailed) as caught:
        convert(
            colours.network, colours.card, folder, targets=("onnx",), precisions=("float32", "int8"),
            calibration=calibration, every_recipe=True,
        )  # fmt: skip
    assert (caught.value.id, "project clean" in caught.value.hint) == ("export.disk", True)
    assert names(folder) == {"model.onnx"}, (
        "what was whole before the disk was full; no int8, nothing aside"
    )
    assert (folder / "model.onnx").read_bytes() == plain.path.read_bytes()


def test_a_folder_that_cannot_be_made_is_said(colours: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="in the way|Not a directory|File exists"):
        convert(colours.network, colours.card, tmp_path / "file" / "deeper", targets=("onnx",))


def write_untidily(model: ImageModel, card: object, path: Path, recipe: Recipe) -> None:
    """A converter whose library leaves its temporary files behind, as coremltools does when it is ended."""
    left = Path(tempfile.mkdtemp(suffix=".mlpackage"))
    assert left.parent == Path(os.environ["TMPDIR"]), "native code looks there"
    (left / "weights").write_bytes(bytes(1000))
    path.write_bytes(b"the file")
    if card is None:
        raise ValueError("no card")


@pytest.mark.parametrize("stops", [False, True])
def test_what_a_library_puts_aside_goes_with_the_conversion(
    colours: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    temporary, folder = tmp_path / "temporary", tmp_path / "files"
    temporary.mkdir()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.delenv("TMPDIR", raising=False)
    untidy = replace(EXPORTERS["onnx"], write=f"{__name__}:write_untidily")
    model, recipe = ImageModel.of(colours.network, colours.card), Recipe(precision="float32")
    if stops:
        with pytest.raises(Unsupported, match="no card"):
            write_file(untidy, model, None, folder / "shop.onnx", recipe)  # type: ignore[arg-type]
    else:
        write_file(untidy, model, colours.card, folder / "shop.onnx", recipe)
    assert names(temporary) == set()
    assert names(folder) == {"shop.onnx"}
    assert tempfile.tempdir == str(temporary)
    assert "TMPDIR" not in os.environ


def converters() -> list[int]:
    """Numbers of the processes that convert on behalf of this one."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                words = (place / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if parent == os.getpid() and b"darkroom.export.child" in words:
                found.append(int(place.name))
    return found


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS lists no processes in /proc")
@pytest.mark.parametrize(
    ("by", "words"),
    [
        (signal.SIGKILL, "was ended from outside by SIGKILL, as systems do that run out of memory"),
        (signal.SIGTERM, r"was ended from outside by SIGTERM\."),
        (signal.SIGSEGV, r"crashed \(SIGSEGV\)"),
    ],
    ids=["killed", "stopped", "crashed"],
)
def test_a_converter_that_is_ended_is_named_with_what_to_do_and_leaves_nothing(
    colours: Trained, tmp_path: Path, by: signal.Signals, words: str
) -> None:
    def kill() -> None:
        ends = time.monotonic() + 60
        while not (found := converters()) and time.monotonic() < ends:
            time.sleep(0.01)
        for one in found:
            os.kill(one, by)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(Unsupported, match=words) as caught:
        convert(colours.network, colours.card, tmp_path, targets=("onnx",))
    killer.join()
    assert caught.value.hint.endswith("--targets onnx")
    assert names(tmp_path) == set()


@pytest.mark.slow
def test_a_converter_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "request.json")  # reading it waits for ever: a converter that never ends
    with subprocess.Popen(
        [sys.executable, "-m", "darkroom.export.child", str(tmp_path / "request.json")],
        stdin=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        child.stdin.close()
        assert child.wait(120) == -signal.SIGTERM


def test_a_reason_of_a_single_endless_line_is_cut() -> None:
    error = refused(EXPORTERS["onnx"], ValueError("graph " * 10_000))
    assert len(error.message) < 500
    assert error.hint.endswith("--targets litert,executorch,coreml")


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
