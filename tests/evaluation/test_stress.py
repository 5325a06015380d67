"""What stress does to pictures, and several clones asked in one pass."""

import numpy as np
import pytest
import torch

from darkroom.evaluation.panel import ClonePanel
from darkroom.evaluation.stress import STRESSES, Stressed, blurred, inverted, recoloured, shifted
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.networks.panel import Panel
from darkroom.networks.saved import save
from darkroom.records import ModelCard, Normalisation, now
from tests.evaluation import masked_runs
from tests.training.digits import FACTS, digits

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)


def test_shift_moves_by_an_eighth_and_repeats_the_edge():
    found = shifted(PHOTOS)
    assert np.array_equal(found[:, 2:, 3:], PHOTOS[:, :-2, :-3])
    assert np.array_equal(found[:, 0, 3:], PHOTOS[:, 0, :-3])


def test_blur_keeps_flat_pictures_and_flattens_others():
    flat = np.full((2, 16, 16, 1), 77, np.uint8)
    assert np.array_equal(blurred(flat), flat)
    assert blurred(PHOTOS).std() < 0.7 * PHOTOS.std()
    assert abs(float(blurred(PHOTOS).mean()) - float(PHOTOS.mean())) < 1


def test_inverting_twice_gives_the_picture_back():
    assert np.array_equal(inverted(inverted(PHOTOS)), PHOTOS)
    assert inverted(PHOTOS)[0, 0, 0, 0] == 255 - PHOTOS[0, 0, 0, 0]


def test_recolouring_turns_the_channels_and_pales_grey():
    assert np.array_equal(recoloured(PHOTOS)[..., 0], PHOTOS[..., 1])
    grey = recoloured(PHOTOS[..., :1])
    assert (grey.min(), grey.max()) >= (64, 64)
    assert grey.max() <= 191


@pytest.mark.parametrize("name", STRESSES)
def test_stress_keeps_shape_and_kind_and_fills_a_buffer(name):
    images = digits(train=8, val=4).split("train")
    stressed, out = Stressed(images, name), np.zeros((3, 16, 16, 1), np.uint8)
    at = np.array([5, 0, 2])
    assert stressed.gather(at, out) is out
    assert np.array_equal(out, stressed.gather(at))
    assert np.array_equal(out, STRESSES[name](images.gather(at)))
    assert not np.array_equal(out, images.gather(at))
    assert (stressed.image_ids, len(stressed)) == (images.image_ids, 8)


def test_a_mask_moves_with_its_picture_and_says_nothing_where_nothing_was():
    images = masked_runs.split(2)
    own, moved = images.gather_masks(np.arange(2)), Stressed(images, "shift").gather_masks(np.arange(2))
    down, right = own.shape[1] // 8, own.shape[2] // 8
    assert np.array_equal(moved[:, down:, right:], own[:, :-down, :-right])
    assert (moved[:, :down] == 255).all()
    assert np.array_equal(Stressed(images, "blur").gather_masks(np.arange(2)), own)


def run_folder(folder, seed, *, same_body=False):
    """Writes a run with random weights; returns its folder."""
    torch.manual_seed(0 if same_body else seed)
    network = build("lenet5", channels=1, size=(16, 16), classes=10).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape, generator=torch.manual_seed(seed)))
    card = ModelCard(
        task="classification",
        labels=FACTS.labels,
        network="lenet5",
        contract=FACTS.contract,
        normalisation=Normalisation(mean=(0.3,), std=(0.3,)),
        run=f"r-{seed}",
        epoch=1,
        dataset="digits@1",
        dataset_id="d",
        created_at=now(),
    )
    save(folder / f"r-{seed}" / "checkpoints" / "best.safetensors", network, card)
    return folder / f"r-{seed}"


@pytest.mark.parametrize("same_body", [False, True])
def test_clones_asked_together_answer_as_each_alone(tmp_path, same_body):
    folders = [run_folder(tmp_path, seed, same_body=same_body) for seed in (1, 2, 3)]
    images = digits(train=4, val=30).split("val")
    panel = ClonePanel(folders, FACTS.labels)
    assert panel.panel.one_body is same_body
    found = panel.figures(images)
    for folder, figures in zip(folders, found, strict=True):
        assert figures == ClonePanel([folder], FACTS.labels).figures(images)[0]
    assert list(found[0]) == ["accuracy", "macro_f1", "balanced_accuracy", "log_loss"]
    assert found[0] != found[1]


def test_a_shared_body_runs_once(tmp_path, monkeypatch):
    folders = [run_folder(tmp_path, seed, same_body=True) for seed in (1, 2, 3, 4)]
    calls = []
    plain = ImageModel.features
    monkeypatch.setattr(ImageModel, "features", lambda self, x: calls.append(len(x)) or plain(self, x))
    ClonePanel(folders, FACTS.labels).figures(digits(train=4, val=30).split("val"))
    assert calls == [30]


def test_masks_of_clones_together_are_those_of_the_mean_probability(tmp_path):
    folders = [masked_runs.run_folder(tmp_path, seed, f"r-{seed}") for seed in (1, 2)]
    images = masked_runs.split(3)
    panel = ClonePanel(folders, masked_runs.LABELS)
    found = panel.figures(images)
    assert list(found[0]) == ["miou", "pixel_accuracy", "boundary_f1"]
    together = panel.masks_together(images)
    pictures = torch.from_numpy(images.gather(np.arange(3)))
    model = Panel([one for one in panel.panel.models])
    with torch.inference_mode():
        answers = model.answer(pictures)[0].mean(1).argmax(-1).numpy()
    right = images.gather_masks(np.arange(3))
    known = right != 255
    assert int(together.counts[:, 0].sum()) == int(((answers == right) & known).sum())
