"""A network from the user's own file: its last layer becomes the head; what is wrong is said by line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from darkroom.errors import Damaged, InvalidConfig, NotFound
from darkroom.networks import build
from darkroom.networks.network import Network
from darkroom.networks.saved import load, save
from darkroom.records import Contract, ModelCard, Normalisation, now

TINY = '''"""A tiny network."""
from torch import nn


def build(*, channels, size, classes, dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8, classes),
    )
'''

OURS = """
import torch
from torch import nn
from darkroom.networks.network import Network


class Mine(Network):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, classes)

    def features(self, x):
        return self.stem(x).mean((2, 3))


def build(*, channels, size, classes):
    return Mine(channels, classes)
"""


def built(folder: Path, text: str, **options: float) -> Network:
    code = folder / "mine.py"
    code.write_text(text)
    return build("custom", channels=3, size=(20, 24), classes=5, options=options, code=code)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        built(folder, text)
    assert str(folder / "mine.py") in caught.value.message
    return caught.value.message


def in_build(line: str) -> str:
    return f"import torch\nfrom torch import nn\n\n\ndef build(*, channels, size, classes):\n    {line}\n"


def test_any_module_becomes_a_network_whose_last_dense_layer_is_the_head(tmp_path: Path) -> None:
    network = built(tmp_path, TINY)
    assert isinstance(network.head, nn.Linear)
    assert network.head.out_features == 5
    x = torch.rand(2, 3, 20, 24)
    embedding = network.eval().features(x)
    assert embedding.shape == (2, 8)
    assert torch.equal(network(x), network.head(embedding))
    assert network.parameter_count == 3 * 8 * 9 + 8 + 8 * 5 + 5


def test_a_network_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    network = built(tmp_path, OURS)
    assert type(network).__name__ == "Mine"
    assert network.features(torch.rand(2, 3, 20, 24)).shape == (2, 4)


def test_it_is_told_the_dropout_that_is_not_zero(tmp_path: Path) -> None:
    network = built(tmp_path, TINY, dropout=0.5)
    assert next(layer for layer in network.modules() if isinstance(layer, nn.Dropout)).p == 0.5
    with pytest.raises(InvalidConfig, match="unexpected keyword argument 'dropout'"):
        built(tmp_path, OURS, dropout=0.5)


def test_the_seed_decides_its_weights(tmp_path: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(built(tmp_path, TINY).head.weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    built(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_that_name\n", "line 1 `import nothing_of_that_name`: the file fails with"),
        ("def build(:\n", "line 1: the file fails with SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)\n", "line 2 `sys.exit(3)`: the file fails with SystemExit: 3"),
        ("x = 1\n", "it defines no function build(*, channels, size, classes, **options)"),
        ("build = 3\n", "it defines no function build("),
        ("def build(channels):\n    pass\n", "unexpected keyword argument"),
        (in_build("return 1 / 0"), "line 6 `return 1 / 0`: build fails with ZeroDivisionError"),
        (in_build("return 3"), "build returned int, expected a torch.nn.Module"),
        (in_build("return nn.Flatten()"), "a network without weights"),
        (
            in_build("return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))"),
            "a picture of 24×20 px fails with RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (
            in_build("return nn.Sequential(nn.Flatten(), nn.Linear(1440, 4))"),
            "for pictures (2, 3, 20, 24) and 5 classes it returns (2, 4), expected (2, 5)",
        ),
        (
            in_build("return nn.Sequential(nn.Flatten(), nn.Linear(1440, classes), nn.Softmax(1))"),
            "not what a torch.nn.Linear of it gave. Return the logits, without softmax",
        ),
        (
            in_build("return nn.Sequential(nn.Conv2d(3, classes, 20), nn.Flatten())"),
            "not what a torch.nn.Linear of it gave; it has none",
        ),
        (
            in_build("return nn.Sequential(nn.Linear(24, classes))"),
            "it returns (2, 3, 20, 5), expected (2, 5)",
        ),
    ],
)
def test_what_cannot_be_a_network_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


LEARNS_OTHERWISE = """
import torch
from torch import nn


class Learner(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.normal = nn.BatchNorm2d(3)
        self.head = nn.Linear(1440, classes)

    def forward(self, x):
        answers = self.head(self.normal(x).flatten(1))
        if self.training:
            {otherwise}
        return answers


def build(*, channels, size, classes, **options):
    return Learner(classes)
"""


@pytest.mark.parametrize(
    ("otherwise", "message"),
    [
        ("return answers[:, :2]", "it returns (2, 2) while it learns, expected (2, 5)"),
        ("return answers, answers", "it returns tuple while it learns"),
        ("raise KeyError('side head')", "line 15 `raise KeyError('side head')`: a picture of 24×20 px, wh"),
    ],
)
def test_what_only_fails_while_it_learns_is_refused_before_the_first_epoch(
    tmp_path: Path, otherwise: str, message: str
) -> None:
    assert message in refusal(tmp_path, LEARNS_OTHERWISE.format(otherwise=otherwise))


def test_looking_at_how_it_learns_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    path.write_text(LEARNS_OTHERWISE.format(otherwise="pass"))
    torch.manual_seed(3)
    network = build("custom", channels=3, size=(20, 24), classes=5, code=path)
    assert int(network.state_dict()["body.normal.num_batches_tracked"]) == 0
    torch.manual_seed(3)
    weights = torch.nn.Linear(1440, 5).weight
    assert torch.equal(network.head.weight, weights)  # type: ignore[union-attr]


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Cannot read the network's file"):
        build("custom", channels=3, size=(20, 24), classes=5, code=tmp_path / "absent.py")


class TestSaved:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        """A run's folder, with the weights in a folder of their own."""
        network = built(tmp_path, TINY).eval()
        code = tmp_path / "run" / "network.py"
        (tmp_path / "run" / "checkpoints").mkdir(parents=True)
        code.write_text(TINY)
        card = ModelCard(
            task="classification",
            labels=tuple("abcde"),
            network="custom",
            code_sha256=hashlib.sha256(code.read_bytes()).hexdigest(),
            contract=Contract(width_px=24, height_px=20, colour="rgb"),
            normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
            created_at=now(),
        )
        save(tmp_path / "run" / "checkpoints" / "best.safetensors", network, card)
        return tmp_path / "run"

    def test_it_is_loaded_with_the_file_of_the_run(self, run: Path) -> None:
        network, card = load(run / "checkpoints" / "best.safetensors")
        assert card.network == "custom"
        assert network(torch.rand(1, 3, 20, 24)).shape == (1, 5)

    def test_it_is_not_loaded_without_the_file(self, run: Path) -> None:
        (run / "network.py").unlink()
        with pytest.raises(NotFound, match=r"no network.py beside it"):
            load(run / "checkpoints" / "best.safetensors")

    def test_another_file_is_not_run(self, run: Path) -> None:
        (run / "network.py").write_text("raise AssertionError('this must never run')\n")
        with pytest.raises(Damaged, match="is not the file with which this network was trained"):
            load(run / "checkpoints" / "best.safetensors")
