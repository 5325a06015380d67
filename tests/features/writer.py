"""Fills a store in a process of its own: `python -m tests.features.writer FOLDER COUNT PAUSE_S`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from darkroom.features import FeatureStore, store
from tests.features.fake import Shots, Sums


class Slow(Sums):
    """Takes its time, so that a test can hit it."""

    pause_s = 0.0

    def embed(self, images: np.ndarray, image_ids: Sequence[str]) -> np.ndarray:
        time.sleep(self.pause_s)
        return super().embed(images, image_ids)


def main(folder: Path, count: int, pause_s: float) -> None:
    """Writes a file for each batch or two."""
    store.PART_S = 0.0
    embedder = Slow()
    embedder.pause_s = pause_s
    FeatureStore(folder).of(Shots(range(count)), embedder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
