"""Functions that worker processes run in tests; they must be importable."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import InvalidImage


def double(number: int) -> int:
    return 2 * number


def uneven(number: int) -> int:
    """Takes longer for some, so that chunks end in another order than they began."""
    time.sleep(0.02 if number % 50 == 0 else 0)
    return number


def where(_: object) -> int:
    return os.getpid()


def array(number: int) -> np.ndarray:
    return np.full((50, 60, 3), number % 256, np.uint8)  # (H, W, C)


def odd_fails(number: int) -> int:
    if number % 2:
        raise InvalidImage("image.odd", "Picture {number} is odd.", do="Count it.", number=number)
    return number


class Unfriendly(Exception):
    """An exception that pickle takes apart and cannot put together again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fails_unfriendly(number: int) -> int:
    if number == 70:
        raise Unfriendly("this", "that")
    return number


def gives_a_lock(number: int) -> Any:
    return threading.Lock() if number == 70 else number


def dies(number: int) -> int:
    if number == 70:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def leaves(number: int) -> int:
    if number == 70:
        sys.exit(0)
    return number


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def notes_and_sleeps(folder: str) -> None:
    """Writes down its process and stays busy for long."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def threads_of_libraries(_: object) -> str:
    return os.environ.get("OMP_NUM_THREADS", "")


def chatters(number: int) -> int:
    print("a library talks")
    return number


class Squared:
    """A callable that carries its own settings."""

    def __init__(self, plus: int) -> None:
        self.plus = plus

    def __call__(self, number: int) -> int:
        return number * number + self.plus


def task(*, value: int, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return value


def task_process(**_: object) -> int:
    return os.getpid()


def task_fails(*, why: str) -> None:
    raise ValueError(why)


def task_dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
