"""The saved state: what goes on from it goes on to the same bits, and what does not fit is refused."""

import pytest
import torch
from torch.amp import GradScaler
from torch.nn import functional

from darkroom.errors import Conflict, Damaged
from darkroom.networks import build
from darkroom.records import MetricPoint
from darkroom.training import Augment, Optimiser, Recipe
from darkroom.training.checkpoint import (
    Identity,
    Progress,
    check_same,
    read_progress,
    restore,
    write_state,
)
from darkroom.training.optimiser import make_optimiser
from tests.training.digits import FACTS

CPU = torch.device("cpu")


def identity(recipe=None, seed=1):
    return Identity(
        recipe=recipe or Recipe(),
        seed=seed,
        dataset_id=FACTS.dataset_id,
        labels=FACTS.labels,
        contract=FACTS.contract,
    )


def progress(epochs=1):
    points = tuple(
        MetricPoint(
            epoch=epoch,
            step=10 * epoch,
            train_loss=0.1 / 3,
            train_accuracy=2 / 3,
            learning_rate=1e-3,
            images_per_second=1e4,
            duration_s=0.5,
        )
        for epoch in range(1, epochs + 1)
    )
    return Progress(identity=identity(), threads=1, history=points, best_epoch=1, compared_epoch=1)


def fresh(name, seed):
    torch.manual_seed(seed)
    network = build("lenet5", channels=3, size=(16, 16), classes=10).to(memory_format=torch.channels_last)
    return network, make_optimiser(Recipe(optimiser=Optimiser(name=name)), network, CPU)


def step(network, optimiser, number):
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(number))
    functional.cross_entropy(network(x), torch.arange(8)).backward()
    optimiser.step()
    optimiser.zero_grad()


@pytest.mark.parametrize("name", Optimiser.model_fields["name"].annotation.__args__)
def test_a_restored_training_goes_on_to_the_same_bits(tmp_path, name):
    path = tmp_path / "resume.safetensors"
    network, optimiser = fresh(name, seed=0)
    for number in range(3):
        step(network, optimiser, number)
    write_state(path, network, optimiser, progress())
    other, its_optimiser = fresh(name, seed=99)
    restore(path, other, its_optimiser)
    for number in range(3, 6):
        step(network, optimiser, number)
        step(other, its_optimiser, number)
    for key, weight in network.state_dict().items():
        assert torch.equal(other.state_dict()[key], weight), key


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_restored_momentum_lies_in_memory_as_its_weights_do(tmp_path, name):
    path = tmp_path / "resume.safetensors"
    network, optimiser = fresh(name, seed=0)
    step(network, optimiser, 0)
    write_state(path, network, optimiser, progress())
    other, its_optimiser = fresh(name, seed=1)
    restore(path, other, its_optimiser)
    kernels = [weight for weight in other.parameters() if weight.ndim == 4]
    for kernel in kernels:
        for value in its_optimiser.state[kernel].values():
            if torch.is_tensor(value) and value.ndim == 4:
                assert value.stride() == kernel.stride()


def test_progress_comes_back_as_it_was(tmp_path):
    path = tmp_path / "resume.safetensors"
    assert read_progress(path) is None
    write_state(path, *fresh("sgd", 0), progress(epochs=7))
    assert read_progress(path) == progress(epochs=7)
    assert read_progress(path).epoch == 7


def test_a_cut_state_is_damaged(tmp_path):
    path = tmp_path / "resume.safetensors"
    write_state(path, *fresh("sgd", 0), progress())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Damaged, match=r"resume\.safetensors"):
        read_progress(path)


def test_another_recipe_seed_or_dataset_is_refused_by_name():
    check_same(progress(), identity())
    changed = Recipe(epochs=12, augment=Augment(rotate_deg=10))
    with pytest.raises(
        Conflict, match=r"recipe\.augment\.rotate_deg was 0\.0 and is 10\.0; recipe\.epochs was 30"
    ):
        check_same(progress(), identity(recipe=changed))
    with pytest.raises(Conflict, match="seed was 1 and is 2"):
        check_same(progress(), identity(seed=2))
    with pytest.raises(Conflict, match="dataset_id"):
        check_same(progress(), identity().model_copy(update={"dataset_id": "e" * 64}))


def test_another_device_or_number_of_threads_may_go_on():
    check_same(progress(), identity(recipe=Recipe(device="cpu", threads=2)))


def test_a_state_from_before_an_option_existed_counts_as_its_default():
    old = progress().model_dump(mode="json")
    del old["identity"]["recipe"]["augment"]["hue_deg"]
    check_same(Progress.model_validate(old), identity())


def test_the_scale_of_float16_comes_back(tmp_path):
    path = tmp_path / "resume.safetensors"
    network, optimiser = fresh("sgd", seed=1)
    scaler = GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    for number in range(4):
        x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(number))
        scaler.scale(functional.cross_entropy(network(x), torch.arange(8))).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
    write_state(path, network, optimiser, progress(), scaler)
    other, its = fresh("sgd", seed=2)
    restored = GradScaler("cpu", init_scale=1.0, growth_interval=3)
    restore(path, other, its, restored)
    assert restored.state_dict() == scaler.state_dict()
    assert restored.get_scale() == 2048.0


def test_a_state_of_before_there_were_more_options_is_gone_on_from(tmp_path):
    path = tmp_path / "resume.safetensors"
    write_state(path, *fresh("adamw", seed=1), progress())
    text = read_progress(path).model_dump(mode="json")
    recipe = text["identity"]["recipe"]
    for name in ("loss", "normalisation", "accumulate_batches"):
        del recipe[name]
    for name in ("rms_decay", "rho", "adadelta_epsilon"):
        del recipe["optimiser"][name]
    check_same(Progress.model_validate(text), identity())
