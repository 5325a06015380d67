"""Convert a network into files, each in a process of its own, so that one failure does not lose the others.

The converters write to the process's streams, change torch's global state, take much memory, and are native
code that may end the process. A child keeps all of that away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from darkroom import atomic, errors
from darkroom.errors import DarkroomError, StorageFailed, Unsupported
from darkroom.export.exporters import DISK_REFUSED, Exporter, find
from darkroom.export.report import Conversion, ConvertedFile, FailedConversion
from darkroom.networks.network import Network
from darkroom.networks.saved import save
from darkroom.networks.table import CODE_FILE
from darkroom.records import ModelCard
from darkroom.settings import available_cores

__all__ = ["convert"]

MOST_AT_A_TIME = 2
"""Converters that run side by side; each takes 0.4 to 0.7 GB and more."""


class _Wanted(NamedTuple):
    exporter: Exporter
    precision: str
    embedding: bool
    path: Path


def convert(
    network: Network,
    card: ModelCard,
    folder: Path,
    *,
    targets: Sequence[str],
    precisions: Sequence[str] = ("float32",),
    embedding: bool = False,
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
        name: how the files are called, without the suffix.
        on_done: told how many of how many are done, after each.

    Raises:
        NotFound: a target is not in the table.
        StorageFailed: the disk has no room for a file, or the folder cannot be written to.
        DarkroomError: no file at all could be written; the first reason.
    """
    wanted = [
        _Wanted(find(target), precision, embedding, folder / _file_name(name, find(target), precision))
        for target in dict.fromkeys(targets)
        for precision in dict.fromkeys(precisions)
    ]
    try:
        with atomic.scratch_folder(folder) as scratch:
            weights = scratch / "network.safetensors"
            save(weights, network, card)
            if network.code is not None:
                (scratch / CODE_FILE).write_bytes(network.code.read_bytes())
            found = _all(wanted, weights, on_done)
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


def _file_name(name: str, exporter: Exporter, precision: str) -> str:
    marked = name if precision == exporter.precisions[0] else f"{name}-{precision}"
    return f"{marked}{exporter.suffix}"


def _all(
    wanted: Sequence[_Wanted], weights: Path, on_done: Callable[[int, int], None] | None
) -> list[ConvertedFile | DarkroomError]:
    found: list[ConvertedFile | DarkroomError] = []
    with ThreadPoolExecutor(min(MOST_AT_A_TIME, available_cores())) as pool:
        for result in pool.map(lambda one: _one(one, weights), wanted):
            found.append(result)
            if on_done is not None:
                on_done(len(found), len(wanted))
    return found


def _one(wanted: _Wanted, weights: Path) -> ConvertedFile | DarkroomError:
    started = time.perf_counter()
    try:
        wanted.exporter.require(wanted.precision)
        content = _in_a_child(wanted, weights)
        atomic.write_bytes(wanted.path, content)
    except DarkroomError as error:
        return error
    return ConvertedFile(
        path=wanted.path,
        target=wanted.exporter.name,
        precision=wanted.precision,
        size_bytes=len(content),
        duration_s=time.perf_counter() - started,
    )


def _in_a_child(wanted: _Wanted, weights: Path) -> bytes:
    """Returns the bytes that the converter wrote.

    Raises:
        StorageFailed: the disk has no room for what the converter writes.
        DarkroomError: as in the child; Unsupported when it ended without a word.
    """
    folder = weights.parent / f"{wanted.exporter.name}-{wanted.precision}"
    folder.mkdir()
    request = folder / "request.json"
    request.write_text(
        json.dumps(
            {
                "weights": str(weights),
                "target": wanted.exporter.name,
                "precision": wanted.precision,
                "embedding": wanted.embedding,
                "path": str(folder / wanted.path.name),
            }
        )
    )
    ended = subprocess.run(
        # -P: a file of the user's that is called like a library must not take its place.
        [sys.executable, "-P", "-W", "ignore", "-m", "darkroom.export.child", str(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # not a file: on a full disk the words would be lost with it
        stderr=subprocess.STDOUT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    refusal = folder / "refusal.json"
    if refusal.is_file():
        raise _restored(json.loads(refusal.read_text()))
    if ended.returncode != 0:
        raise _ended(wanted, ended.returncode, ended.stdout)
    return (folder / wanted.path.name).read_bytes()


def _restored(refusal: dict[str, str]) -> DarkroomError:
    kind = getattr(errors, refusal["kind"], DarkroomError)
    return kind(refusal["id"], "{message}", do="{hint}", message=refusal["error"], hint=refusal["hint"])


def _ended(wanted: _Wanted, code: int, words: bytes) -> DarkroomError:
    lines = words.decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else "none"
    if code == DISK_REFUSED:
        return _disk(wanted.path.parent, last)
    return Unsupported(
        "export.converter-ended",
        "The converter for {title} ended with code {code}. Its last words: {words}",
        title=wanted.exporter.title,
        code=code,
        words=last,
    )


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
