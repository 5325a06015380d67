"""Every option of every command with nonsense in it: an answer or an error in words, never a defect."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.cli.values import Option, options
from darkroom.operation import Operation, operations
from tests.bad_input.test_pictures import Said, darkroom
from tests.datasets.projects import scanned

LEFT_OUT = {"serve", "quickstart", "job.wait"}
"""They wait, or work for minutes."""

NONSENSE = ("\0", "nan", "9" * 30, "a" * 5000)
MORE_NONSENSE = (
    "", "-1", "1e400", "\u202eabc", "a" * 300, "../../../etc/passwd", "/dev/null", "~nobody/x", "a\nb",
    '{"a":1}', "@prepare", "r-01", "digits@99", "%s {x}", "{0}", "\udcff",
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    workspace, _ = scanned(tmp_path / "p", {"cat": 2, "dog": 2})
    workspace.close()
    return tmp_path / "p"


@pytest.mark.slow
def test_no_option_of_a_quick_command_breaks_on_nonsense(place: Path) -> None:
    assert sum(try_all(place, one, NONSENSE) for one in commands(slow=False)) > 130


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_option_of_any_command_breaks_on_much_nonsense(place: Path) -> None:
    tried = sum(try_all(place, one, MORE_NONSENSE) for one in commands(slow=False))
    tried += sum(try_all(place, one, NONSENSE) for one in commands(slow=True))
    assert tried > 600


def commands(*, slow: bool) -> list[Operation]:
    return [one for one in operations().values() if one.slow == slow and one.name not in LEFT_OUT]


def try_all(place: Path, operation: Operation, nonsense: tuple[str, ...]) -> int:
    """Types a command with each option set to each piece of nonsense; returns how often."""
    found = list(options(operation))
    tried = 0
    for option in found:
        for value in () if option.is_switch or "." in option.path else nonsense:
            words = [f"{other.flag}={meant(other)}" for other in found if other.path != option.path]
            words = [word for word in words if not word.endswith("=")]
            said = darkroom(place, *operation.name.split("."), *words, f"{option.flag}={value}", "--json")
            refuse_defect(said, operation.name, option.flag, value)
            tried += 1
    return tried


def meant(option: Option) -> str:
    """Returns something sensible for an option that must be given, else nothing."""
    if option.path == "images":
        return "pictures/cat/0.png"
    return "x" if repr(option.default) == "<class 'inspect._empty'>" else ""


def refuse_defect(said: Said, *what: str) -> None:
    assert said.code != 1, (what, said.err[:500])
    assert "Traceback" not in said.err, what
    assert said.code in {0, 7} or '"hint"' in said.err, (what, said)


def test_a_folder_that_cannot_be_is_no_project(tmp_path: Path) -> None:
    for name in ("\0", "a" * 300, "a" * 5000, "/dev/null", "nowhere"):
        said = darkroom(tmp_path, "status", "--project", name, "--json")
        assert said.code in {2, 3}, said
    for name in ("\0", "a" * 300):
        assert darkroom(tmp_path, "init", name, "--json").code == 2
