"""What is subtracted from pictures: each kind is what it says, in training as in the graph."""

import hashlib

import numpy as np
import pytest
import torch

from darkroom.networks import build
from darkroom.networks.image_model import ImageModel, normalise, scale_and_shift
from darkroom.records import Normalisation
from darkroom.training import Augment
from darkroom.training.augment import Augmenter
from darkroom.training.normalisation import measure_normalisation, normalisation_of
from darkroom.training.pixels import Pixels
from tests.training.digits import MemorySplit

CPU = torch.device("cpu")
KINDS = ("mean-std", "mean-pixel", "mean-image", "none")


def pictures(channels=3, count=1300):
    random = np.random.default_rng(0)
    where = np.linspace(20, 200, 12 * 10).reshape(12, 10, 1)
    images = np.clip(where + random.normal(0, 30, (count, 12, 10, channels)), 0, 255).astype(np.uint8)
    return MemorySplit(images, random.integers(0, 3, count))


def expected(kind, images):
    share = images.astype(np.float64) / 255
    if kind == "mean-std":
        return (share - share.mean((0, 1, 2))) / share.std((0, 1, 2))
    mean = {"mean-pixel": share.mean((0, 1, 2)), "mean-image": share.mean(0), "none": 0.0}[kind]
    return share - mean


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_what_it_says_in_training_and_in_the_graph(kind, channels):
    split = pictures(channels)
    normalisation, image = normalisation_of(kind, split, "train split")
    assert (normalisation.kind, image is None) == (kind, kind != "mean-image")
    chosen = torch.tensor([0, 7, 1299])
    wanted = expected(kind, split.images)[chosen.numpy()].transpose(0, 3, 1, 2)
    for most in (1 << 30, split.images.size + 1, 0):  # as float32, as uint8, gathered
        pixels = Pixels(split, normalisation, CPU, 3, mean_image=image, most_bytes=most)
        np.testing.assert_allclose(pixels.batch(chosen)[0], wanted, atol=1e-5)
    graph = normalise(torch.from_numpy(split.images[chosen]), *scale_and_shift(normalisation, image))
    np.testing.assert_allclose(graph, wanted, atol=1e-5)


def test_auto_is_the_mean_and_deviation_of_the_train_split_unless_weights_bring_their_own():
    split = pictures()
    assert normalisation_of("auto", split, "here") == (measure_normalisation(split, "here"), None)
    theirs = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), source="weights")
    assert normalisation_of("auto", split, "here", of_weights=theirs) == (theirs, None)
    assert normalisation_of("mean-std", split, "here", of_weights=theirs)[0].source == "here"


def test_the_mean_picture_does_not_depend_on_the_order_of_pictures_and_is_named_by_its_hash():
    split = pictures()
    shuffled = MemorySplit(split.images[::-1], split.labels[::-1])
    normalisation, image = normalisation_of("mean-image", split, "")
    again, same = normalisation_of("mean-image", shuffled, "")
    assert torch.equal(image, same)
    assert normalisation == again
    assert normalisation.image_sha256 == hashlib.sha256(image.numpy().tobytes()).hexdigest()
    assert normalisation.mean == pytest.approx(split.images.mean((0, 1, 2)) / 255)


def test_the_mean_picture_stays_where_it_is_while_pictures_move():
    split = pictures()
    normalisation, image = normalisation_of("mean-image", split, "")
    flip = Augment(flip="horizontal")
    augmenter = Augmenter(flip, split.shape, normalisation, CPU, image)
    draws = augmenter.draw(50, torch.Generator().manual_seed(0))
    mirrored = draws.theta[:, 0, 0] < 0
    assert mirrored.any()
    share = split.images[:50].astype(np.float64) / 255
    wanted = (
        np.where(mirrored.numpy()[:, None, None, None], share[:, :, ::-1], share) - image.double().numpy()
    )
    values = torch.from_numpy((share - image.double().numpy()).transpose(0, 3, 1, 2)).float()
    got = augmenter.apply(values, draws, torch.Generator())
    np.testing.assert_allclose(got.permute(0, 2, 3, 1), wanted, atol=1e-4)


def test_changes_of_colour_stay_between_black_and_white_with_a_mean_picture():
    split = pictures()
    normalisation, image = normalisation_of("mean-image", split, "")
    augmenter = Augmenter(Augment(brightness=1.0, noise=0.3), split.shape, normalisation, CPU, image)
    values, _ = Pixels(split, normalisation, CPU, 3, mean_image=image).batch(torch.arange(64))
    got = augmenter.apply(values, augmenter.draw(64, torch.Generator().manual_seed(0)), torch.Generator())
    share = got.permute(0, 2, 3, 1) + image
    assert -1e-5 <= share.min() < 0.01
    assert 0.99 < share.max() <= 1 + 1e-5


def test_without_augmentation_pictures_with_a_mean_picture_are_not_touched():
    split = pictures()
    normalisation, image = normalisation_of("mean-image", split, "")
    augmenter = Augmenter(Augment(), split.shape, normalisation, CPU, image)
    values, _ = Pixels(split, normalisation, CPU, 3, mean_image=image).batch(torch.arange(8))
    assert augmenter.apply(values, augmenter.draw(8, torch.Generator()), torch.Generator()) is values


def test_a_graph_is_not_made_with_the_mean_picture_missing_or_too_many():
    network = build("lenet5", channels=3, size=(12, 12), classes=3)
    with_image = Normalisation(kind="mean-image", mean=(0.5,) * 3, std=(1.0,) * 3)
    with pytest.raises(ValueError, match="mean picture"):
        ImageModel(network, with_image)
    network.mean_image = torch.zeros(12, 12, 3)
    ImageModel(network, with_image)
    with pytest.raises(ValueError, match="mean picture"):
        ImageModel(network, Normalisation(mean=(0.5,) * 3, std=(1.0,) * 3))
