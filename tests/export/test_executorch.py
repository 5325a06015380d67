"""ExecuTorch files: what they say of themselves, what is refused, float16 and int8."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from darkroom.errors import Damaged, MissingExtra, Unsupported
from darkroom.export.child import write_file
from darkroom.export.conversion import convert
from darkroom.export.exporters import find
from darkroom.export.precisions import Recipe
from darkroom.export.quiet import quiet
from darkroom.export.reference import TorchReference
from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.serving import Predictor, open_session
from tests.export import models
from tests.export.models import Trained

needs_library = pytest.mark.slow
"""Loading ExecuTorch takes seconds."""


@pytest.fixture(scope="module")
def colours() -> Trained:
    return models.colours()


@pytest.fixture(scope="module")
def path(colours: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("executorch")
    done = convert(colours.network, colours.card, folder, targets=("executorch",))
    assert done.failures == ()
    return done.files[0].path


def test_without_torch_the_command_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.pte").write_bytes(b"ET12")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r'pip install "darkroom\[train\]"'):
        open_session(tmp_path / "model.pte")


@needs_library
def test_it_says_its_facts_by_methods_that_give_a_text(colours: Trained, path: Path) -> None:
    with quiet():
        from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    names = {"forward", "model_card", "labels", "contract", "licence", "precision"}
    assert program.method_names == names
    labels, precision = program.load_method("labels"), program.load_method("precision")
    assert labels is not None
    assert precision is not None
    assert labels.execute([]) == ['["red","grün","blue","grey"]'.replace(",", ", ")]
    assert precision.execute([]) == ["float32"]


@needs_library
@pytest.mark.parametrize("kept", [0, 3, 200, 0.5, 0.85])
def test_a_cut_file_is_damaged(path: Path, kept: float, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "model.pte"
    cut.write_bytes(whole[: int(kept if kept > 1 or kept == 0 else kept * len(whole))])
    with pytest.raises(Damaged, match=r"model\.pte"):
        Predictor.open(cut)


class _Odd(torch.nn.Module):
    """Takes one tensor or two, of whatever type it is given."""

    def forward(self, image: Tensor, more: Tensor | None = None) -> Tensor:
        mean = image.float().mean((1, 2))
        return mean if more is None else mean + more


@needs_library
@pytest.mark.parametrize(
    "taken",
    [
        (torch.zeros((1, 4, 6, 3), dtype=torch.float32),),
        (torch.zeros((1, 4, 6, 3), dtype=torch.uint8), torch.zeros((1, 3))),
    ],
    ids=["floats", "two tensors"],
)
def test_a_program_that_takes_something_else_is_refused_when_it_is_opened(
    taken: tuple[Tensor, ...], tmp_path: Path
) -> None:
    with quiet():
        from executorch.exir import to_edge

        program = to_edge(torch.export.export(_Odd().eval(), taken)).to_executorch()
    (tmp_path / "model.pte").write_bytes(program.buffer)
    with pytest.raises(Unsupported, match="does not take the contract's tensor"):
        open_session(tmp_path / "model.pte")


@needs_library
def test_several_threads_may_ask_one_session(colours: Trained, path: Path) -> None:
    session = open_session(path)
    images = colours.images[:60]
    expected = session.run(images).probabilities
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: session.run(images[row : row + 1]).probabilities[0], range(60)))
    np.testing.assert_allclose(np.array(found), expected, atol=1e-6)


@needs_library
def test_a_predictor_answers_from_the_file_alone_and_says_nothing(
    colours: Trained, path: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "model.pte")
    np.save(tmp_path / "tensors.npy", colours.images[:4])
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from darkroom.serving import Predictor\n"
        "predictor = Predictor.open(Path(sys.argv[1]) / 'model.pte')\n"
        "answer = predictor.predict_tensors(np.load(Path(sys.argv[1]) / 'tensors.npy'))\n"
        "np.save(Path(sys.argv[1]) / 'answer.npy', answer.probabilities)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("", ""), "a library's chatter is kept from the user"
    expected = TorchReference(colours.network, colours.card).run(colours.images[:4]).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), expected, atol=1e-5)


class _BesselHead(torch.nn.Module):
    """Core ATen for no runtime: ExecuTorch has no kernel for it."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.special.bessel_j0(x))


@needs_library
def test_an_operation_without_a_kernel_is_named_before_a_file_is_written(
    colours: Trained, tmp_path: Path
) -> None:
    trained = models.colours()
    network: Network = trained.network
    network.head = _BesselHead(network.head)
    model = ImageModel.of(network, trained.card)
    with pytest.raises(Unsupported, match=r"ExecuTorch does not know the operation .*bessel_j0.*used in"):
        write_file(find("executorch"), model, trained.card, tmp_path / "model.pte", models.FLOAT32)
    assert not (tmp_path / "model.pte").exists()


@needs_library
def test_float16_halves_the_file_and_keeps_the_answers(colours: Trained, path: Path) -> None:
    done = convert(
        colours.network, colours.card, path.parent, targets=("executorch",), precisions=("float16",)
    )
    assert done.failures == ()
    half = done.files[0]
    assert half.path.name == "model-float16.pte"
    assert half.size_bytes < 0.62 * path.stat().st_size
    expected = TorchReference(colours.network, colours.card).run(colours.images).probabilities
    found = open_session(half.path).run(colours.images).probabilities
    assert np.abs(found - expected).max() <= 5e-3
    assert (found.argmax(1) == expected.argmax(1)).all()


@needs_library
def test_int8_is_calibrated_and_smaller(colours: Trained, path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "calibration.npy", colours.images[:64])
    recipe = Recipe(precision="int8", calibration=tmp_path / "calibration.npy")
    model = ImageModel.of(colours.network, colours.card)
    write_file(find("executorch"), model, colours.card, tmp_path / "model.pte", recipe)
    assert (tmp_path / "model.pte").stat().st_size < 0.5 * path.stat().st_size
    expected = TorchReference(colours.network, colours.card).run(colours.images).probabilities
    found = open_session(tmp_path / "model.pte").run(colours.images).probabilities
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.97
