"""The graph that leaves: uint8 pictures in, probabilities out, the same in torch.export."""

import numpy as np
import pytest
import torch

from darkroom.networks import build
from darkroom.networks.image_model import ImageModel, normalise, scale_and_shift
from darkroom.records import Normalisation

NORMALISATION = Normalisation(mean=(0.48, 0.45, 0.4), std=(0.23, 0.22, 0.21))


def model(with_embedding=False):
    torch.manual_seed(3)
    network = build("lenet5", channels=3, size=(20, 24), classes=5).eval()
    return ImageModel(network, NORMALISATION, with_embedding=with_embedding).eval()


def pictures(count=6):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 20, 24, 3), np.uint8))


def test_normalisation_is_that_of_the_card():
    images = pictures()
    expected = (images.numpy() / 255 - np.array(NORMALISATION.mean)) / np.array(NORMALISATION.std)
    got = normalise(images, *scale_and_shift(NORMALISATION))
    assert got.shape == (6, 3, 20, 24)
    np.testing.assert_allclose(got.permute(0, 2, 3, 1).numpy(), expected, atol=1e-6)


def test_probabilities_are_the_softmax_of_the_network():
    made = model()
    logits = made.network(normalise(pictures(), *scale_and_shift(NORMALISATION)))
    assert torch.equal(made(pictures()), torch.softmax(logits, 1))
    torch.testing.assert_close(made(pictures()).sum(1), torch.ones(6))


def test_the_embedding_is_a_second_output_on_request():
    probabilities, embedding = model(with_embedding=True)(pictures())
    assert embedding.shape == (6, 84)
    assert torch.equal(probabilities, model()(pictures()))


@pytest.mark.parametrize("with_embedding", [False, True])
def test_the_graph_exports_with_any_number_of_pictures(with_embedding):
    made = model(with_embedding)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(made, (pictures(2),), dynamic_shapes=({0: batch},)).module()
    for count in (1, 2, 7):
        torch.testing.assert_close(exported(pictures(count)), made(pictures(count)))
