"""Optuna's journal in a study's folder: opened, locked, and told apart from one that somebody damaged."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from darkroom.errors import Damaged, MissingExtra

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

__all__ = ["JOURNAL", "damaged", "load_optuna", "open_storage", "quiet", "readable"]

JOURNAL = "optuna.jsonl"


def load_optuna() -> Any:
    """Returns the package, which from then on says errors only.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "extra.tune",
            "A search needs the package optuna, which is not installed.",
            do="Run: pip install 'darkroom[tune]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_storage(folder: Path) -> JournalStorage:
    """Opens the journal of a study; makes it where it is not there."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    file, lock = folder / JOURNAL, _WholeLines(folder / JOURNAL)
    lock.acquire()
    lock.release()
    return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))  # type: ignore[arg-type]


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Optuna's remarks to programmers away; what a person must know is said by the report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turns what reading a damaged journal raises into an error that says what to do."""
    try:
        yield
    except (ValueError, KeyError, AssertionError, IndexError, TypeError) as error:
        raise damaged(folder, JOURNAL) from error


def damaged(folder: Path, file: str) -> Damaged:
    """Returns the error for a file of a study that cannot be read."""
    return Damaged(
        "tune.study-damaged",
        "{path} is gone, or is not what was written.",
        do="Set the folder aside: mv {folder} {folder}.left; the same command then begins anew, and takes "
        "every run that is finished as it is.",
        path=folder / file,
        folder=folder,
    )


class _WholeLines:
    """Lets one process write the journal at a time, and cuts off what a killed one left of a line.

    Optuna's own lock is a file that a killed process leaves behind; this one goes with its process.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, FileLock(f"{file}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        if self._file.is_file() and self._file.stat().st_size:
            with self._file.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._lock.release()
