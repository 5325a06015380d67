"""Mixup and cutmix: pictures and answers are shared alike, and train figures say so honestly."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load, unpack
from darkroom.training import Loss, Mixing, Recipe
from darkroom.training.loop import train
from darkroom.training.loss import TrainingLoss
from darkroom.training.mixing import MixedLabels, MixedLoss, MixedTally, Mixer
from tests.training.digits import FACTS, digits

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=6, threads=1, device="cpu", batch_size=32)


def batch(count=12, side=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(count, 3, side, side + 4, generator=generator)
    return pictures, torch.arange(count) % 5


def logits(count=12, seed=1):
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


def test_mixup_blends_two_pictures_by_the_share_of_their_answer():
    pictures, labels = batch()
    mixed, shown = Mixer(Mixing(mixup=1.0), 7)(pictures, labels)
    assert 0 < shown.share < 1
    assert torch.equal(shown.first, labels)
    for number in range(len(pictures)):
        partners = (labels == shown.second[number]).nonzero()[:, 0]
        blends = [shown.share * pictures[number] + (1 - shown.share) * pictures[p] for p in partners]
        assert any(torch.allclose(mixed[number], blend, atol=1e-6) for blend in blends)


@pytest.mark.parametrize("seed", range(6))
def test_cutmix_pastes_a_rectangle_and_its_pixels_are_the_share(seed):
    pictures, labels = batch()
    mixed, shown = Mixer(Mixing(cutmix=1.0), seed)(pictures, labels)
    own = (mixed == pictures).all(1)  # (n, H, W)
    partner_differs = shown.first != shown.second
    share = own.float().mean((1, 2))
    assert torch.allclose(share[partner_differs], torch.tensor(shown.share), atol=1e-6)
    pasted = ~own[partner_differs][0]
    rows, columns = pasted.any(1).nonzero()[:, 0], pasted.any(0).nonzero()[:, 0]
    if len(rows):
        assert pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert torch.equal(pictures, batch()[0])


def test_with_both_on_each_has_its_batches():
    mixer = Mixer(Mixing(mixup=1.0, cutmix=1.0), 0)
    pictures, labels = batch()
    pasted = 0
    for _ in range(40):
        mixed, _ = mixer(pictures, labels)
        own = (mixed == pictures).all(1).float().mean((1, 2))  # 1 where a picture met itself
        pasted += bool(((own > 0) & (own < 1)).any())
    assert 8 < pasted < 32


@pytest.mark.parametrize("loss", [Loss(), Loss(label_smoothing=0.1)], ids=["plain", "smoothed"])
def test_the_loss_is_that_of_the_soft_answer(loss):
    answers = logits()
    labels = MixedLabels(torch.arange(12) % 5, torch.arange(12) * 2 % 5, 0.3)
    soft = 0.3 * functional.one_hot(labels.first, 5) + 0.7 * functional.one_hot(labels.second, 5)
    expected = functional.cross_entropy(answers, soft, label_smoothing=loss.label_smoothing)
    found = MixedLoss(TrainingLoss(loss, None, CPU))(answers, labels)
    assert torch.allclose(found, expected, atol=1e-6)


def test_train_figures_are_those_of_shared_answers():
    tally, shares = MixedTally(CPU), (0.3, 0.9)
    losses, right = [], []
    for seed, share in enumerate(shares):
        answers = logits(seed=seed)
        labels = MixedLabels(torch.arange(12) % 5, torch.arange(12) * 2 % 5, share)
        tally.add(answers, labels)
        for row, first, second in zip(answers, labels.first, labels.second, strict=True):
            soft = share * functional.one_hot(first, 5) + (1 - share) * functional.one_hot(second, 5)
            losses.append(float(-(soft * functional.log_softmax(row, 0)).sum()))
            answer = int(row.argmax())
            right.append(share * (answer == int(first)) + (1 - share) * (answer == int(second)))
    found = tally.result()
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.accuracy == pytest.approx(np.mean(right), rel=1e-6)


def test_a_loss_that_is_no_number_names_its_batch():
    tally = MixedTally(CPU)
    labels = MixedLabels(torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64), 0.5)
    for value in (0.0, float("nan"), 0.0):
        tally.add(torch.full((2, 5), value), labels)
    with pytest.raises(ArithmeticError, match=r"^2$"):
        tally.result()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training without mixing, with each way of it, and with mixup once more."""
    folder, rendering = tmp_path_factory.mktemp("mixed"), digits(300, 200)
    kinds = {
        "plain": Mixing(),
        "mixup": Mixing(mixup=1.0),
        "again": Mixing(mixup=1.0),
        "cutmix": Mixing(cutmix=1.0),
    }
    return {
        name: train(
            folder / name,
            rendering=rendering,
            recipe=RECIPE.model_copy(update={"mixing": mixing}),
            seed=0,
            facts=FACTS,
        )
        for name, mixing in kinds.items()
    }, folder


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_network_that_saw_mixed_pictures_is_less_sure(runs, kind):
    val, sure = digits(300, 200).split("val"), {}
    for name in ("plain", kind):
        model = ImageModel.of(*load(runs[1] / name / "checkpoints" / "last.safetensors"))
        sure[name] = float(predict(model, [val.images]).max(1).mean())
    assert sure[kind] < sure["plain"] - 0.05
    assert runs[0][kind].last.val_accuracy > 0.5


def test_train_figures_of_mixed_pictures_lie_below_those_of_val(runs):
    mixed, plain = runs[0]["mixup"].last, runs[0]["plain"].last
    assert mixed.train_accuracy < mixed.val_accuracy
    assert mixed.train_loss > plain.train_loss


def test_the_same_seed_gives_the_same_bits(runs):
    first, second = (
        unpack(runs[1] / name / "checkpoints" / "last.safetensors")[0] for name in ("mixup", "again")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
