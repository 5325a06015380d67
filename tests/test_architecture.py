"""Who may import whom: the arrows between rooms, heavy packages in their rooms only, and a light start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tree import PACKAGE, ROOT, all_files, imported, label, room_of, source_files

ROOMS_OF = {
    "alembic": {"catalogue"},
    "coremltools": {"export"},
    "cyclopts": {"cli"},
    "executorch": {"export"},
    "fastapi": {"server"},
    "httpx": {"cli"},
    "jinja2": {"documents"},
    "litert_torch": {"export"},
    "matplotlib": {"documents"},
    "onnx": {"export"},
    "optuna": {"tuning"},
    "psycopg": {"catalogue"},
    "ray": {"engines"},
    "rich": {"cli"},
    "segmentation_models_pytorch": {"networks"},
    "sqlalchemy": {"catalogue"},
    "starlette": {"server"},
    "tensorboard": {"training"},
    "torch": {"evaluation", "export", "networks", "training"},
    "torchvision": {"networks"},
    "uvicorn": {"server"},
}
"""Packages that only these rooms import."""

HEAVY = (
    "torch",
    "sqlalchemy",
    "matplotlib",
    "fastapi",
    "uvicorn",
    "httpx",
    "ray",
    "pandas",
    "jax",
    "pyarrow",
    "optuna",
)
"""Packages that the shell does without until an operation needs them."""

WITHOUT_TORCH = (
    "bundle",
    "catalogue",
    "datasets",
    "domain",
    "engines",
    "features",
    "formats",
    "images",
    "records",
    "serving",
    "sources",
)

USED_UNDER_ANOTHER_NAME = {
    "ipykernel": "Jupyter starts it for a notebook",
    "nbclient": "the lessons are notebooks, and the tests execute them",
    "onnxscript": "torch.onnx writes through it",
    "psycopg": "SQLAlchemy loads it for a postgresql:// address",
}
IMPORT_NAME = {
    "ai-edge-litert": "ai_edge_litert",
    "ai-edge-quantizer": "ai_edge_quantizer",
    "huggingface-hub": "huggingface_hub",
    "litert-torch": "litert_torch",
    "pillow": "PIL",
    "python-docx": "docx",
    "scikit-learn": "sklearn",
    "segmentation-models-pytorch": "segmentation_models_pytorch",
}


def loaded_by(*arguments: str) -> set[str]:
    """Returns the top-level packages that a fresh interpreter has loaded at the end."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=False
    )
    names = re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", run.stderr, re.MULTILINE)
    assert run.returncode == 0, run.stderr[-2000:]
    return {name.partition(".")[0] for name in names}


def test_arrows_between_rooms_go_down() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    room = room_of(path)
    strays = [
        (line, name) for line, name in imported(path) if name in ROOMS_OF and room not in ROOMS_OF[name]
    ]
    assert strays == []


def test_the_shell_starts_light() -> None:
    loaded = loaded_by("-c", "import darkroom.cli")
    assert "darkroom" in loaded
    assert loaded & set(HEAVY) == set()


def test_asking_for_help_loads_nothing_heavy() -> None:
    loaded = loaded_by(str(Path(sys.executable).with_name("darkroom")), "--help")
    assert "darkroom" in loaded
    assert loaded & set(HEAVY) == set()


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_a_room_that_predicts_or_keeps_books_loads_no_torch(room: str) -> None:
    code = (
        "import importlib, json, pkgutil, sys\n"
        f"room = importlib.import_module('darkroom.{room}')\n"
        "for found in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
        "    if '.migrations' not in found.name: importlib.import_module(found.name)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(run.stdout)
    assert f"darkroom.{room}" in loaded
    assert {"torch", "litert_torch"} & set(loaded) == set()


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    in_tests = [one for ones in extras.values() for one in ones]
    in_source = [one for extra, ones in extras.items() if extra != "dev" for one in ones]
    own = {"darkroom", "tests", *(path.stem for path in all_files()), *sys.stdlib_module_names}
    for files, optional in ((source_files(), in_source), (all_files(), in_tests)):
        named = [re.split(r"[\[<>=~!]", one)[0] for one in (*project["dependencies"], *optional)]
        declared = {IMPORT_NAME.get(name, name) for name in named}
        assert {name for path in files for _, name in imported(path)} - declared - own == set()


def test_every_dependency_is_used_and_says_for_what() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [
        one for extra, ones in extras.items() if extra not in {"all", "dev"} for one in ones
    ]
    used = {
        name for path in [*source_files(), *PACKAGE.rglob("migrations/*.py")] for _, name in imported(path)
    }
    for requirement in wanted:
        name = re.split(r"[\[<>=~!]", requirement)[0]
        assert IMPORT_NAME.get(name, name) in used or name in USED_UNDER_ANOTHER_NAME, (
            f"{name} is not imported"
        )
        assert re.search(rf'"{re.escape(requirement)}", +# \S', text), (
            f"{requirement} does not say what it is for"
        )
