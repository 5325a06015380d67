"""Real pictures for the tests: scikit-learn's handwritten digits, as a rendering in memory."""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from darkroom.records import Contract
from darkroom.training import CardFacts

FACTS = CardFacts(
    labels=tuple("0123456789"),
    contract=Contract(width_px=16, height_px=16, colour="grey"),
    run="r-1",
    dataset="digits@1",
    dataset_id="d" * 64,
)


class MemorySplit:
    """Pictures (N, H, W, C) uint8 with their labels."""

    def __init__(self, images, labels):
        self.images, self.labels = images, np.asarray(labels, np.int64)
        self.image_ids = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        self.groups = [None] * len(images)
        self.shape = images.shape[1:]

    def __len__(self):
        return len(self.images)

    def gather(self, indices, out=None):
        return np.take(self.images, indices, axis=0, out=out, mode="clip")


class MemoryRendering:
    """Splits by name; one that is not named is empty."""

    def __init__(self, **splits):
        self.splits = splits

    def split(self, name):
        if name in self.splits:
            return self.splits[name]
        shape = self.splits["train"].shape
        return MemorySplit(np.empty((0, *shape), np.uint8), [])


def digits(train=600, val=200, side_px=16):
    """Returns a rendering of the first digits, brought from 8×8 to `side_px` by repeating pixels."""
    bunch = load_digits()
    images = (bunch.images * (255 / 16)).astype(np.uint8)
    images = images.repeat(side_px // 8, 1).repeat(side_px // 8, 2)[..., None]
    return MemoryRendering(
        train=MemorySplit(images[:train], bunch.target[:train]),
        val=MemorySplit(images[train : train + val], bunch.target[train : train + val]),
    )
