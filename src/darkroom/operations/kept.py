"""Read back what the project keeps for itself, and say so when it is gone or is not what was written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from darkroom.errors import Damaged

if TYPE_CHECKING:
    from darkroom.export import ParityReport
    from darkroom.export.choice_report import PrecisionReport

__all__ = ["kept_json", "kept_parity", "kept_toml", "kept_tried"]

T = TypeVar("T")


def kept_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        Damaged: it is gone, or is not what was written.
    """
    return _kept(path, lambda data: _table(json.loads(data)))


def kept_toml(path: Path) -> dict[str, Any]:
    """Returns the content of a TOML file.

    Raises:
        Damaged: it is gone, or is not what was written.
    """
    return _kept(path, lambda data: tomllib.loads(data.decode()))


def kept_parity(path: Path) -> ParityReport:
    """Returns the parity report of a bundle.

    Raises:
        Damaged: it is gone, or is not what was written.
    """
    from darkroom.export import ParityReport

    return _kept(path, ParityReport.model_validate_json)


def kept_tried(path: Path) -> PrecisionReport:
    """Returns the report of the precisions that were tried for a bundle.

    Raises:
        Damaged: it is gone, or is not what was written.
    """
    from darkroom.export.choice_report import PrecisionReport

    return _kept(path, PrecisionReport.model_validate_json)


def _table(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("expected an object")
    return found


def _kept(path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(path.read_bytes())
    except FileNotFoundError:
        why = "it is gone"
    except IsADirectoryError:
        why = "it is a folder"
    except (ValueError, RecursionError):
        why = "it is cut short, or somebody changed it"
    raise Damaged(
        "project.file-damaged",
        "{path} cannot be read: {why}.",
        do="Let its stage write it again: darkroom run --again STAGE (darkroom status names the stages).",
        path=path,
        why=why,
    )
