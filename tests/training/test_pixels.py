"""Pixels: normalisation is exact, and the same batches come however the pictures are kept."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from darkroom.errors import InvalidLabel
from darkroom.records import Normalisation
from darkroom.training.normalisation import measure_normalisation
from darkroom.training.pixels import Pixels
from tests.training.digits import MemorySplit, digits

CPU = torch.device("cpu")


def colour_split(count=50, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 9, 7, 3), np.uint8)
    return MemorySplit(images, random.integers(0, 4, count))


def test_normalisation_equals_the_exact_fractions():
    split = colour_split(7)
    found = measure_normalisation(split, "here")
    for channel in range(3):
        values = [Fraction(int(p), 255) for p in split.images[..., channel].ravel()]
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert found.mean[channel] == float(mean)
        assert found.std[channel] == pytest.approx(float(variance) ** 0.5, rel=1e-15)
    assert found.source == "here"


def test_normalisation_does_not_depend_on_the_order_of_pictures():
    split = digits(train=1500).split("train")
    shuffled = MemorySplit(np.random.default_rng(0).permutation(split.images), split.labels)
    assert measure_normalisation(split, "") == measure_normalisation(shuffled, "")


def test_normalised_training_pictures_have_mean_0_and_deviation_1():
    split = digits(train=1200).split("train")
    x, _ = Pixels(split, measure_normalisation(split, ""), CPU, 10).batch(torch.arange(1200))
    assert abs(float(x.double().mean())) < 1e-5
    assert float(x.double().std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_a_channel_without_variation_is_not_divided_by_zero():
    split = MemorySplit(np.full((3, 8, 8, 1), 80, np.uint8), [0, 1, 0])
    assert measure_normalisation(split, "") == Normalisation(mean=(80 / 255,), std=(1 / 255,))


@pytest.mark.parametrize("split", [colour_split(), digits(train=50).split("train")], ids=["colour", "grey"])
def test_pictures_in_memory_as_floats_as_bytes_or_not_at_all_are_the_same(split):
    normalisation = measure_normalisation(split, "")
    size_bytes = split.images.size
    chosen = torch.tensor([4, 0, 49, 4, 17])
    kept = [
        Pixels(split, normalisation, CPU, 10, most_bytes=most)
        for most in (4 * size_bytes, size_bytes, size_bytes - 1)
    ]
    assert [None if p._images is None else p._images.dtype for p in kept] == [
        torch.float32,
        torch.uint8,
        None,
    ]
    batches = [pixels.batch(chosen) for pixels in kept]
    for x, labels in batches:
        assert torch.equal(x, batches[0][0])
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert labels.tolist() == split.labels[chosen].tolist()
    expected = (split.images[chosen] / 255 - np.array(normalisation.mean)) / np.array(normalisation.std)
    np.testing.assert_allclose(batches[0][0].permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_that_is_no_class_is_refused(label):
    split = digits(train=5).split("train")
    split = MemorySplit(split.images, [0, 1, label, 2, 3])
    with pytest.raises(InvalidLabel, match=f"class {label}; the classes go from 0 to 9"):
        Pixels(split, Normalisation(mean=(0.0,), std=(1.0,)), CPU, 10)
