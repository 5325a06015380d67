"""Say why a stage runs again as a person would: what was changed, not which hash differs."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["spoken_reasons"]

CONTENT = re.compile(r"inputs\.(dataset|run|source|bundle) (.+): (.+) → (.+)")
HASH = re.compile(r'"[0-9a-f]{12,}(…[0-9a-f]{4,})?"')
NUMBER = re.compile(r'"(\d{1,9})"')
REQUEST = re.compile(r"^((?:\d+\.)?)request\.")

SPOKEN = {
    "inputs.files": "files of the folder",
    "inputs.picture ids": "the set of pictures",
    "inputs.forgotten": "the list of forgotten pictures",
    "inputs.brief": "[brief]",
    "inputs.brief.limits": "[brief.limits]",
    "inputs.brief.mistakes": "[[brief.mistakes]]",
    "inputs.brief.rules": "[[brief.rules]]",
    "inputs.brief.human_baseline": "human_baseline of [brief]",
    "inputs.brief.card": "words of [brief] that travel in the model card",
}
"""What an input is called where people read it."""


def spoken_reasons(lines: Iterable[str]) -> tuple[str, ...]:
    """Returns the differences of two fingerprints in words, the plain ones first.

    Args:
        lines: "request.recipe.epochs: 30 → 40", "inputs.files: "1f…" → "2a…"", …
    """
    named = [line for line in lines if not CONTENT.search(line)]
    spoken = [_spoken(line) for line in named]
    for line in lines:
        found = CONTENT.search(line)
        if found and "nothing" not in found.group(3, 4):
            spoken.append(f"{found[1]} {found[2]} changed")
        elif found and not named:
            spoken.append(f"{found[1]} {found[2]}: {'new' if found[3] == 'nothing' else 'no longer used'}")
    return tuple(dict.fromkeys(spoken))


def _spoken(line: str) -> str:
    name, _, change = line.partition(": ")
    name = REQUEST.sub(r"\1", name)
    if HASH.search(change):
        return f"{SPOKEN.get(name, name.removeprefix('inputs.'))} changed"
    if name.startswith("libraries."):
        return f"version of {name.removeprefix('libraries.')}: {change}"
    plain = NUMBER.sub(r"\1", change)
    return f"{name.removeprefix('inputs.')}: {plain}"
