"""Convert a network into files, each in a process of its own, so that one failure does not lose the others.

The converters write to the process's streams, change torch's global state, take much memory, and are native
code that may end the process. A child keeps all of that away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from darkroom import atomic
from darkroom.bundle import copy_model, size_of
from darkroom.errors import DarkroomError, StorageFailed, Unsupported
from darkroom.export.calibration import refuse_lack
from darkroom.export.exporters import DISK_REFUSED, Exporter, find
from darkroom.export.precisions import PLAIN, PRECISIONS, Recipe
from darkroom.export.report import Conversion, ConvertedFile, FailedConversion
from darkroom.networks.network import Network
from darkroom.networks.saved import save
from darkroom.networks.table import CODE_FILE
from darkroom.records import ModelCard
from darkroom.settings import available_cores

__all__ = ["convert"]

CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP")
"""Signals by which native code ends itself. Source: signal(7)."""

MOST_AT_A_TIME = 2
"""Converters that run side by side; each takes 0.4 to 0.7 GB and more."""


class _Wanted(NamedTuple):
    exporter: Exporter
    recipe: Recipe
    embedding: bool
    path: Path

    @property
    def precision(self) -> str:
        return self.recipe.precision


def convert(
    network: Network,
    card: ModelCard,
    folder: Path,
    *,
    targets: Sequence[str],
    precisions: Sequence[str] = ("float32",),
    embedding: bool = False,
    calibration: Path | None = None,
    every_recipe: bool = False,
    name: str = "model",
    on_done: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Writes one file per target and precision; each is there whole or not at all.

    Args:
        network: the trained network.
        card: its card, which travels in each file.
        folder: where to write; made when it is not there.
        targets: names in the table of exporters.
        precisions: what the weights are written as.
        embedding: whether the vector before the last layer is a second output.
        calibration: array of calibration tensors for the precisions that need them: .npy
            (n, height, width, channels) uint8.
        every_recipe: write a file by each recipe of a precision, not by the likeliest alone.
        name: how the files are called, without the suffix.
        on_done: told how many of how many are done, after each.

    Raises:
        NotFound: a target is not in the table.
        StorageFailed: the disk has no room for a file, or the folder cannot be written to.
        DarkroomError: no file at all could be written; the first reason.
    """
    wanted = _wanted(targets, precisions, folder, name, embedding=embedding, every_recipe=every_recipe)
    try:
        with atomic.scratch_folder(folder) as scratch:
            weights = scratch / "network.safetensors"
            save(weights, network, card)
            if network.code is not None:
                (scratch / CODE_FILE).write_bytes(network.code.read_bytes())
            found = _all(wanted, weights, calibration, on_done)
    except OSError as error:
        raise _disk(folder, error.strerror or str(error)) from error
    failed = [result for result in found if isinstance(result, DarkroomError)]
    for refused in failed:
        if isinstance(refused, StorageFailed):
            raise refused  # another try with more room gives all files
    if failed and len(failed) == len(found):
        raise failed[0]
    return Conversion(
        files=tuple(result for result in found if isinstance(result, ConvertedFile)),
        failures=tuple(
            _failure(one, result)
            for one, result in zip(wanted, found, strict=True)
            if isinstance(result, DarkroomError)
        ),
    )


def _wanted(
    targets: Sequence[str],
    precisions: Sequence[str],
    folder: Path,
    name: str,
    *,
    embedding: bool,
    every_recipe: bool,
) -> list[_Wanted]:
    return [
        _Wanted(
            exporter, recipe, embedding, folder / _file_name(name, exporter, recipe, marked=every_recipe)
        )
        for exporter in map(find, dict.fromkeys(targets))
        for precision in dict.fromkeys(precisions)
        for recipe in exporter.recipes(precision)[: None if every_recipe else 1]
    ]


def _file_name(name: str, exporter: Exporter, recipe: Recipe, *, marked: bool) -> str:
    parts = [
        name,
        *([recipe.precision] if recipe.precision != exporter.precisions[0] else []),
        *([recipe.name] if marked and recipe.name != PLAIN else []),
    ]
    return f"{'-'.join(parts)}{exporter.suffix}"


def _all(
    wanted: Sequence[_Wanted],
    weights: Path,
    calibration: Path | None,
    on_done: Callable[[int, int], None] | None,
) -> list[ConvertedFile | DarkroomError]:
    """Returns what became of each; recipes of one format and precision are written by one child."""
    groups: dict[tuple[str, str], list[_Wanted]] = {}
    for one in wanted:
        groups.setdefault((one.exporter.name, one.precision), []).append(one)
    found: list[ConvertedFile | DarkroomError] = []
    with ThreadPoolExecutor(min(MOST_AT_A_TIME, available_cores())) as pool:
        for results in pool.map(lambda group: _group(group, weights, calibration), groups.values()):
            for result in results:
                found.append(result)
                if on_done is not None:
                    on_done(len(found), len(wanted))
    return found


def _group(
    group: Sequence[_Wanted], weights: Path, calibration: Path | None
) -> list[ConvertedFile | DarkroomError]:
    try:
        group[0].exporter.require(group[0].precision)
        if PRECISIONS[group[0].precision].calibrated and calibration is None:
            raise refuse_lack(group[0].precision)
        requests = [_request(one, weights, calibration) for one in group]
    except DarkroomError as error:
        return [error] * len(group)
    try:
        ended = _child(requests)
    except OSError as error:
        return [_not_started(group[0], error)] * len(group)
    return [_taken(one, request, ended) for one, request in zip(group, requests, strict=True)]


def _taken(
    wanted: _Wanted, request: Path, ended: subprocess.CompletedProcess[bytes]
) -> ConvertedFile | DarkroomError:
    """Returns what a child made of a request; a file is put in its place."""
    try:
        refusal, seconds = request.with_name("refusal.json"), request.with_name("seconds")
        if refusal.is_file():
            raise DarkroomError.from_dict(json.loads(refusal.read_text()))
        if not seconds.is_file():
            raise _ended(wanted, ended.returncode, ended.stdout)
        _put(request.with_name(wanted.path.name), wanted.path)
    except DarkroomError as error:
        return error
    return ConvertedFile(
        path=wanted.path,
        target=wanted.exporter.name,
        precision=wanted.precision,
        recipe=wanted.recipe.name,
        size_bytes=size_of(wanted.path),
        duration_s=float(seconds.read_text()),
    )


def _put(written: Path, path: Path) -> None:
    """Puts what a converter wrote in its place, a file or a folder, whole or not at all.

    Raises:
        StorageFailed: the disk refuses.
    """
    if not written.is_dir():
        atomic.write_bytes(path, written.read_bytes())
        return
    with atomic.write_folder(path) as aside:
        copy_model(written, aside)


def _request(wanted: _Wanted, weights: Path, calibration: Path | None) -> Path:
    """Writes what a child shall do, in a folder of its own; returns the request."""
    folder = weights.parent / f"{wanted.exporter.name}-{wanted.precision}-{wanted.recipe.name}"
    folder.mkdir()
    shared = weights.parent / f"{wanted.exporter.name}-shared"
    shared.mkdir(exist_ok=True)
    recipe = wanted.recipe.with_places(calibration and calibration.resolve(), shared)
    request = folder / "request.json"
    request.write_text(
        json.dumps(
            {
                "weights": str(weights),
                "target": wanted.exporter.name,
                "recipe": recipe.to_json(),
                "embedding": wanted.embedding,
                "path": str(folder / wanted.path.name),
            }
        )
    )
    return request


def _child(requests: Sequence[Path]) -> subprocess.CompletedProcess[bytes]:
    """Runs a converter to its end; it ends as well when this process does, however that happens."""
    heard, held = os.pipe()
    try:
        return subprocess.run(
            # -P: a file of the user's that is called like a library must not take its place.
            [sys.executable, "-P", "-W", "ignore", "-m", "darkroom.export.child", *map(str, requests)],
            stdin=heard,  # nothing is ever said there: it ends with the process that holds the other end
            stdout=subprocess.PIPE,  # not a file: on a full disk the words would be lost with it
            stderr=subprocess.STDOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
        )
    finally:
        os.close(heard)
        os.close(held)


def _ended(wanted: _Wanted, code: int, words: bytes) -> DarkroomError:
    lines = words.decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else "none"
    if code == DISK_REFUSED:
        return _disk(wanted.path.parent, last)
    if code < 0:
        return Unsupported(
            "export.converter-killed",
            "The converter for {title} {how}. Its last words: {words}",
            do="Close what takes memory, or convert one target at a time: "
            "darkroom export convert --run RUN --targets {target}",
            title=wanted.exporter.title,
            how=_spoken_end(-code),
            words=last,
            target=wanted.exporter.name,
        )
    return Unsupported(
        "export.converter-ended",
        "The converter for {title} ended with code {code}. Its last words: {words}",
        do="Convert again, this target alone: darkroom export convert --run RUN --targets {target}",
        title=wanted.exporter.title,
        code=code,
        words=last,
        target=wanted.exporter.name,
    )


def _not_started(wanted: _Wanted, error: OSError) -> DarkroomError:
    return Unsupported(
        "export.converter-not-started",
        "The system starts no process for the converter for {title}: {why}.",
        do="Close what takes memory or processes, then convert again.",
        title=wanted.exporter.title,
        why=error.strerror or error,
    )


def _spoken_end(number: int) -> str:
    """Returns what a signal did to a process: it broke by itself, or was ended by somebody."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name in CRASHES:
        return f"crashed ({name})"
    why = ", as systems do that run out of memory" if number == signal.SIGKILL else ""
    return f"was ended from outside by {name}{why}"


def _disk(folder: Path, reason: str) -> StorageFailed:
    shown = folder.parent if folder.name.startswith(atomic.ASIDE) else folder
    return StorageFailed(
        "export.disk",
        "Could not write model files into {folder}: {reason}. Nothing half-written was left.",
        do="Free some space, for example: darkroom project clean. Or check the rights on the folder. Then "
        "convert again.",
        folder=shown,
        reason=reason,
    )


def _failure(wanted: _Wanted, error: DarkroomError) -> FailedConversion:
    return FailedConversion(
        target=wanted.exporter.name,
        precision=wanted.precision,
        kind=type(error).__name__,
        id=error.id,
        message=error.message,
        hint=error.hint,
    )
