"""Predicting is the same however the pictures are cut into batches."""

import numpy as np
import pytest
import torch

from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict, predict_with_embedding
from darkroom.records import Normalisation


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = build("lenet5", channels=1, size=(16, 16), classes=4, options={"dropout": 0.5})
    return ImageModel(network, Normalisation(mean=(0.3,), std=(0.4,))).train()


def pictures(count):
    return np.random.default_rng(1).integers(0, 256, (count, 16, 16, 1), np.uint8)


def test_batches_of_any_size_give_the_same_answers(model):
    images = pictures(21)
    at_once = predict(model, [images])
    assert at_once.shape == (21, 4)
    assert at_once.dtype == np.float32
    np.testing.assert_allclose(predict(model, np.array_split(images, 6), batch_size=2), at_once, atol=1e-6)


def test_a_buffer_may_be_reused_between_batches(model):
    images, buffer = pictures(12), np.empty((4, 16, 16, 1), np.uint8)

    def batches():
        for start in range(0, 12, 4):
            buffer[:] = images[start : start + 4]
            yield buffer

    np.testing.assert_array_equal(predict(model, batches()), predict(model, np.split(images, 3)))


def test_memory_that_cannot_be_written_is_read(model):
    images = pictures(3)
    images.flags.writeable = False
    assert predict(model, [images]).shape == (3, 4)


def test_embeddings_lead_to_the_probabilities(model):
    probabilities, embeddings = predict_with_embedding(model, [pictures(5)])
    logits = model.network.head(torch.from_numpy(embeddings))
    np.testing.assert_allclose(torch.softmax(logits, 1).detach().numpy(), probabilities, atol=1e-6)


def test_no_pictures_give_no_answers(model):
    assert len(predict(model, [])) == 0
