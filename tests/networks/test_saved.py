"""Saved weights come back to the last bit with their card; a cut or changed file is noticed."""

import json
import pickle

import pytest
import safetensors
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.errors import Damaged, NotFound
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.networks.saved import load, load_card, pack, save
from darkroom.records import Contract, ModelCard, Normalisation, WeightsOrigin, now

CARD = ModelCard(
    task="classification",
    labels=("кот", "a dog", "🦊"),
    network="lenet5",
    options={"dropout": 0.25},
    contract=Contract(width_px=20, height_px=16, colour="rgb"),
    normalisation=Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
    weights=WeightsOrigin(source="random"),
    licence="CC0-1.0",
    created_at=now(),
)


def network(seed=0):
    torch.manual_seed(seed)
    made = build("lenet5", channels=3, size=(16, 20), classes=3, options={"dropout": 0.25})
    return made.to(memory_format=torch.channels_last)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.safetensors"
    save(path, network(), CARD)
    return path


def test_weights_and_card_come_back_to_the_last_bit(saved):
    loaded, card = load(saved)
    assert card == CARD == load_card(saved)
    assert not loaded.training
    assert loaded.dropout == 0.25
    for name, weight in network().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_other_tools_find_the_facts_in_the_metadata(saved):
    with safetensors.safe_open(saved, framework="np") as file:
        facts = file.metadata()
        names = set(file.keys())
    assert json.loads(facts["mean"]) == [0.5, 0.4, 0.3]
    assert json.loads(facts["std"]) == [0.2, 0.2, 0.2]
    assert json.loads(facts["labels"]) == ["кот", "a dog", "🦊"]
    assert (facts["source"], facts["licence"]) == ("random", "CC0-1.0")
    assert names == set(network().state_dict())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_damaged_wherever_it_is_cut(saved, tmp_path, share):
    whole = saved.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Damaged, match=r"cut\.safetensors"):
        load(cut)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.1, 1, exclude_max=True))
def test_a_changed_weight_is_noticed(saved, tmp_path, share):
    content = bytearray(saved.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    content[header + int((len(content) - header) * share)] ^= 1
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    with pytest.raises(Damaged, match="not those that were written"):
        load(changed)


def test_a_pickle_is_not_read(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(Damaged, match="not a safetensors file"):
        load(path)


def test_weights_without_a_card_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(pack(network().state_dict(), {"format": "pt"}))
    with pytest.raises(Damaged, match="no model card"):
        load(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save(path, network(), CARD.model_copy(update={"labels": ("a", "b")}))
    with pytest.raises(Damaged, match="do not fit the network"):
        load(path)


def test_a_mean_picture_lies_beside_the_weights_and_not_in_the_card(tmp_path):
    made, path = network(), tmp_path / "weights.safetensors"
    made.mean_image = torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(0))
    normalisation = Normalisation(kind="mean-image", mean=(0.5,) * 3, std=(1.0,) * 3)
    save(path, made, CARD.model_copy(update={"normalisation": normalisation}))
    loaded, card = load(path)
    assert torch.equal(loaded.mean_image, made.mean_image)
    assert len(card.model_dump_json()) < len(CARD.model_dump_json()) + 200
    images = torch.randint(256, (2, 16, 20, 3), dtype=torch.uint8)
    assert torch.equal(ImageModel.of(loaded, card)(images), ImageModel.of(made.eval(), card)(images))
    assert loaded.parameter_count == network().parameter_count


@pytest.mark.parametrize("kind", ["mean-std", "mean-image"])
def test_a_mean_picture_that_the_card_does_not_mean_is_refused(tmp_path, kind):
    made, path = network(), tmp_path / "weights.safetensors"
    if kind == "mean-std":
        made.mean_image = torch.rand(16, 20, 3)
    normalisation = CARD.normalisation.model_copy(update={"kind": kind})
    save(path, made, CARD.model_copy(update={"normalisation": normalisation}))
    with pytest.raises(Damaged, match="do not fit"):
        load(path)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"nowhere\.safetensors"):
        load(tmp_path / "nowhere.safetensors")
