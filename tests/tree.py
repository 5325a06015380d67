"""The project's own Python files, parsed once, for the tests that look at how they are written."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "darkroom"
OFFLINE = ROOT / "tests" / "offline"  # on PYTHONPATH, it keeps a child process off the network
MIGRATIONS = PACKAGE / "catalogue" / "migrations"  # written by a generator, and frozen once released


def source_files() -> list[Path]:
    """Returns the files of the package."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if MIGRATIONS not in path.parents]


def all_files() -> list[Path]:
    """Returns the files of the package, the tests, the benchmarks and the scripts."""
    others = (ROOT / folder for folder in ("tests", "benchmarks", "scripts"))
    return source_files() + sorted(path for folder in others for path in folder.rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    """Returns a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def label(path: Path) -> str:
    """Returns a file's name as a person would write it."""
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """Returns the room that a file of the package belongs to: its folder's name, or its own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms() -> list[str]:
    """Returns the names of all rooms, for example `darkroom.images`."""
    folders = (path.parent for path in PACKAGE.glob("*/__init__.py"))
    files = (path for path in PACKAGE.glob("*.py") if path.stem not in {"__init__", "__main__"})
    return sorted(f"darkroom.{path.stem}" for path in (*folders, *files))


def imported(path: Path) -> list[tuple[int, str]]:
    """Returns (line, top-level package) of each import in a file, those inside functions too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name.partition(".")[0]) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.lineno, (node.module or "").partition(".")[0]))
    return found
