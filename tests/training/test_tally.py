"""Loss and accuracy over batches are those over all pictures at once."""

import pytest
import torch
from torch.nn import functional

from darkroom.training import tally
from darkroom.training.tally import Tally


@pytest.mark.parametrize("most_values", [1, 60, 10_000])
def test_batches_of_any_size_add_up(monkeypatch, most_values):
    monkeypatch.setattr(tally, "MOST_VALUES", most_values)
    logits, labels = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 4
    counted = Tally(torch.device("cpu"))
    for part, its_labels in zip(logits.split([7, 20, 1, 22]), labels.split([7, 20, 1, 22]), strict=True):
        counted.add(part, its_labels)
    loss, accuracy, *_ = counted.result()
    assert loss == pytest.approx(functional.cross_entropy(logits.double(), labels).item(), rel=1e-6)
    assert accuracy == (logits.argmax(1) == labels).sum().item() / 50


@pytest.mark.parametrize("most_values", [1, 30, 10_000])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_batch_that_is_no_number_is_named(monkeypatch, most_values, value):
    monkeypatch.setattr(tally, "MOST_VALUES", most_values)
    counted = Tally(torch.device("cpu"))

    def add_all():
        for number in range(1, 8):
            logits = torch.zeros(5, 4)
            if number >= 4:
                logits[2, 1] = value
            counted.add(logits, torch.ones(5, dtype=torch.int64))
        counted.result()

    with pytest.raises(ArithmeticError, match="^4$"):
        add_all()
