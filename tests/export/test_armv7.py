"""32-bit ARM: refused where it cannot be built, and built, run and compared where it can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors, ModelFile, read_bundle, write_bundle
from darkroom.errors import DarkroomError, NotFound, Unsupported
from darkroom.export import armv7, armv7_parity
from darkroom.export.armv7_parity import compare
from darkroom.export.conversion import convert
from darkroom.export.reference import TorchReference
from darkroom.records import Limits
from darkroom.serving import open_session
from darkroom.workspace import Workspace
from tests.export import models, tiny_masks
from tests.export.models import Trained
from tests.operations.clone_projects import DATASET, QUICK, call, digits_project

KEPT = os.environ.get("TEST_ARMV7_ROOT", "")
"""A folder that was set up before, so that it is not built anew."""

NO_DEBIAN = not Path("/etc/debian_version").is_file() or os.geteuid() != 0


def test_without_debian_s_tools_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(armv7.shutil, "which", lambda _: None)
    with pytest.raises(Unsupported, match="this machine is no Debian"):
        armv7.set_up(tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def test_without_the_rights_of_root_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian = tmp_path / "debian_version"
    debian.write_text("12\n")
    monkeypatch.setattr(armv7, "DEBIAN", debian)
    monkeypatch.setattr(armv7.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(armv7.os, "geteuid", lambda: 1000)
    with pytest.raises(Unsupported, match="needs the rights of root.*sudo darkroom export armv7-setup"):
        armv7.set_up(tmp_path / "root")


def test_where_nothing_was_set_up_it_is_said_how(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="darkroom export armv7-setup"):
        armv7.find_root(tmp_path)


def test_links_of_a_system_begin_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "loader.so").write_text("here")
    (tmp_path / "loader").symlink_to("/usr/lib/loader.so")
    (tmp_path / "usr" / "same").symlink_to("lib/loader.so")
    armv7.relink(tmp_path)
    assert [(tmp_path / name).read_text() for name in ("loader", "usr/same")] == ["here", "here"]
    assert str((tmp_path / "loader").readlink()) == "usr/lib/loader.so"


def outside(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs darkroom with the network, which tests refuse."""
    source = str(Path(armv7.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    return subprocess.run(
        [sys.executable, "-m", "darkroom", *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Debian for 32-bit ARM, built once, removed at the end."""
    if KEPT:
        yield Path(KEPT)
        return
    if NO_DEBIAN:
        pytest.skip("building Debian for 32-bit ARM needs Debian and root")
    folder = tmp_path_factory.mktemp("armv7") / "root"
    run = outside("export", "armv7-setup", "--folder", str(folder))
    assert run.returncode == 0, run.stdout + run.stderr
    yield folder
    shutil.rmtree(folder)  # pytest would keep it for three runs


@pytest.mark.slow
@pytest.mark.skipif(NO_DEBIAN, reason="building Debian for 32-bit ARM needs Debian and root")
def test_a_mirror_that_does_not_answer_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "place" / "root"
    run = outside("export", "armv7-setup", "--folder", str(folder), "--mirror", "http://127.0.0.1:9/debian")
    assert run.returncode != 0
    assert "Fetching Debian for 32-bit ARM failed" in run.stderr
    assert "http://127.0.0.1:9/debian" in run.stderr
    assert "It needs a network" in run.stderr
    assert list(folder.parent.iterdir()) == []


@pytest.mark.slow
def test_files_of_each_precision_answer_on_32_bit_arm_as_pytorch_does(root: Path, tmp_path: Path) -> None:
    trained: Trained = models.colours()
    np.save(tmp_path / "calibration.npy", trained.images[200:])
    done = convert(
        trained.network, trained.card, tmp_path, targets=["litert"],
        precisions=("float32", "float16", "int8"), calibration=tmp_path / "calibration.npy",
    )  # fmt: skip
    reference = TorchReference(trained.network, trained.card)
    golden = GoldenVectors.synthetic(trained.card.contract)
    golden = golden.answered(reference.run(golden.tensors).probabilities)
    write_bundle(
        tmp_path / "bundle",
        name="colours",
        card=trained.card,
        models=[ModelFile(file.path, "litert", file.precision) for file in done.files],
        golden=golden,
    )
    bundle = read_bundle(tmp_path / "bundle")
    report = compare(
        root, armv7.find_root(root), bundle, bundle.models, reference, trained.images[:200], Limits()
    )
    assert report.passes, report.failures
    files = {file.precision: file for file in report.files}
    assert files.keys() == {"float32", "float16", "int8"}
    found = files["float32"]
    assert (report.image_count, report.golden_count) == (200, 12)
    assert found.agreement == 1.0
    assert found.relative <= 1e-4
    assert found.golden_wrong == ()
    assert "tflite-runtime 2.14.0" in report.spoken

    wrong = np.roll(trained.images[:40], 1, axis=-1)
    exact = [model for model in bundle.models if model.precision == "float32"]
    swapped = compare(root, armv7.find_root(root), bundle, exact, _Channels(reference), wrong, Limits())
    assert not swapped.passes, "another order of the channels must be noticed"


@pytest.mark.slow
def test_verify_of_a_project_s_bundle_on_32_bit_arm_ends_with_7_when_a_limit_is_missed(
    root: Path, tmp_path: Path
) -> None:
    workspace = digits_project(tmp_path, 300, armv7=str(root), workers=1)
    run = call(workspace, "model.train", dataset=DATASET, recipe={"network": "lenet5", **QUICK}).run
    call(workspace, "export.convert", run=run, targets=("litert",))
    found = call(workspace, "export.verify", target="armv7")
    assert (found.passed, found.exit_code, found.target) == (True, 0, "armv7"), found.why
    assert found.images == 200
    assert (workspace.root / found.page).is_file()

    toml = workspace.root / "darkroom.toml"
    toml.write_text(f"{toml.read_text()}\n[brief.limits]\nparity_max_abs = 1e-12\n")
    strict = Workspace(workspace.root, settings=workspace.settings)
    missed = call(strict, "export.verify", target="armv7")
    assert (missed.passed, missed.exit_code) == (False, 7)
    assert "A probability differs by" in missed.why[0]


class _Channels:
    """Answers to pictures whose channels are the other way round."""

    def __init__(self, reference: TorchReference) -> None:
        self.reference, self.title, self.threads = reference, "turned round", 1

    def run(self, tensors: np.ndarray):
        return self.reference.run(tensors[..., ::-1].copy())


def test_masks_are_asked_for_some_at_a_time_and_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(tiny_masks.bundle(tmp_path, card=tiny_masks.CARD))
    tensors = tiny_masks.batch(7).tensors
    asked: list[int] = []

    def here(root: Path, script: Path, model: Path, part: np.ndarray) -> np.ndarray:
        asked.append(len(part))
        found = open_session(model).run(part).probabilities.copy()
        found[:, 0, 0] = found[:, 0, 0, ::-1]
        return found

    facts = armv7.Armv7Root(suite="here", runtime="here")
    given = (tmp_path, facts, bundle, bundle.models, tiny_masks.Numpy(), tensors, Limits())
    whole = compare(*given, ask=here)
    cells = 3 * tiny_masks.CONTRACT.height_px * tiny_masks.CONTRACT.width_px
    monkeypatch.setattr(armv7_parity, "MOST_CELLS", 3 * cells)
    parts = compare(*given, ask=here)
    assert asked == [11, 3, 3, 3, 2], "4 golden vectors and 7 pictures"
    assert parts.files == whole.files
    [file] = parts.files
    assert 0.98 < file.agreement < 1
    assert file.golden_wrong
    assert file.failures


@pytest.mark.slow
def test_a_file_that_is_none_is_told_with_the_last_words(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tflite").write_bytes(b"TFL3" * 9)
    with pytest.raises(DarkroomError, match="cut.tflite stopped on 32-bit ARM"):
        armv7.run_there(
            root, armv7.script_of(tmp_path), tmp_path / "cut.tflite", np.zeros((1, 4, 4, 3), np.uint8)
        )


def test_the_script_of_an_older_bundle_is_that_of_today(tmp_path: Path) -> None:
    assert armv7.script_of(tmp_path).name == "bench.py"
    (tmp_path / "bench.py").write_text("")
    assert armv7.script_of(tmp_path) == tmp_path / "bench.py"
