"""A report as PDF, typeset by Typst from the same blocks; texts travel as data and are never code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from darkroom.documents.blocks import Block, Drawing, Fold, Paper, Pictures, Table, Text
from darkroom.documents.picture import picture
from darkroom.errors import MissingExtra

__all__ = ["pdf"]

SUFFIXES = {"data:image/png": "png", "data:image/jpeg": "jpg", "data:image/gif": "gif"}


def pdf(paper: Paper, form: Literal["pdf", "png"] = "pdf") -> bytes:
    """Returns a report as PDF, or its first page as a picture.

    Args:
        paper: the report.
        form: png is for looking at it.

    Raises:
        MissingExtra: typst is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise MissingExtra(
            "documents.no-typst",
            "typst is not installed, so no PDF is written.",
            do='pip install "darkroom[documents]"',
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        template = resources.files("darkroom.documents").joinpath("templates/paper.typ")
        (root / "paper.typ").write_bytes(template.read_bytes())
        facts = {
            "title": paper.title,
            "kind": paper.kind,
            "lead": paper.lead,
            "sections": [
                {"title": section.title, "blocks": _blocks(root, section.blocks)}
                for section in paper.sections
            ],
        }
        (root / "paper.json").write_text(json.dumps(facts), encoding="utf-8")
        compiler = typst.Compiler(root / "paper.typ", root=root)
        pages: Any = compiler.compile(format=form, ppi=110.0 if form == "png" else None)
    return bytes(pages[0] if isinstance(pages, list) else pages)


def _blocks(root: Path, blocks: Iterable[Block]) -> list[dict[str, Any]]:
    return [_block(root, block) for block in blocks]


def _block(root: Path, block: Block) -> dict[str, Any]:
    match block:
        case Text(text, kind):
            return {"is": "text", "text": text, "kind": kind}
        case Table():
            return {
                "is": "table",
                "caption": block.caption,
                "columns": list(block.columns),
                "right": sorted(block.right),
                "rows": [
                    [{"text": cell.text, "small": cell.small, "tone": cell.tone} for cell in row]
                    for row in block.rows
                ],
            }
        case Drawing():
            name = _kept(root, block.draw("png"), "png")
            return {"is": "drawing", "file": name, "title": block.title, "words": block.words}
        case Pictures():
            items = [{"file": _thumbnail(root, item.data), "words": item.words} for item in block.items]
            return {"is": "pictures", "items": items}
        case Fold(title, inner):
            return {"is": "fold", "title": title, "blocks": _blocks(root, inner)}


def _thumbnail(root: Path, data: bytes | None) -> str:
    """Returns the name of a picture's file; empty for one that cannot be shown."""
    found = picture(data)
    suffix = SUFFIXES.get(found.uri.partition(";")[0], "") if found else ""
    return _kept(root, data, suffix) if data is not None and suffix else ""


def _kept(root: Path, data: bytes, suffix: str) -> str:
    name = f"{len(list(root.iterdir()))}.{suffix}"
    (root / name).write_bytes(data)
    return name
