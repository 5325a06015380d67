"""Learning rates: the same numbers as torch's schedulers give, batch by batch."""

from itertools import pairwise

import pytest
import torch

from darkroom.training import Schedule
from darkroom.training.schedule import learning_rate

PER_EPOCH, EPOCHS, LARGEST = 7, 12, 0.3
STEPS = PER_EPOCH * EPOCHS


def ours(schedule):
    return [
        learning_rate(schedule, LARGEST, step=step, steps_per_epoch=PER_EPOCH, total_steps=STEPS)
        for step in range(STEPS)
    ]


def theirs(make, *, each=1):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LARGEST)
    scheduler, rates = make(optimiser), []
    for step in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if (step + 1) % each == 0 and step + 1 < STEPS:
            scheduler.step()
    return rates


def test_fixed_does_not_move():
    assert set(ours(Schedule(name="fixed", warmup_epochs=0))) == {LARGEST}


def test_step_is_torchs_step():
    expected = theirs(lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.2), each=PER_EPOCH)
    got = ours(Schedule(name="step", warmup_epochs=0, step_epochs=5, step_factor=0.2))
    assert got == pytest.approx(expected)


def test_cosine_is_torchs_cosine():
    expected = theirs(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1 * LARGEST))
    assert ours(Schedule(name="cosine", warmup_epochs=0, final_share=0.1)) == pytest.approx(expected)


def test_one_cycle_is_torchs_one_cycle():
    def make(optimiser):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            LARGEST,
            total_steps=STEPS,
            pct_start=0.25,
            div_factor=20,
            final_div_factor=50,
            cycle_momentum=False,
        )

    schedule = Schedule(name="one-cycle", start_share=1 / 20, rise_share=0.25, final_share=1 / 1000)
    assert ours(schedule) == pytest.approx(theirs(make))


@pytest.mark.parametrize("name", ["fixed", "step", "cosine"])
def test_warm_up_rises_in_a_straight_line(name):
    rates = ours(Schedule(name=name, warmup_epochs=2))
    rise = [after - before for before, after in pairwise(rates[:15])]
    assert rise == pytest.approx([LARGEST / 15] * 14)
    assert max(rates) == pytest.approx(LARGEST)


@pytest.mark.parametrize("name", ["fixed", "step", "cosine", "one-cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_even_the_shortest_training_has_a_rate_above_zero_at_first(name, steps):
    rate = learning_rate(Schedule(name=name), LARGEST, step=0, steps_per_epoch=1, total_steps=steps)
    assert 0 < rate <= LARGEST
