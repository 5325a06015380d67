"""The wheel holds the whole package and nothing else, and works without the source beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tree import OFFLINE, PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    # hatchling leaves out what .gitignore matches: a pattern too wide would lose a room in silence
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    written = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == written
    assert {name.rpartition(".")[2] for name in held} <= {
        "java",
        "kt",
        "py",
        "toml",
        "typed",
        "html",
        "css",
        "mako",
        "typ",
    }


@pytest.mark.parametrize("name", ["messages/en.toml", "py.typed"])
def test_the_wheel_holds_what_is_not_python(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"darkroom/{name}" in archive.namelist()


def test_the_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert b"darkroom = darkroom.cli:main" in archive.read(f"{info}/entry_points.txt")
        assert b"License-Expression: Apache-2.0" in archive.read(f"{info}/METADATA")


def test_a_catalogue_is_made_from_the_wheel_alone(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import darkroom, sys\n"
        "from darkroom.catalogue import Catalogue\n"
        "Catalogue.open('sqlite:///catalogue.db', create=True).close()\n"
        "sys.stdout.write(darkroom.__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(unpacked), str(OFFLINE)])}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout).is_relative_to(unpacked)
    assert (tmp_path / "catalogue.db").stat().st_size > 0
