"""Every exporter keeps the same promises: same answers, same names, its facts inside, its faults found."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors
from darkroom.export import EXPORTERS, ConvertedFile, FileParity
from darkroom.export.conversion import convert
from darkroom.export.parity import verify
from darkroom.export.reference import TorchReference
from darkroom.networks.saved import save
from darkroom.serving import RUNTIMES, open_session
from tests.export import models
from tests.export.models import FAULTS, KINDS, Trained
from tests.tree import ROOT

TARGETS = tuple(EXPORTERS)
Files = dict[str, ConvertedFile]


@pytest.fixture(scope="module")
def colours() -> Trained:
    return models.colours()


@pytest.fixture(scope="module")
def stripes() -> Trained:
    return models.stripes()


@pytest.fixture(scope="module")
def kinds() -> dict[str, Trained]:
    """A model for each normalisation beside mean-std."""
    return {kind: models.normalised(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def files(colours: Trained, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files with the embedding."""
    folder = tmp_path_factory.mktemp("converted")
    done = convert(colours.network, colours.card, folder, targets=TARGETS, embedding=True)
    assert done.failures == ()
    return {file.target: file for file in done.files}


@pytest.fixture(scope="module")
def planted(
    colours: Trained,
    stripes: Trained,
    kinds: dict[str, Trained],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Per target a folder with a sound file, a grey one, and one per normalisation and fault.

    Converters need children.
    """
    folders = {target: tmp_path_factory.mktemp(target) for target in TARGETS}
    weights = tmp_path_factory.mktemp("weights")
    save(weights / "colours", colours.network, colours.card)
    save(weights / "grey", stripes.network, stripes.card)
    for kind, trained in kinds.items():
        save(weights / kind, trained.network, trained.card)
    command = [sys.executable, "-W", "ignore", "-m", "tests.export.models"]
    children = [
        subprocess.Popen(
            [*command, target, weights / "colours", weights / "grey", folder],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for target, folder in folders.items()
    ]
    assert [child.wait() for child in children] == [0] * len(children)
    return folders


def compared(trained: Trained, path: Path, target: str) -> FileParity:
    reference = TorchReference(trained.network, trained.card)
    golden = GoldenVectors.synthetic(trained.card.contract)
    golden = golden.answered(reference.run(golden.tensors).probabilities)
    report = verify(
        reference,
        trained.card,
        [ConvertedFile(path=path, target=target)],
        trained.batches(),
        golden=golden.vectors,
        rounds=0,
    )
    assert report.passes == (report.failures == ())
    return report.files[0]


@pytest.mark.parametrize("target", TARGETS)
def test_each_exporter_has_a_runtime_of_its_name_and_suffix(target: str) -> None:
    assert RUNTIMES[target].suffix == EXPORTERS[target].suffix


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_answers_every_image_as_pytorch_does(colours: Trained, files: Files, target: str) -> None:
    found = compared(colours, files[target].path, target)
    assert found.failures == ()
    assert found.agreement == 1.0
    assert found.max_abs <= 1e-4
    assert found.embedding_max_abs is not None
    assert found.embedding_max_abs <= 1e-4
    assert found.golden.count >= 12
    assert found.accuracy > 0.9, "the model must have learnt something, or agreement says little"


@pytest.mark.parametrize("target", TARGETS)
def test_a_grey_model_that_is_higher_than_wide_answers_as_pytorch_does(
    stripes: Trained, planted: dict[str, Path], target: str
) -> None:
    found = compared(stripes, planted[target] / f"grey{EXPORTERS[target].suffix}", target)
    assert found.failures == ()
    assert found.max_abs <= 1e-4
    assert found.embedding_max_abs is None, "an embedding that was not asked for is not in the file"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_each_normalisation_is_inside_the_file(
    kinds: dict[str, Trained], planted: dict[str, Path], target: str, kind: str
) -> None:
    path = planted[target] / f"{kind}{EXPORTERS[target].suffix}"
    found = compared(kinds[kind], path, target)
    assert found.failures == ()
    assert (found.agreement, found.max_abs <= 1e-4) == (1.0, True)
    assert found.accuracy > 0.9, "the model must have learnt something, or agreement says little"
    assert open_session(path).carried.card == kinds[kind].card


@pytest.mark.parametrize("count", [0, 1, 3, 70])
@pytest.mark.parametrize("target", TARGETS)
def test_any_number_of_tensors_can_be_asked_about(
    colours: Trained, files: Files, target: str, count: int
) -> None:
    answer = open_session(files[target].path).run(colours.images[:count])
    assert answer.probabilities.shape == (count, 4)
    assert answer.probabilities.dtype == np.float32
    assert answer.embedding is not None
    assert answer.embedding.shape == (count, 84)
    np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_carries_the_card_the_labels_and_the_contract(
    colours: Trained, files: Files, target: str
) -> None:
    session = open_session(files[target].path)
    assert session.carried.card == colours.card
    assert session.carried.labels == colours.card.labels
    assert session.input_shape == colours.card.contract.shape


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_names_no_place_of_this_machine(files: Files, target: str) -> None:
    content = files[target].path.read_bytes()
    for place in (str(ROOT), sys.prefix, tempfile.gettempdir() + "/", "site-packages"):
        assert place.encode() not in content


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_network_becomes_the_same_bytes(
    files: Files, planted: dict[str, Path], target: str
) -> None:
    again = planted[target] / f"sound{EXPORTERS[target].suffix}"
    assert again.read_bytes() == files[target].path.read_bytes()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_planted_fault_is_found(
    colours: Trained, planted: dict[str, Path], target: str, fault: str
) -> None:
    path = planted[target] / f"{fault}{EXPORTERS[target].suffix}"
    found = compared(colours, path, target)
    assert not found.passes
    if fault == "swapped_labels":
        assert found.max_abs <= 1e-4
        assert "place 0 is 'grün' for 'red'" in found.failures[0]
    elif fault == "double_softmax":
        assert found.agreement == 1.0, "only the size of the probabilities gives this fault away"
        assert "differs from PyTorch's" in found.failures[0]
    else:
        assert found.max_abs > 1e-2
        assert found.golden.wrong_answers


@pytest.mark.parametrize("target", TARGETS)
def test_an_operation_that_a_format_lacks_is_named(planted: dict[str, Path], target: str) -> None:
    refusal = json.loads((planted[target] / "unknown_operation.json").read_text())
    assert refusal["kind"] == "Unsupported"
    assert "svd" in refusal["error"]
    assert "torch.linalg.svdvals" in refusal["error"], "the line of the network's source"
    assert not (planted[target] / f"unknown_operation{EXPORTERS[target].suffix}").exists()
