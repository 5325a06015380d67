"""Learning rates: the same numbers as torch's schedulers give, batch by batch."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


def test_multistep_is_torchs_multistep():
    expected = theirs(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 3, 9], 0.3), each=PER_EPOCH)
    got = ours(Schedule(name="multistep", warmup_epochs=0, milestones=(2, 3, 9), step_factor=0.3))
    assert got == pytest.approx(expected)


def test_polynomial_is_torchs_polynomial():
    expected = theirs(lambda o: torch.optim.lr_scheduler.PolynomialLR(o, STEPS, power=2.5))
    assert ours(Schedule(name="polynomial", warmup_epochs=0, power=2.5)) == pytest.approx(expected)


def test_exponential_falls_by_its_factor_in_each_epoch():
    expected = theirs(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8 ** (1 / PER_EPOCH)))
    got = ours(Schedule(name="exponential", warmup_epochs=0, epoch_factor=0.8))
    assert got == pytest.approx(expected)
    assert got[3 * PER_EPOCH] == pytest.approx(LARGEST * 0.8**3)


def caffe(policy, largest, iteration, *, iterations, gamma=1.0, power=1.0, stepsize=1, stepvalues=()):
    """The policies as Caffe documents them, in iterations."""
    return (
        largest
        * {
            "fixed": lambda: 1.0,
            "step": lambda: gamma ** (iteration // stepsize),
            "exponential": lambda: gamma**iteration,
            "inverse": lambda: (1 + gamma * iteration) ** -power,
            "multistep": lambda: gamma ** sum(iteration >= value for value in stepvalues),
            "polynomial": lambda: (1 - iteration / iterations) ** power,
            "sigmoid": lambda: 1 / (1 + math.exp(-gamma * (iteration - stepsize))),
        }[policy]()
    )


@given(
    per_epoch=st.integers(1, 50),
    epochs=st.integers(1, 40),
    way=st.floats(0, 1, exclude_max=True),
    factor=st.floats(0.01, 1),
    gamma=st.floats(0.001, 10),
    power=st.floats(0.1, 5),
    milestones=st.sets(st.integers(1, 40), min_size=1, max_size=5),
    middle=st.floats(0, 1),
)
def test_each_policy_is_caffes_with_iterations_for_epochs(
    per_epoch, epochs, way, factor, gamma, power, milestones, middle
):
    total = per_epoch * epochs
    step = int(way * total)
    asked = {
        "fixed": ({}, {}),
        "step": (
            {"step_epochs": min(milestones), "step_factor": factor},
            {"gamma": factor, "stepsize": min(milestones) * per_epoch},
        ),
        "multistep": (
            {"milestones": tuple(sorted(milestones)), "step_factor": factor},
            {"gamma": factor, "stepvalues": [value * per_epoch for value in milestones]},
        ),
        "exponential": ({"epoch_factor": factor}, {"gamma": factor ** (1 / per_epoch)}),
        "inverse": ({"gamma": gamma, "power": power}, {"gamma": gamma / per_epoch, "power": power}),
        "polynomial": ({"power": power}, {"power": power}),
        "sigmoid": (
            {"steepness": gamma, "middle_share": middle},
            {"gamma": -gamma / per_epoch, "stepsize": middle * total},
        ),
    }
    for name, (options, theirs) in asked.items():
        schedule = Schedule(name=name, warmup_epochs=0, **options)
        got = learning_rate(schedule, 0.3, step=step, steps_per_epoch=per_epoch, total_steps=total)
        expected = caffe(name, 0.3, step, iterations=total, **theirs)
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-300), name


def test_a_very_steep_sigmoid_ends_near_nothing_and_not_in_an_error():
    schedule = Schedule(name="sigmoid", warmup_epochs=0, steepness=1000.0)
    assert ours(schedule)[0] == LARGEST
    assert 0 <= ours(schedule)[-1] < 1e-9


FALLING = ("exponential", "inverse", "polynomial", "cosine")


@pytest.mark.parametrize("name", FALLING)
def test_after_a_warm_up_a_falling_rate_begins_at_its_largest(name):
    rates = ours(Schedule(name=name, warmup_epochs=2))
    assert rates[2 * PER_EPOCH] == LARGEST
    assert all(after < before for before, after in pairwise(rates[2 * PER_EPOCH :]))


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


@pytest.mark.parametrize("name", Schedule.model_fields["name"].annotation.__args__)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_even_the_shortest_training_has_a_rate_above_zero_at_first(name, steps):
    rate = learning_rate(Schedule(name=name), LARGEST, step=0, steps_per_epoch=1, total_steps=steps)
    assert 0 < rate <= LARGEST
