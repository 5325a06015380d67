"""The house style that a machine can count: sizes, names, docstrings, exports, and what is never called."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tree import PACKAGE, ROOT, all_files, imported, label, parse, room_of, rooms, source_files

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
SHORT_FUNCTION = 15
NAMELESS = re.compile(r"(util|helper|common|core|base|manager|misc)s?")
"""A piece with such a name has no subject yet."""

NEVER_CALLED = {
    "print": "a result is returned, progress is reported to the workspace",
    "exit": "raise an error; the shell's face turns it into an exit code",
    "quit": "raise an error; the shell's face turns it into an exit code",
    "sys.exit": "raise an error; the shell's face turns it into an exit code",
    "os._exit": "nothing would be flushed",
    "input": "nothing is interactive",
    "eval": "data never runs",
    "exec": "data never runs",
    "torch.load": "weights are safetensors",
    "torch.save": "weights are safetensors",
    "yaml.load": "data never runs",
    "pickle.load": "no file is a pickle",
    "pickle.dump": "no file is a pickle",
}
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ALLOWED = {
    ("__main__", "sys.exit"): "it is the command",
    ("cli", "sys.exit"): "it is the command",
    ("engines", "pickle"): "what a process sends down a pipe to its own child is never a file",
    ("engines", "os._exit"): "a worker whose parent is gone has nobody left to answer",
}
"""Exceptions, by room, each with its reason."""


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def called(node: ast.Call) -> str:
    return ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def exported(room: str) -> list[str]:
    """Returns what a room exports: its `__all__`, which only a bare docstring may do without."""
    module = importlib.import_module(room)
    bare = module.__file__ is not None and len(parse(Path(module.__file__)).body) == 1
    return [] if bare else module.__all__


def test_no_file_is_longer_than_a_person_reads_in_one_go() -> None:
    lines = {label(path): len(path.read_text(encoding="utf-8").splitlines()) for path in all_files()}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    assert [
        f"{label(path)}:{node.lineno} {node.name}: {length(node)} lines"
        for path in all_files()
        for node in functions(path)
        if length(node) > LONGEST_FUNCTION
    ] == []


def test_most_functions_are_short() -> None:
    lengths = [length(node) for path in source_files() for node in functions(path)]
    assert statistics.median(lengths) < SHORT_FUNCTION


@pytest.mark.parametrize("path", all_files(), ids=label)
def test_each_file_opens_with_one_sentence_of_purpose(path: Path) -> None:
    opening = (ast.get_docstring(parse(path)) or "").partition("\n\n")[0]
    assert opening, f"{label(path)} has no docstring"
    assert opening[-1] in ".:?", f"{label(path)} opens with {opening!r}, which is no sentence"


def test_every_file_and_folder_is_named_after_its_subject() -> None:
    names = {part for path in source_files() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert {name for name in names if any(map(NAMELESS.fullmatch, name.split("_")))} == set()


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_no_file_calls_what_is_never_called(path: Path) -> None:
    calls = [(node.lineno, called(node)) for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
    assert [
        f"line {line}: {name}: {NEVER_CALLED[name]}"
        for line, name in calls
        if name in NEVER_CALLED and (room_of(path), name) not in ALLOWED
    ] == []


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_no_file_reads_or_writes_pickles(path: Path) -> None:
    modules = {name for _, name in imported(path)} & NEVER_IMPORTED
    assert {name for name in modules if (room_of(path), name) not in ALLOWED} == set()
    opened = [
        keyword.value.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
    ]
    assert opened == []


@pytest.mark.parametrize("room", rooms())
def test_a_room_exports_what_it_says(room: str) -> None:
    names = exported(room)
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(importlib.import_module(room), name)] == []


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=label)
def test_a_room_says_everything_that_it_exports(path: Path) -> None:
    own = f"darkroom.{path.parent.name}."
    bound: set[str] = set()
    for node in parse(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(own):
            bound |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    public = {name for name in bound if not name.startswith("_")}
    assert public - set(exported(own.rstrip("."))) == set()


@pytest.mark.parametrize("room", rooms())
def test_everything_public_says_what_it_is(room: str) -> None:
    module = importlib.import_module(room)
    public = {name: getattr(module, name) for name in exported(room)}
    assert [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not (value.__doc__ or "").strip()
    ] == []


def test_no_file_holds_a_path_of_the_machine_it_was_written_on() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone, so nothing says which files belong to it")
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    paths = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert paths
    here = str(ROOT).encode() + b"/"
    assert [label(path) for path in paths if here in path.read_bytes()] == []
