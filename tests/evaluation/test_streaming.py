"""Large evaluations: memory that does not grow with the images, files that are the same as before."""

import hashlib
import io
import tracemalloc

import numpy as np
import pytest

from darkroom.evaluation import load_predictions, save_predictions
from darkroom.evaluation.predictions import LARGE_BYTES, Predictions
from darkroom.evaluation.run import evaluate_run
from tests.evaluation.test_run import InMemory, run_folder  # noqa: F401

AT_ONCE = 1000


class Endless(InMemory):
    """Pictures that are made as they are looked at."""

    def __init__(self, count):
        super().__init__(AT_ONCE)
        self.labels = np.resize(self.labels, count)
        self.image_ids = tuple(f"{n:064x}" for n in range(count))
        self.groups = None

    def gather(self, indices, out=None):
        return super().gather(indices % AT_ONCE, out)


def peak_bytes(folder, count):
    images = Endless(count)
    tracemalloc.start()
    try:
        evaluate_run(folder, images, draws=500)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_hundred_thousand_images_take_little_more_memory_than_ten_thousand(run_folder):  # noqa: F811
    small, large = peak_bytes(run_folder, 10_000), peak_bytes(run_folder, 100_000)
    # Ids and labels, which the test makes before, are not in it; draws × images would be 400 MB.
    assert large - small < 30_000_000
    found = load_predictions(run_folder, "test")
    assert found.probabilities.shape == (100_000, 3)
    assert np.allclose(found.probabilities[:AT_ONCE], found.probabilities[-AT_ONCE:])


def test_large_probabilities_lie_in_a_file_and_give_the_same(run_folder, monkeypatch):  # noqa: F811
    images = InMemory(90)
    plain = evaluate_run(run_folder, images, draws=200)
    for module in ("run", "predictions"):
        monkeypatch.setattr(f"darkroom.evaluation.{module}.LARGE_BYTES", 100)
    mapped = evaluate_run(run_folder, images, draws=200)
    assert mapped.predictions_sha256 == plain.predictions_sha256
    assert mapped.figures == plain.figures
    assert mapped.curves == plain.curves
    assert isinstance(load_predictions(run_folder, "test").probabilities, np.memmap)
    assert not list(run_folder.glob(".aside-*"))
    assert LARGE_BYTES > 1e6


def test_a_file_written_in_parts_is_the_one_that_numpy_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("darkroom.evaluation.predictions.PART_BYTES", 64)
    probabilities = np.random.default_rng(0).random((37, 3), np.float32)
    brightness = np.linspace(0, 1, 37, dtype=np.float32)
    ids = tuple(f"i{n}" for n in range(37))
    given = Predictions(ids, np.zeros(37, int), None, probabilities, brightness)
    _, sha256 = save_predictions(tmp_path, "val", given)
    buffer = io.BytesIO()
    np.save(buffer, probabilities)
    assert (tmp_path / "predictions-val.npy").read_bytes() == buffer.getvalue()
    assert sha256 == hashlib.sha256(buffer.getvalue()).hexdigest()
    found = load_predictions(tmp_path, "val")
    assert found.brightness == pytest.approx(brightness, abs=1e-4)


def test_brightness_is_the_mean_of_each_tensor(run_folder):  # noqa: F811
    images = InMemory(40)
    evaluate_run(run_folder, images, draws=20)
    found = load_predictions(run_folder, "test").brightness
    assert found == pytest.approx(images.pixels.reshape(40, -1).mean(axis=1) / 255, abs=1e-4)


def test_an_evaluation_looks_deeper(run_folder):  # noqa: F811
    found = evaluate_run(run_folder, InMemory(90), draws=100)
    assert found.curves is not None
    assert found.calibration is not None
    assert found.calibration.after is None
    assert (found.operating, found.pair_costs, found.slices) == (None, (), None)
