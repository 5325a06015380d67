"""The training loss follows its formula, class weights count as said, and parts add up to the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from darkroom.training import Loss
from darkroom.training.loss import TrainingLoss, weights_of

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")


def answers(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 3
    return logits.float(), torch.randint(3, (count,), generator=generator)


def by_hand(logits, labels, *, gamma=0.0, smoothing=0.0, weights=(1.0, 1.0, 1.0)):
    """The formula in plain numbers, picture by picture."""
    total = weight_sum = 0.0
    for row, label in zip(logits.double().numpy(), labels.tolist(), strict=True):
        probabilities = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        target = np.full(3, smoothing / 3)
        target[label] += 1 - smoothing
        each = -(target * np.log(probabilities)).sum() * (1 - probabilities[label]) ** gamma
        total += weights[label] * each
        weight_sum += weights[label]
    return total / weight_sum


def test_the_default_is_the_same_bits_as_torchs_cross_entropy():
    logits, labels = answers()
    found = TrainingLoss(Loss(), None, CPU)(logits, labels)
    assert torch.equal(found, functional.cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("chosen", "formula"),
    [
        (Loss(label_smoothing=0.2), {"smoothing": 0.2}),
        (Loss(name="focal"), {"gamma": 2.0}),
        (Loss(name="focal", focal_gamma=0.5), {"gamma": 0.5}),
        (Loss(name="focal", focal_gamma=0.0), {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 4.0)])
def test_a_loss_follows_its_formula(chosen, formula, weights):
    logits, labels = answers()
    expected = by_hand(logits, labels, weights=weights or (1.0,) * 3, **formula)
    assert TrainingLoss(chosen, weights, CPU)(logits, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 10.0])
def test_focal_loss_has_a_gradient_even_where_the_answer_is_certain(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0], [-200.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    TrainingLoss(Loss(name="focal", focal_gamma=gamma), None, CPU)(
        logits, torch.tensor([0, 0, 0])
    ).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().sum() > 0.1


@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 4.0)])
@pytest.mark.parametrize("chosen", [Loss(), Loss(label_smoothing=0.1), Loss(name="focal")], ids=str)
@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_batches_by_their_shares_add_up_to_all_pictures_in_one(chosen, weights, sizes):
    loss = TrainingLoss(chosen, weights, CPU)
    logits, labels = answers(sum(sizes))
    parts = list(zip(logits.split(sizes), labels.split(sizes), strict=True))
    shares = loss.shares([part for _, part in parts])
    total = sum(share * loss(*part) for share, part in zip(shares, parts, strict=True))
    torch.testing.assert_close(total, loss(logits, labels))


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0] * 70 + [1] * 25 + [2] * 5)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = weights_of(Loss(class_weights="balanced"), CLASSES, labels)
    assert found == pytest.approx(expected)
    assert np.mean(np.array(found)[labels]) == pytest.approx(1.0)


def test_a_class_without_pictures_does_not_spoil_the_others():
    labels = np.array([0, 0, 0, 2])
    assert weights_of(Loss(class_weights="balanced"), CLASSES, labels) == (4 / 6, 1.0, 2.0)


def test_a_class_that_is_not_named_weighs_one():
    chosen = Loss(class_weights="by-name", weight_by_class={"c": 5.0})
    assert weights_of(chosen, CLASSES, np.zeros(3, np.int64)) == (1.0, 1.0, 5.0)
    assert weights_of(Loss(), CLASSES, np.zeros(3, np.int64)) is None
