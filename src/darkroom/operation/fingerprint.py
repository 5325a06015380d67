"""What decides a stage's result, as one hash; and in words what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from darkroom.operation.table import Operation
from darkroom.records import Config, canonical_json, content_id, plain

__all__ = ["differences", "fingerprint", "fingerprint_parts", "library_versions"]


def fingerprint_parts(
    operation: Operation, request: Config, *, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Returns everything that decides a result: what the fingerprint covers.

    Args:
        operation: the operation.
        request: its request, defaults filled and references resolved.
        inputs: content ids of what it reads, by name.
    """
    return {
        "operation": operation.name,
        "version": operation.version,
        "request": {
            name: value for name, value in plain(request).items() if name not in operation.indifferent
        },
        "inputs": dict(inputs),
        "libraries": library_versions(operation.libraries),
    }


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Returns the sha256 over the canonical JSON of the parts, in hex."""
    return content_id(parts)


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Returns the installed version of each package, "absent" for one that is not there."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns one line per part that changed: "request.recipe.epochs: 30 → 40"."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    lines = []
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            lines.append(f"{key}: {_short(old.get(key))} → {_short(new.get(key))}")
    return lines


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(item, Mapping):
            yield from _leaves(item, here)
        else:
            yield here, canonical_json(item)


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= 40 else f"{text[:28]}…{text[-8:]}"
