"""Read a Google docstring: its summary, its description, and its Args."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

__all__ = ["Docstring", "as_sentence", "read_docstring"]


class Docstring(NamedTuple):
    """The parts of a docstring that the faces show."""

    summary: str
    description: str
    args: dict[str, str]


def as_sentence(text: str) -> str:
    """Returns a text with a capital at its head, unless it begins with a name that it explains."""
    first = text.split(" ", 1)[0]
    return text if first.endswith((":", ";")) else text[:1].upper() + text[1:]


def read_docstring(text: str | None) -> Docstring:
    """Splits a Google docstring into summary, description and the sentences under Args."""
    lines = inspect.cleandoc(text or "").splitlines()
    summary = lines[0].strip() if lines else ""
    description: list[str] = []
    args: dict[str, str] = {}
    section = ""
    name = ""
    for line in lines[1:]:
        heading = re.fullmatch(r"(\w+):", line)
        if heading:
            section = heading[1]
        elif section == "Args":
            found = re.fullmatch(r"    (\w+): (.*)", line)
            if found:
                name, args[found[1]] = found[1], found[2]
            elif name and line.strip():
                args[name] += f" {line.strip()}"
        elif not section:
            description.append(line)
    return Docstring(summary, "\n".join(description).strip(), args)
