"""Evaluating a run: its weights, a split in memory, and the files it leaves."""

import numpy as np
import pytest
import torch

from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.evaluation.judgement import judge
from darkroom.evaluation.predictions import load_predictions
from darkroom.evaluation.run import evaluate_run, evaluation_path, load_evaluation
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.networks.saved import save
from darkroom.records import Contract, ModelCard, Normalisation, now

CLASSES = ("ant", "bee", "cat")


class InMemory:
    """A split whose pictures lie in memory."""

    def __init__(self, count, seed=0):
        generator = np.random.default_rng(seed)
        self.pixels = generator.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        self.labels = generator.integers(0, 3, count)
        self.image_ids = tuple(f"{n:064x}" for n in range(count))
        self.groups = tuple(f"g{n // 2}" if n % 3 else None for n in range(count))

    def gather(self, indices, out=None):
        if out is None:
            return self.pixels[indices]
        np.take(self.pixels, indices, axis=0, out=out)
        return out


@pytest.fixture
def run_folder(tmp_path):
    torch.manual_seed(3)
    card = ModelCard(
        task="classification",
        labels=CLASSES,
        network="lenet5",
        contract=Contract(width_px=28, height_px=28, colour="grey"),
        normalisation=Normalisation(mean=(0.5,), std=(0.25,)),
        run="r-7",
        epoch=4,
        seed=2,
        dataset="toys@1",
        dataset_id="abc",
        created_at=now(),
    )
    network = build("lenet5", channels=1, size=(28, 28), classes=3)
    save(tmp_path / "r-7" / "checkpoints" / "best.safetensors", network, card)
    return tmp_path / "r-7"


def test_an_evaluation_is_the_judgement_of_what_the_network_answers(run_folder):
    images = InMemory(70)
    found = evaluate_run(run_folder, images, batch_size=32, draws=50)
    from darkroom.networks.saved import load

    with torch.inference_mode():
        expected = ImageModel.of(*load(run_folder / "checkpoints" / "best.safetensors"))(
            torch.from_numpy(images.pixels)
        ).numpy()
    kept = load_predictions(run_folder, "test")
    assert np.abs(kept.probabilities - expected).max() < 1e-6
    judged = judge(
        images.labels, kept.probabilities, images.image_ids, images.groups, classes=CLASSES, draws=50
    )
    assert found.figures == judged.figures
    assert found.worst == judged.worst
    assert (found.source.run, found.source.seed, found.source.epoch) == ("r-7", 2, 4)
    assert found.figures.groups is not None


def test_what_was_answered_is_kept_and_read_back(run_folder):
    images = InMemory(10)
    found = evaluate_run(run_folder, images, split="val", draws=20)
    assert load_evaluation(run_folder, "val") == found
    kept = load_predictions(run_folder, "val")
    assert kept.image_ids == images.image_ids
    assert kept.groups == images.groups
    assert np.array_equal(kept.labels, images.labels)
    assert kept.probabilities.dtype == np.float32
    assert not list(run_folder.glob(".aside*"))


def test_looks_at_a_split_are_counted(run_folder):
    images = InMemory(10)
    assert [evaluate_run(run_folder, images, draws=20).looks for _ in range(3)] == [1, 2, 3]
    assert evaluate_run(run_folder, images, split="val", draws=20).looks == 1


def test_progress_is_told_to_the_last_image(run_folder):
    told = []
    evaluate_run(
        run_folder,
        InMemory(70),
        batch_size=32,
        draws=20,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(32, 70), (64, 70), (70, 70)]


def test_an_empty_split_is_refused_in_words(run_folder):
    with pytest.raises(Invalid, match="no images"):
        evaluate_run(run_folder, InMemory(0))
    assert not evaluation_path(run_folder).exists()


def test_other_classes_than_the_models_are_refused(run_folder):
    with pytest.raises(Invalid, match="ant, bee, cat"):
        evaluate_run(run_folder, InMemory(4), classes=("ant", "cat", "bee"))


def test_a_model_that_answers_nan_is_refused(run_folder):
    from darkroom.networks.saved import load

    path = run_folder / "checkpoints" / "best.safetensors"
    network, card = load(path)
    torch.nn.init.constant_(network.head.bias, float("nan"))
    save(path, network, card)
    with pytest.raises(Invalid, match="diverged"):
        evaluate_run(run_folder, InMemory(4))


def test_missing_weights_and_missing_evaluations_are_not_found(run_folder):
    with pytest.raises(NotFound):
        evaluate_run(run_folder, InMemory(4), weights="epoch-099")
    with pytest.raises(NotFound, match="not evaluated on val"):
        load_evaluation(run_folder, "val")
    with pytest.raises(NotFound):
        load_predictions(run_folder, "val")


@pytest.mark.parametrize("name", ["predictions-test.npy", "predictions-test.json"])
def test_predictions_that_were_cut_are_damaged(run_folder, name):
    evaluate_run(run_folder, InMemory(10), draws=20)
    path = run_folder / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Damaged, match="Evaluate the run again"):
        load_predictions(run_folder, "test")


def test_an_evaluation_that_was_cut_is_damaged(run_folder):
    evaluate_run(run_folder, InMemory(10), draws=20)
    path = evaluation_path(run_folder)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Damaged):
        load_evaluation(run_folder)


def test_pictures_of_another_size_are_refused_in_words(run_folder):
    images = InMemory(4)
    images.pixels = images.pixels[:, :20]
    with pytest.raises(Invalid, match=r"\(28, 28, 1\)"):
        evaluate_run(run_folder, images)
