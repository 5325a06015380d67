"""The face for Python and Jupyter: `project.model.train(dataset="digits@1")`, one call per operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from darkroom.errors import NotFound, nearest
from darkroom.operation import NOUNS, find_operation, operations
from darkroom.records import Config, Result

if TYPE_CHECKING:
    from darkroom.workspace import Progress, Workspace

__all__ = ["Noun", "Project"]


class Noun:
    """The operations of one noun as methods.

    Args:
        workspace: the project that they work on.
        name: the noun; "" for operations on the whole project.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace = workspace
        self._name = name

    def __getattr__(self, verb: str) -> Callable[..., Result]:
        if verb.startswith("_"):
            raise AttributeError(verb)
        operation = find_operation(f"{self._name}.{verb}" if self._name else verb)

        def call(**values: object) -> Result:
            if operation.needs_project and not operation.anywhere:
                self._workspace.refuse_no_project()
            plain = {key: _plain(value) for key, value in values.items()}
            request = operation.validate(plain)
            result = operation.call(self._workspace, request)
            draw = partial(_drawn, self._workspace, operation.name, request, result.model_copy())
            return result.drawn_by(draw)

        call.__name__ = verb
        call.__doc__ = operation.function.__doc__
        call.__wrapped__ = operation.function  # type: ignore[attr-defined]
        return call

    def __dir__(self) -> list[str]:
        return [operation.verb for operation in operations(self._name).values()]


class Project:
    """A project opened from Python; each noun is an attribute, each operation a method.

    Args:
        path: the project's folder, or one inside it.
        listener: called with every progress report.

    Raises:
        NotFound: there is no project.
    """

    def __init__(
        self, path: Path | str = ".", *, listener: Callable[[Progress], None] | None = None
    ) -> None:
        from darkroom.workspace import Workspace

        self.workspace = Workspace.open(path, listener=listener)

    @classmethod
    def outside(
        cls, folder: Path | str = ".", *, listener: Callable[[Progress], None] | None = None
    ) -> Project:
        """Returns the face for what needs no project: `init`, `quickstart`, lists of networks and weights.

        Args:
            folder: where relative paths start.
            listener: called with every progress report.
        """
        from darkroom.workspace import Workspace

        found = cls.__new__(cls)
        found.workspace = Workspace(Path(folder), listener=listener)
        return found

    def __getattr__(self, name: str) -> Noun | Callable[..., Result]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in NOUNS:
            return Noun(self.workspace, name)
        if name in operations(""):
            return getattr(Noun(self.workspace, ""), name)
        raise NotFound(
            "project.no-noun",
            "A project has no {name!r}.{meant}",
            do="Nouns: {nouns}.",
            name=name,
            meant=nearest(name, [*NOUNS, *operations("")]),
            nouns=", ".join(noun for noun in NOUNS if noun),
        )

    def __dir__(self) -> list[str]:
        return [*(noun for noun in NOUNS if noun), *operations(""), "workspace", "close"]

    def close(self) -> None:
        """Closes the project's catalogue."""
        self.workspace.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drawn(workspace: Workspace, operation: str, request: Config, result: Result) -> str:
    """Returns what a notebook shows of a result."""
    from darkroom.operations.notebook import html_of

    return html_of(workspace, operation, request, result)


def _plain(value: object) -> object:
    """Returns a model as the values it was made of, so that it is checked like everything else."""
    return value.model_dump() if isinstance(value, Config) else value
