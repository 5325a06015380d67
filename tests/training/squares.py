"""Pictures with masks for the tests of training: a bright square on noise, of one of two classes."""

import numpy as np

from darkroom.records import Contract
from darkroom.training import CardFacts
from tests.training.digits import MemoryRendering, MemorySplit

HEIGHT, WIDTH = 40, 32
FACTS = CardFacts(
    task="segmentation",
    labels=("ground", "red", "green"),
    contract=Contract(width_px=WIDTH, height_px=HEIGHT),
    run="r-1",
    dataset="squares@1",
    dataset_id="5" * 64,
)


class MaskedSplit(MemorySplit):
    """Pictures (N, H, W, C) uint8 with masks (N, H, W) uint8."""

    def __init__(self, images, masks):
        super().__init__(images, [])
        self.masks = masks

    def gather_masks(self, indices, out=None):
        return np.take(self.masks, indices, axis=0, out=out, mode="clip")


def squares(count, seed):
    """Returns pictures with a red or green square each; the outermost column is not said."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 60, (count, HEIGHT, WIDTH, 3)).astype(np.uint8)
    masks = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    for number in range(count):
        top, left = draw.integers(2, HEIGHT - 20), draw.integers(2, WIDTH - 18)
        shape = (number, slice(top, top + 16), slice(left, left + 14))
        images[(*shape, number % 2)] += 160
        masks[shape] = 1 + number % 2
    masks[:, :, -1] = 255
    return MaskedSplit(images, masks)


def rendering(train=16, val=8):
    return MemoryRendering(train=squares(train, 1), val=squares(val, 2))
