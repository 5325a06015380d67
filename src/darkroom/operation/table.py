"""The decorator that makes a plain typed function an operation, and the table of all operations."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import create_model
from pydantic.fields import FieldInfo

from darkroom.errors import NotFound, nearest
from darkroom.operation.docstring import Docstring, read_docstring
from darkroom.operation.vocabulary import is_known
from darkroom.records import STAGE_KEYS, Config, Result, validated

__all__ = ["NOUNS", "Operation", "Parameter", "find_operation", "operation", "operations"]

NOUNS: dict[str, tuple[tuple[str, ...], str]] = {
    "": (
        (
            "darkroom.pipeline.verbs",
            "darkroom.operations.prediction",
            "darkroom.operations.reporting",
            "darkroom.server.serve",
        ),
        "the whole project",
    ),
    "source": (("darkroom.operations.source",), "places that pictures come from"),
    "dataset": (
        (
            "darkroom.operations.dataset",
            "darkroom.operations.embedding",
            "darkroom.operations.alike",
        ),
        "frozen selections of pictures, with labels and splits",
    ),
    "model": (
        (
            "darkroom.operations.model",
            "darkroom.operations.estimating",
            "darkroom.operations.fine_tuning",
            "darkroom.operations.rates",
            "darkroom.operations.tune",
            "darkroom.operations.watching",
            "darkroom.operations.diagnosis",
            "darkroom.operations.network",
            "darkroom.operations.choosing",
            "darkroom.operations.comparing",
            "darkroom.operations.evaluation",
            "darkroom.operations.telling",
            "darkroom.operations.explaining",
            "darkroom.operations.neighbourhoods",
            "darkroom.operations.ask_lists",
            "darkroom.operations.noting",
            "darkroom.operations.run_table",
            "darkroom.operations.spreading",
            "darkroom.operations.calibrating",
            "darkroom.operations.domain",
            "darkroom.operations.quantising",
        ),
        "networks, training, evaluation",
    ),
    "brief": (("darkroom.operations.brief",), "the problem in words, and the limits that must hold"),
    "export": (
        (
            "darkroom.operations.export",
            "darkroom.operations.bench",
            "darkroom.operations.adopt",
            "darkroom.operations.armv7",
            "darkroom.operations.divergence",
        ),
        "files for other platforms, and the proof that they agree",
    ),
    "image": (
        (
            "darkroom.operations.image",
            "darkroom.operations.marking",
            "darkroom.operations.forgetting",
        ),
        "single pictures",
    ),
    "label": (
        ("darkroom.operations.label", "darkroom.operations.suspects"),
        "what was said about single pictures",
    ),
    "project": (("darkroom.operations.project",), "the space that a project takes"),
    "job": (("darkroom.jobs.verbs",), "slow operations at work, each in a process of its own"),
}
"""Each noun, the modules that hold its operations, and one line of help.

Operations of the noun "" are called by their verb alone: `darkroom init`.
"""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation."""

    name: str
    annotation: Any
    default: Any
    """`inspect.Parameter.empty` when it must be given."""
    doc: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Operation:
    """One operation and everything that the faces derive from its signature."""

    name: str
    function: Callable[..., Result]
    version: int
    slow: bool
    stage: int | None
    """Number of the life cycle's stage that it belongs to, 1 to 10."""
    libraries: tuple[str, ...]
    """Packages whose versions can change its result."""
    inputs: Callable[..., Mapping[str, str]] | None
    """What it reads beside its request: name → content id."""
    positional: tuple[str, ...]
    """Parameters that the shell takes by place."""
    indifferent: tuple[str, ...]
    """Parameters that do not change the result, such as `rehash`; no part of the fingerprint."""
    later: tuple[str, ...]
    """Parameters that came later: while they have their default, they are no part of the fingerprint."""
    needs_project: bool
    anywhere: bool
    """Whether it works without a project too; inside one it takes the project's."""
    over_http: bool
    """Whether the HTTP face has it; what makes a project or starts the server has no place there."""
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    result: type[Result]

    @cached_property
    def request(self) -> type[Config]:
        """The parameters as one model; unknown keys are refused. It is made when it is first asked for: the
        models of all operations would make each command a tenth of a second later.
        """
        return _request_model(self.name, self.parameters, self.later)

    @property
    def noun(self) -> str:
        """The part before the dot; empty for verbs alone, such as `init`."""
        return self.name.rpartition(".")[0]

    @property
    def verb(self) -> str:
        """The part after the dot."""
        return self.name.rpartition(".")[2]

    @property
    def words(self) -> str:
        """What the shell calls it: "model fine-tune"."""
        return self.name.replace(".", " ").replace("_", "-")

    @property
    def help_command(self) -> str:
        """The command that explains every parameter."""
        return f"darkroom {self.words} --help"

    def validate(self, values: Mapping[str, Any]) -> Config:
        """Returns the request that values make, defaults filled.

        Raises:
            InvalidConfig: a key is unknown, missing, or its value is not what was expected.
        """
        return validated(self.request, dict(values), where=self.name, explained=self.help_command)

    def call(self, workspace: Any, request: Config) -> Result:
        """Runs the operation with a validated request."""
        values = {parameter.name: getattr(request, parameter.name) for parameter in self.parameters}
        return self.function(workspace, **values)


_TABLE: dict[str, Operation] = {}


def operation(
    name: str,
    *,
    version: int = 1,
    slow: bool = False,
    stage: int | None = None,
    libraries: tuple[str, ...] = (),
    inputs: Callable[..., Mapping[str, str]] | None = None,
    positional: tuple[str, ...] = (),
    indifferent: tuple[str, ...] = (),
    later: tuple[str, ...] = (),
    needs_project: bool = True,
    anywhere: bool = False,
    over_http: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function as an operation.

    Args:
        name: noun.verb, or a verb alone for operations on the whole project.
        version: raised when the meaning changes; marks stages stale.
        slow: runs as a job over HTTP.
        stage: number of the life cycle's stage that it belongs to.
        libraries: packages whose versions can change the result.
        inputs: says what it reads beside its request, as name → content id.
        positional: parameters that the shell takes by place.
        indifferent: parameters that do not change the result.
        later: parameters that came after stages had run; their defaults make no stage stale.
        needs_project: whether it works inside a project; one that does not makes or starts something.
        anywhere: whether it works without a project too; inside one it takes the project's.
        over_http: whether the HTTP face has it; never without a project.

    Raises:
        TypeError: a parameter has no keyword, known type or sentence; or the result is no Result.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        hints, documented, parameters = _read(name, function)
        _refuse_stage_keys(name, parameters if needs_project else ())
        _TABLE[name] = Operation(
            name=name,
            function=function,
            version=version,
            slow=slow,
            stage=stage,
            libraries=libraries,
            inputs=inputs,
            positional=positional,
            indifferent=indifferent,
            later=later,
            needs_project=needs_project,
            anywhere=anywhere,
            over_http=over_http and needs_project,
            summary=documented.summary,
            description=documented.description,
            parameters=parameters,
            result=_result_model(name, hints.get("return")),
        )
        return function

    return register


def operations(noun: str | None = None) -> dict[str, Operation]:
    """Returns the operations of one noun, or of all, by name; loads their modules."""
    for modules, _ in [NOUNS[noun]] if noun is not None else NOUNS.values():
        for module in modules:
            importlib.import_module(module)
    return {name: found for name, found in sorted(_TABLE.items()) if noun is None or found.noun == noun}


def find_operation(name: str) -> Operation:
    """Returns one operation by name.

    Raises:
        NotFound: there is no such operation.
    """
    found = _registered(name)
    if found is None:
        known = list(operations())
        raise NotFound(
            "operation.unknown",
            "No operation {name!r}.{meant}",
            do="See: darkroom --help",
            name=name,
            meant=nearest(name, known),
        )
    return found


def _registered(name: str) -> Operation | None:
    """Returns the operation with a name; loads the modules of its noun only until it is there."""
    modules, _ = NOUNS.get(name.rpartition(".")[0], ((), ""))
    for module in modules:
        importlib.import_module(module)
        if name in _TABLE:
            break
    return _TABLE.get(name)


def _read(
    name: str, function: Callable[..., Any]
) -> tuple[dict[str, Any], Docstring, tuple[Parameter, ...]]:
    """Returns the types of a function, its docstring and its parameters."""
    hints, documented = get_type_hints(function, include_extras=True), _documented(name, function)
    return hints, documented, _parameters(name, function, hints, documented.args)


def _documented(name: str, function: Callable[..., Any]) -> Docstring:
    documented = read_docstring(function.__doc__)
    if not documented.summary:
        raise TypeError(f"operation {name}: the docstring's first line is missing")
    return documented


def _parameters(
    name: str, function: Callable[..., Any], hints: dict[str, Any], sentences: dict[str, str]
) -> tuple[Parameter, ...]:
    _, *rest = inspect.signature(function).parameters.values()
    found = []
    for parameter in rest:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"operation {name}: parameter {parameter.name} must be keyword-only")
        annotation = hints[parameter.name]
        if not is_known(annotation):
            raise TypeError(
                f"operation {name}: parameter {parameter.name} has the type {annotation!r}, "
                "which is not in the vocabulary (operation/vocabulary.py)"
            )
        if parameter.name not in sentences:
            raise TypeError(f"operation {name}: parameter {parameter.name} has no line under Args")
        found.append(Parameter(parameter.name, annotation, parameter.default, sentences[parameter.name]))
    return tuple(found)


def _refuse_stage_keys(name: str, parameters: tuple[Parameter, ...]) -> None:
    taken = {parameter.name for parameter in parameters} & set(STAGE_KEYS)
    if taken:
        raise TypeError(f"operation {name}: a stage uses the name {taken.pop()} itself")


def _result_model(name: str, result: Any) -> type[Result]:
    if not (isinstance(result, type) and issubclass(result, Result)):
        raise TypeError(f"operation {name}: the result must be one Result model, not {result!r}")
    return result


def _request_model(name: str, parameters: tuple[Parameter, ...], later: tuple[str, ...]) -> type[Config]:
    fields: dict[str, Any] = {}
    for parameter in parameters:
        default = ... if parameter.required else parameter.default
        fields[parameter.name] = (
            parameter.annotation,
            FieldInfo(default=default, description=parameter.doc),
        )
    title = "".join(part.capitalize() for part in name.replace(".", " ").split())
    made = create_model(f"{title}Request", __base__=Config, **fields)
    made.LATER = frozenset(later)
    return made
