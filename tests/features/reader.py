"""Reads a store in a process of its own: `python -m tests.features.reader FOLDER COUNT`.

It says "held" when it has a table, and gathers from it after a line came in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from darkroom.features import FeatureStore
from tests.features.fake import Shots, Sums, expected


def main(folder: Path, count: int) -> None:
    shots = Shots(range(count))
    table = FeatureStore(folder).of(shots, Sums())
    print("held", flush=True)
    sys.stdin.readline()
    assert np.array_equal(table.array, expected(shots.gather(np.arange(count))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
