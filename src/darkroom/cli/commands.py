"""One shell command per operation, derived from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from cyclopts import App, Group, Parameter

from darkroom.cli.values import Option, options, read_sweep, request_values
from darkroom.operation import Operation

__all__ = ["Common", "add_command"]


class Common(NamedTuple):
    """The options of every command."""

    project: str
    json: bool
    debug: bool
    quiet: bool
    sweep: dict[str, list[str]]


COMMON_GROUP = Group("Options of every command", sort_key=9)

COMMON = (
    ("project", str, ".", "Folder of the project, or one inside it."),
    ("json", bool, False, "Print the result as JSON."),
    ("debug", bool, False, "Show the traceback of an error."),
    ("quiet", bool, False, "Draw no progress."),
    ("sweep", list[str], None, "Vary a parameter: name=value,value. May be repeated."),
)


def add_command(
    app: App, operation: Operation, invoke: Callable[[Operation, dict[str, Any], Common], int]
) -> None:
    """Adds the command of an operation to an app.

    Args:
        app: the app of the operation's noun.
        operation: the operation.
        invoke: called with the operation, its request's values and the common options.
    """
    known = {option.path: option for option in options(operation)}

    def command(*placed: Any, **named: Any) -> int:
        bound = signature.bind(*placed, **named).arguments
        common = Common(
            project=bound.get("project", "."),
            json=bound.get("json", False),
            debug=bound.get("debug", False),
            quiet=bound.get("quiet", False),
            sweep=read_sweep(bound.get("sweep") or []),
        )
        found = {
            path: bound[_python_name(path)] for path in known if bound.get(_python_name(path)) is not None
        }
        return invoke(operation, request_values(found, known), common)

    parameters = [_parameter(option, operation) for option in known.values()]
    parameters.sort(key=lambda parameter: parameter.kind)
    parameters += [_common_parameter(*row) for row in COMMON]
    signature = inspect.Signature(parameters)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = f"{operation.summary}\n\n{operation.description}"
    app.command(command, name=operation.words.rpartition(" ")[2])


def _parameter(option: Option, operation: Operation) -> inspect.Parameter:
    placed = option.path in operation.positional
    shown = Parameter(
        name=option.flag,
        help=option.help,
        show_default=False,
        required=option.default is inspect.Parameter.empty,
        consume_multiple=False if placed else None,
        negative=None if option.is_switch else "",
    )
    return inspect.Parameter(
        _python_name(option.path),
        inspect.Parameter.POSITIONAL_OR_KEYWORD if placed else inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_shell_type(option), shown],
    )


def _shell_type(option: Option) -> Any:
    if option.is_switch:
        return bool | None
    if option.takes_several:
        return list[str] | None
    if option.choices:
        return Literal[option.choices] | None  # type: ignore[valid-type]
    return str | None


def _common_parameter(name: str, kind: Any, default: Any, doc: str) -> inspect.Parameter:
    shown = Parameter(name=f"--{name}", help=doc, show_default=False, negative="", group=COMMON_GROUP)
    annotation = kind if default is not None else kind | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, shown]
    )


def _python_name(path: str) -> str:
    return path.replace(".", "__")
