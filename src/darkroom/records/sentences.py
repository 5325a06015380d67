"""The docstrings under the fields of a record, read from its source when somebody asks for them.

Reading them while the class is made, as pydantic can, costs every command a sixth of a second.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel

__all__ = ["field_sentences"]


def field_sentences(model: type[BaseModel]) -> Mapping[str, str]:
    """Returns what is said of each field of a model, "" for a field of which nothing is said.

    What `Field(description=…)` says goes before the docstring. A class without a source file (typed into
    a shell) has only the former.
    """
    written: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            written |= _under_fields(kind)
    return {name: info.description or written.get(name, "") for name, info in model.model_fields.items()}


@cache
def _under_fields(kind: type[BaseModel]) -> Mapping[str, str]:
    try:
        path = inspect.getsourcefile(kind)
        body = _classes(path).get(kind.__qualname__) if path else None
    except (TypeError, OSError, SyntaxError):
        return {}
    return dict(_documented(body)) if body else {}


@cache
def _classes(path: str) -> Mapping[str, ast.ClassDef]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 (a text of inspect)
        return dict(_inside(ast.parse(file.read()), ""))


def _inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _inside(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _inside(child, f"{prefix}{child.name}.<locals>.")
        else:
            yield from _inside(child, prefix)


def _documented(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, inspect.cleandoc(text.value.value)
