"""A network from the user's own Python file: run the file, call its `build`, find its last layer."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import InspectLoader
from importlib.util import decode_source, module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any, cast

import torch
from torch import Tensor, nn

from darkroom.errors import Damaged, DarkroomError, InvalidConfig, NotFound
from darkroom.networks.entry import OptionValue
from darkroom.networks.network import BodyNetwork, Network
from darkroom.networks.table import CODE_FILE

__all__ = ["blamed_on", "build_custom", "code_beside"]

Asked = tuple[int, tuple[int, int], int]
"""Channels, (height, width), classes."""


def build_custom(
    *, code: Path, channels: int, size: tuple[int, int], classes: int, options: Mapping[str, OptionValue]
) -> Network:
    """Builds what the file's `build` returns.

    Args:
        code: the file; it defines `build(*, channels, size, classes, **options)`.
        channels: 1 for grey, 3 for RGB.
        size: (height, width) in pixels.
        classes: how many answers it tells apart.
        options: what else `build` is told.

    Raises:
        NotFound: there is no such file.
        InvalidConfig: the file fails, with its line; or what it builds is not a network for this input.
    """
    build = _builder(code)
    asked: Asked = (channels, size, classes)
    built = _called(
        code, "build", lambda: build(channels=channels, size=size, classes=classes, **dict(options))
    )
    if not isinstance(built, nn.Module):
        raise _unfit(code, f"build returned {type(built).__name__}, expected a torch.nn.Module")
    if not any(True for _ in built.parameters()):
        raise _unfit(code, "build returned a network without weights")
    network = built if isinstance(built, Network) else _parted(code, built, asked)
    _check(code, network, asked)
    network.code = code
    return network


def code_beside(weights: Path, sha256: str) -> Path:
    """Returns the file of code that belongs to saved weights: beside them, or one folder above.

    Raises:
        NotFound: there is none.
        Damaged: it is not the file with which the network was trained.
    """
    places = [folder / CODE_FILE for folder in (weights.parent, weights.parent.parent)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise NotFound(
            "network.code-missing",
            "{weights} needs the Python file that defines its network, and there is no {file} beside it.",
            do="Put {file} of the run's folder beside the weights.",
            weights=weights,
            file=CODE_FILE,
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise Damaged(
            "network.code-changed",
            "{path} is not the file with which this network was trained.",
            do="Put the old file back, or train again with the new one.",
            path=path,
        )
    return path


@contextmanager
def blamed_on(code: Path | None) -> Iterator[None]:
    """Turns an error that comes out of the user's file into ours, with its line; others stay as they are.

    Args:
        code: the file; None where there is none.

    Raises:
        InvalidConfig: the file fails.
    """
    try:
        yield
    except DarkroomError:
        raise
    except Exception as error:
        if code is None or not _line(code, error):
            raise
        raise _fails(code, "a step of the training", error) from error


class _UserFile(InspectLoader):
    """Imports one file by the bytes that were read, and leaves no compiled file beside it."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content = path, content

    def get_source(self, fullname: str) -> str:
        return decode_source(self._content)

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._content, str(self._path))


def _builder(code: Path) -> Callable[..., object]:
    """Runs the file and returns its `build`."""
    try:
        content = code.read_bytes()
    except OSError as error:
        raise NotFound(
            "network.no-file",
            "Cannot read the network's file {path}: {reason}.",
            do="Correct network_file in the recipe.",
            path=code,
            reason=error.strerror or error,
        ) from error
    name = f"darkroom_network_{hashlib.sha256(content).hexdigest()[:12]}"
    loader = _UserFile(code, content)
    module = module_from_spec(spec_from_loader(name, loader, origin=str(code)))  # type: ignore[arg-type]
    module.__file__ = str(code)
    sys.modules[name] = module  # dataclasses and pickling look a class's module up
    _called(code, "the file", lambda: loader.exec_module(module))
    build = getattr(module, "build", None)
    if not callable(build):
        raise _unfit(code, "it defines no function build(*, channels, size, classes, **options)")
    return build


def _called(code: Path, what: str, action: Callable[[], Any]) -> Any:
    """Returns what the user's code gives; its error becomes ours, with the line."""
    try:
        return action()
    except (Exception, SystemExit) as error:
        raise _fails(code, what, error) from error


def _fails(code: Path, what: str, error: BaseException) -> InvalidConfig:
    return InvalidConfig(
        "network.code-fails",
        "{path}{where}: {what} fails with {kind}: {reason}",
        do="Correct the file, then run the same command again.",
        path=code,
        where=_line(code, error),
        what=what,
        kind=type(error).__name__,
        reason=(str(error).strip().splitlines() or ["no message"])[0],
    )


def _line(code: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(code):
        return f", line {error.lineno}"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(code)]
    if not lines:
        return ""
    text = (lines[-1].line or "").strip()
    return f", line {lines[-1].lineno}" + (f" `{text}`" if text else "")


def _answer(code: Path, network: nn.Module, asked: Asked, *, learning: bool = False) -> object:
    """Returns what a network at rest, or one that learns, says of two blank pictures; it stays as it is."""
    channels, (height, width), _ = asked
    training = network.training
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()} if learning else {}
    what = f"a picture of {width}×{height} px" + (", while it learns," if learning else "")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        blank = torch.zeros(2, channels, height, width)
        answer = _called(code, what, lambda: network.train(learning)(blank))
    if learning:
        network.load_state_dict(kept)  # batch statistics have seen the blank pictures
    network.train(training)
    return answer


def _parted(code: Path, built: nn.Module, asked: Asked) -> BodyNetwork:
    """Takes the last dense layer out; the network is then the body, and that layer the head."""
    given: dict[str, object] = {}
    dense = {name: layer for name, layer in built.named_modules() if isinstance(layer, nn.Linear) and name}
    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: given.update({name: output}))
        for name, layer in dense.items()
    ]
    try:
        answer = _answer(code, built, asked)
    finally:
        for hook in hooks:
            hook.remove()
    last = next((name for name, output in given.items() if output is answer), None)
    if last is None:
        raise _unfit(
            code,
            "what it returns is not what a torch.nn.Linear of it gave"
            + ("; it has none" if not dense else ". Return the logits, without softmax"),
        )
    _check_answers(code, built, asked)
    built.set_submodule(last, nn.Identity())
    return BodyNetwork(built, cast(nn.Linear, dense[last]), library_head=last, first_layers=())


def _check_answers(code: Path, network: nn.Module, asked: Asked) -> None:
    """Refuses a network that does not answer for each class, at rest or while it learns."""
    channels, (height, width), classes = asked
    for learning in (False, True):
        answer = _answer(code, network, asked, learning=learning)
        if isinstance(answer, Tensor) and tuple(answer.shape) == (2, classes):
            continue
        came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise _unfit(
            code,
            f"for pictures (2, {channels}, {height}, {width}) and {classes} classes it returns {came}"
            f"{' while it learns' if learning else ''}, expected (2, {classes})",
        )


def _check(code: Path, network: Network, asked: Asked) -> None:
    channels, (height, width), _ = asked
    _check_answers(code, network, asked)
    with torch.no_grad():
        embedding = _called(
            code, "features", lambda: network.eval().features(torch.zeros(2, channels, height, width))
        )
    network.train()
    if not isinstance(embedding, Tensor) or embedding.ndim != 2:
        raise _unfit(code, "what its last layer takes is not one vector (N, E) for each picture")


def _unfit(code: Path, reason: str) -> InvalidConfig:
    return InvalidConfig(
        "network.code-unfit",
        "{path} gives no network that can be trained: {reason}.",
        do="See: docs/guide/networks-and-weights.md",
        path=code,
        reason=reason,
    )
