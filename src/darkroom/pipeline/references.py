"""From "@prepare" to the names that a stage gave, and from names to the content behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_origin

from pydantic.fields import FieldInfo

from darkroom.errors import Damaged, InvalidConfig, NotFound, nearest
from darkroom.operation import Operation
from darkroom.operation.vocabulary import bare, is_produced, reference_kind, without_none
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Config
from darkroom.workspace import Workspace

__all__ = ["StageResults", "content_ids", "produced_paths", "resolve", "still_there"]


class StageResults:
    """What the stages before this one gave, by stage name."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Operation, list[Mapping[str, Any]]]] = {}

    def put(self, stage: str, operation: Operation, results: list[Mapping[str, Any]]) -> None:
        """Keeps the results of a stage."""
        self._given[stage] = (operation, results)

    def named(self, stage: str, kind: str) -> list[str]:
        """Returns the names of one kind that a stage gave.

        Raises:
            NotFound: no stage before this one has that name.
            InvalidConfig: the stage gives nothing of that kind.
        """
        if stage not in self._given:
            raise NotFound(
                "stage.unknown",
                'No stage "{stage}" before this one.{meant} A stage can only take what stands above it.',
                do="Name a stage that stands above, or move this one down. See: darkroom status",
                stage=stage,
                meant=nearest(stage, self._given),
            )
        operation, results = self._given[stage]
        names = [name for result in results for name in _names(operation, result, kind)]
        if not names:
            raise InvalidConfig(
                "stage.gives-no-such-thing",
                'Stage "{stage}" ({operation}) gives no {kind}.',
                do="Name the stage that makes one; see what each gives: docs/reference/operations.md",
                stage=stage,
                operation=operation.name,
                kind=kind,
            )
        return names


def resolve(operation: Operation, request: Mapping[str, Any], given: StageResults) -> dict[str, Any]:
    """Returns a stage's request with each "@stage" replaced by what that stage gave.

    Raises:
        NotFound: a stage named does not stand above.
        InvalidConfig: a stage gives nothing of the kind, or several where one is wanted.
    """
    annotations = {parameter.name: parameter.annotation for parameter in operation.parameters}
    resolved = dict(request)
    for name, value in request.items():
        kind = reference_kind(annotations.get(name))
        if kind is not None:
            resolved[name] = _resolved(value, kind, name, _takes_several(annotations[name]), given)
    return resolved


def content_ids(workspace: Workspace, operation: Operation, request: Config) -> dict[str, str]:
    """Returns the content behind everything that a request names: "dataset digits@1" → hash.

    Raises:
        NotFound: something named is not there (any more).
    """
    found: dict[str, str] = {}
    for parameter in operation.parameters:
        kind = reference_kind(parameter.annotation)
        value = getattr(request, parameter.name)
        for name in (value if isinstance(value, tuple) else (value,)) if kind else ():
            if name is not None:
                found[f"{kind} {name}"] = _content(workspace, str(kind), name)
    return found


def produced_paths(operation: Operation, result: Mapping[str, Any]) -> Iterator[str]:
    """Yields the paths inside the project that a result says were made."""
    for name, info in operation.result.model_fields.items():
        value = result.get(name)
        if value and is_produced(_annotation(info)):
            yield from value if isinstance(value, list | tuple) else [value]


def still_there(workspace: Workspace, operation: Operation, result: Mapping[str, Any]) -> str:
    """Returns what of a result is gone, in words; empty when everything is there."""
    for path in produced_paths(operation, result):
        if not (workspace.root / path).exists():
            return f"{path} was removed"
    for kind in ("dataset", "run", "source", "bundle"):
        for name in _names(operation, result, kind):
            try:
                _content(workspace, kind, name)
            except NotFound:
                return f"{kind} {name} was removed"
            except Damaged:
                return f"{kind} {name} was changed by hand"
    return ""


def _resolved(value: Any, kind: str, parameter: str, several: bool, given: StageResults) -> Any:
    texts = list(value) if isinstance(value, list | tuple) else [value]
    names: list[Any] = []
    for text in texts:
        if isinstance(text, str) and text.startswith("@"):
            names += given.named(text[1:], kind)
        else:
            names.append(text)
    if several:
        return names
    if len(names) > 1:
        raise InvalidConfig(
            "stage.too-many",
            '"{parameter}" takes one {kind}; {value} gives {count}: {names}.',
            do="Choose one of them with a stage model.select before this one.",
            parameter=parameter,
            kind=kind,
            value=value,
            count=len(names),
            names=", ".join(names),
        )
    return names[0]


def _takes_several(annotation: Any) -> bool:
    return get_origin(bare(without_none(bare(annotation)))) is tuple


def _names(operation: Operation, result: Mapping[str, Any], kind: str) -> Iterator[str]:
    for name, info in operation.result.model_fields.items():
        value = result.get(name)
        if value and reference_kind(_annotation(info)) == kind:
            yield from value if isinstance(value, list | tuple) else [value]


def _annotation(info: FieldInfo) -> Any:
    """Returns a field's type with its marks, which pydantic keeps apart."""
    annotation: Any = info.annotation
    for mark in info.metadata:
        annotation = Annotated[annotation, mark]
    return annotation


def _content(workspace: Workspace, kind: str, name: str) -> str:
    catalogue = workspace.catalogue
    if kind == "dataset":
        return catalogue.datasets.get(name).content
    if kind == "source":
        return catalogue.sources.get(name).path
    if kind == "bundle":
        return _bundle_content(workspace, name)
    run = catalogue.runs.get(name)
    refuse_lost_run(workspace, run)
    return run.key


def _bundle_content(workspace: Workspace, name: str) -> str:
    """Returns the content of a bundle whose folder still holds what was written."""
    from darkroom.bundle.manifest import file_problem

    found = workspace.catalogue.bundles.get(name)
    for file in found.manifest.files:
        problem = file_problem(workspace.root / found.path, file)
        if problem:
            raise Damaged(
                "bundle.changed",
                "Bundle {name} is not what was written: {file}: {problem}.",
                do="Make it again: darkroom run",
                name=name,
                file=file.path,
                problem=problem,
            )
    return found.manifest.id
