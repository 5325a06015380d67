"""A few numbers that processes share: how far each clone is, and whether all are to stop.

They lie in a mapped file: a process that dies leaves its last figures, and nobody waits for anybody.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from darkroom import atomic

__all__ = ["Scoreboard"]

COLUMNS = 4  # batches done, batches in all, epoch, place in a measurement that all make at once
LOOK_S = 0.05


class Scoreboard:
    """The shared numbers of some trainings.

    Args:
        path: the file that `make` made.
    """

    def __init__(self, path: Path) -> None:
        self._cells = np.memmap(path, np.float64, "r+").reshape(-1, COLUMNS)

    @classmethod
    def make(cls, path: Path, rows: int) -> Scoreboard:
        """Makes the file, with one row for each training."""
        atomic.write_bytes(path, bytes(8 * COLUMNS * (rows + 1)))
        return cls(path)

    def stop(self) -> None:
        """Asks all to stop."""
        self._cells[0, 0] = 1.0

    @property
    def stopped(self) -> bool:
        """Whether all were asked to stop."""
        return bool(self._cells[0, 0])

    def note(self, row: int, done: int, total: int, epoch: float) -> None:
        """Notes how far a training is."""
        self._cells[row + 1, :3] = (done, total, epoch)

    @property
    def done(self) -> int:
        """Batches done, of all trainings."""
        return int(self._cells[1:, 0].sum())

    @property
    def epochs(self) -> list[int]:
        """Epoch in which each training is; 0 before it begins."""
        return self._cells[1:, 2].astype(int).tolist()

    @property
    def total(self) -> int | None:
        """Batches in all, as far as trainings have begun; None before the first has."""
        known = self._cells[1:, 1]
        known = known[known > 0]
        return int(known.mean() * (len(self._cells) - 1)) if len(known) else None

    def reach(self, row: int, place: int) -> None:
        """Notes that a process has reached a place that others wait for."""
        self._cells[row + 1, 3] = place

    def all_reached(self, place: int) -> bool:
        """Says whether every process has reached a place."""
        return bool((self._cells[1:, 3] >= place).all())

    def wait_for_all(self, row: int, place: int, most_s: float) -> bool:
        """Reaches a place and waits for the others; False when that takes too long, or all are to stop."""
        self.reach(row, place)
        deadline = time.monotonic() + most_s
        while not self.all_reached(place):
            if self.stopped or time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True
