"""The shell's face: `darkroom noun verb --options`, one command per operation."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.errors import Cancelled, DarkroomError, InvalidConfig, told

if TYPE_CHECKING:
    from cyclopts import App

    from darkroom.cli.commands import Common
    from darkroom.cli.remote import Remote
    from darkroom.operation import Operation
    from darkroom.records import Config, Result
    from darkroom.workspace import Workspace

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    Args:
        arguments: the words after `darkroom`; the process's own when not given.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if _is_spare():
        return 0
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # or it reads about every package
    gc.set_threshold(100_000)  # importing makes many objects and no garbage; training holds few
    debug = "--debug" in words
    try:
        return _run(words)
    except DarkroomError as error:
        if debug:
            raise
        _show_error(error, as_json="--json" in words)
        return error.exit_code
    except KeyboardInterrupt:
        _show_error(
            Cancelled("run.interrupted", "Stopped by you.", do="What was finished is kept; run it again."),
            as_json="--json" in words,
        )
        return Cancelled.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            raise
        shown = told(error)
        _show_error(shown, as_json="--json" in words)
        return shown.exit_code


def _is_spare() -> bool:
    """Says whether torchrun started this process beside the one that runs the command.

    That one starts what it needs by itself, and watches it: see `processes` of `model.train`.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def _run(words: list[str]) -> int:
    from cyclopts import CycloptsError

    try:
        answer = _app(words)(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InvalidConfig(
            "command.refused",
            "{why}",
            do="See: darkroom {words}--help",
            why=str(error).strip(),
            words=_known_part(words),
        ) from None
    return answer if isinstance(answer, int) else 0


def _known_part(words: list[str]) -> str:
    """Returns the words that name an existing command or noun, each with a space behind it."""
    from darkroom.operation import NOUNS, operations

    first, second = [*words, "", ""][:2]
    if first in NOUNS and first:
        verbs = [operation.words.rpartition(" ")[2] for operation in operations(first).values()]
        return f"{first} {second} " if second in verbs else f"{first} "
    return f"{first} " if first in operations("") else ""


def _app(words: list[str]) -> App:
    """Builds the commands that these words can reach; the rest stay unread, for speed."""
    from importlib.metadata import version

    from cyclopts import App

    from darkroom.cli.commands import add_command
    from darkroom.operation import NOUNS, operations

    app = App(
        name="darkroom",
        help="Darkroom develops images into models.",
        version=lambda: version("darkroom"),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    spoken = next((word for word in words if not word.startswith("-")), "")
    for noun, (_, sentence) in NOUNS.items():
        room = app if not noun else App(name=noun, help=sentence[0].upper() + sentence[1:] + ".")
        if noun in ("", spoken):
            for operation in operations(noun).values():
                add_command(room, operation, _invoke)
        if noun:
            app.command(room)
    return app


def _invoke(operation: Operation, values: dict[str, Any], common: Common) -> int:
    from darkroom.cli.drawing import ProgressDrawing

    quiet = common.quiet or common.json
    workspace = _workspace(operation, common)
    shown = not quiet and workspace.settings.progress
    with workspace, ProgressDrawing(enabled=shown, quiet=quiet) as drawing:
        workspace.listener = drawing
        results = _results(workspace, operation, _requests(operation, values, common))
    for result in results:
        _show_result(result, as_json=common.json)
    return max((result.exit_code for result in results), default=0)


def _results(workspace: Workspace, operation: Operation, requests: list[Config]) -> list[Result]:
    """Runs the operation here, or through the server that holds the project."""
    server = _server(workspace) if operation.over_http else None
    if server is None:
        signal.signal(signal.SIGTERM, _stop_politely(workspace))
        return [operation.call(workspace, request) for request in requests]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return [server.call(operation, request) for request in requests]
    finally:
        signal.signal(signal.SIGTERM, before)
        server.close()


def _server(workspace: Workspace) -> Remote | None:
    if not (workspace.hidden / "server.json").exists():
        return None  # the usual case costs one look at the disk
    from darkroom.cli.remote import Remote

    return Remote.of(workspace)


def _requests(operation: Operation, values: dict[str, Any], common: Common) -> list[Config]:
    from darkroom.operation import swept

    return [operation.validate(request) for _, request in swept(values, common.sweep)]


def _workspace(operation: Operation, common: Common) -> Workspace:
    from darkroom.workspace import Workspace

    if operation.anywhere:
        return Workspace.here(common.project)
    if operation.needs_project:
        return Workspace.open(common.project)
    return Workspace(Path(common.project))


def _stop_politely(workspace: Workspace) -> Any:
    def stop(*_: object) -> None:
        workspace.stop_requested.set()

    return stop


def _show_result(result: Result, *, as_json: bool) -> None:
    from darkroom.cli.drawing import draw_result

    if as_json:
        sys.stdout.write(result.model_dump_json(indent=2) + "\n")
    else:
        draw_result(result)


def _show_error(error: DarkroomError, *, as_json: bool) -> None:
    from darkroom.cli.drawing import draw_error

    if as_json:
        sys.stderr.write(json.dumps(error.as_dict(), ensure_ascii=False) + "\n")
    else:
        draw_error(error)
