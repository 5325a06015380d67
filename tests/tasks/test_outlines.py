"""Outlines: which pixels they are, and how many of them another outline meets."""

import numpy as np
import pytest

from darkroom.tasks.outlines import outline_counts, outlines, tolerance_for


def plain_counts(mask, answer, classes, tolerance):
    """The definition, pixel by pixel."""

    def edge(codes, y, x):
        near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        inside = [(a, b) for a, b in near if 0 <= a < codes.shape[0] and 0 <= b < codes.shape[1]]
        own = codes[y, x]
        return own != 255 and any(codes[place] not in (own, 255) for place in inside)

    given = np.where(mask == 255, 255, answer)
    found = np.zeros((4, classes), int)
    for first, second, row in ((mask, given, 0), (given, mask, 2)):
        for y, x in np.ndindex(mask.shape):
            if not edge(first, y, x):
                continue
            own = first[y, x]
            found[row, own] += 1
            found[row + 1, own] += any(
                (y - a) ** 2 + (x - b) ** 2 <= tolerance**2 and second[a, b] == own and edge(second, a, b)
                for a, b in np.ndindex(mask.shape)
            )
    return found


@pytest.mark.parametrize("tolerance", [1, 2, 3])
def test_counts_are_those_of_the_definition(tolerance):
    draw = np.random.default_rng(tolerance)
    for _ in range(4):
        mask = np.kron(draw.integers(0, 3, (3, 4)), np.ones((4, 3), int)).astype(np.uint8)
        answer = np.roll(mask, draw.integers(-2, 3, 2), (0, 1))
        mask[draw.random(mask.shape) < 0.1] = 255
        assert np.array_equal(
            outline_counts(mask, answer, 3, tolerance), plain_counts(mask, answer, 3, tolerance)
        )


def test_the_edge_of_the_picture_and_of_what_is_not_said_is_no_outline():
    mask = np.zeros((6, 6), np.uint8)
    mask[:3] = 255
    assert (outlines(mask) == 255).all()
    mask[5, 5] = 1
    assert (outlines(mask) != 255).sum() == 3


def test_one_pixel_is_its_own_outline():
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 1
    assert outline_counts(mask, mask, 2, 1)[:, 1].tolist() == [1, 1, 1, 1]
    assert outline_counts(mask, np.zeros_like(mask), 2, 1)[:, 1].tolist() == [1, 0, 0, 0]


def test_the_tolerance_grows_with_the_picture():
    assert [tolerance_for(*size) for size in ((8, 8), (192, 256), (224, 224), (480, 640))] == [1, 2, 2, 6]
