"""Every exporter keeps the same promises: same answers, same names, its facts inside, its faults found."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors
from darkroom.bundle.model_file import parts_of
from darkroom.export import EXPORTERS, ConvertedFile, FileParity
from darkroom.export.calibration import save_tensors
from darkroom.export.conversion import convert
from darkroom.export.divergence import compare_sides
from darkroom.export.divergence_report import Divergence
from darkroom.export.layers import GIVERS
from darkroom.export.parity import verify
from darkroom.export.precisions import PRECISIONS, Recipe
from darkroom.export.reference import TorchReference
from darkroom.export.sides import FileSide, TorchSide
from darkroom.networks.saved import save
from darkroom.records import Limits
from darkroom.serving import RUNTIMES, open_session
from tests.export import models
from tests.export.models import (
    FAULTS,
    KINDS,
    QUICK,
    TARGETS,
    Trained,
    first_recipes,
    further_recipes,
    precision_file,
)
from tests.tree import ROOT

Made = TypeVar("Made")


class PerTarget(dict[str, Made]):
    """What each target's tests share, made when the first of them asks for it."""

    def __init__(self, make: Callable[[str], Made]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, target: str) -> Made:
        self[target] = self.make(target)
        return self[target]


Files = PerTarget[ConvertedFile]
Folders = PerTarget[Path]


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

    def converted(target: str) -> ConvertedFile:
        folder = tmp_path_factory.mktemp("converted")
        done = convert(colours.network, colours.card, folder, targets=(target,), embedding=True)
        assert done.failures == ()
        return done.files[0]

    return Files(converted)


@pytest.fixture(scope="module")
def planted(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Per target a folder with a sound file, a grey one, one per normalisation, fault and precision."""
    return Folders(lambda target: written(target, weights, tmp_path_factory.mktemp(target)))


@pytest.fixture(scope="module")
def further(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Per target a folder with a file by each recipe but the first ones of the precisions."""
    return Folders(lambda target: written(target, weights, tmp_path_factory.mktemp(target), "recipes"))


@pytest.fixture(scope="module")
def weights(
    colours: Trained,
    stripes: Trained,
    kinds: dict[str, Trained],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of all weights, and of the pictures that int8 is calibrated with."""
    weights = tmp_path_factory.mktemp("weights")
    save(weights / "colours", colours.network, colours.card)
    save(weights / "grey", stripes.network, stripes.card)
    save_tensors(weights / "calibration.npy", colours.images[:60])
    for kind, trained in kinds.items():
        save(weights / kind, trained.network, trained.card)
    return weights


def written(target: str, weights: Path, folder: Path, *words: str) -> Path:
    """Returns the folder, filled by a child: converters need one."""
    places = [weights / "colours", weights / "grey", folder]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.export.models", target, *places, *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return folder


def content(path: Path) -> bytes:
    """Returns all bytes of a model, file or folder."""
    return b"".join(part.read_bytes() for part in parts_of(path))


def compared(trained: Trained, path: Path, target: str, recipe: Recipe = models.FLOAT32) -> FileParity:
    reference = TorchReference(trained.network, trained.card)
    golden = GoldenVectors.synthetic(trained.card.contract)
    golden = golden.answered(reference.run(golden.tensors).probabilities)
    report = verify(
        reference,
        trained.card,
        [ConvertedFile(path=path, target=target, precision=recipe.precision, recipe=recipe.name)],
        trained.batches(),
        golden=golden.vectors,
        rounds=0,
    )
    assert report.passes == (report.failures == ())
    return report.files[0]


@pytest.mark.parametrize("target", EXPORTERS)
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
    stripes: Trained, planted: Folders, target: str
) -> None:
    found = compared(stripes, planted[target] / f"grey{EXPORTERS[target].suffix}", target)
    assert found.failures == ()
    assert found.max_abs <= 1e-4
    assert found.embedding_max_abs is None, "an embedding that was not asked for is not in the file"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_each_normalisation_is_inside_the_file(
    kinds: dict[str, Trained], planted: Folders, target: str, kind: str
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
    written = content(files[target].path)
    for place in (str(ROOT), sys.prefix, tempfile.gettempdir() + "/", "site-packages"):
        assert place.encode() not in written


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_network_becomes_the_same_bytes(files: Files, planted: Folders, target: str) -> None:
    again = planted[target] / f"sound{EXPORTERS[target].suffix}"
    assert content(again) == content(files[target].path)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_planted_fault_is_found(colours: Trained, planted: Folders, target: str, fault: str) -> None:
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


NAMED = {
    "bgr": ("channels", "bgr"),
    "wrong_mean": ("normalise", "normalisation"),
    "double_softmax": ("softmax", "double-softmax"),
    "swapped_outputs": ("labels", "swapped-labels"),
    "swapped_labels": ("labels", "swapped-labels"),
}
"""The step of each fault, and its cause."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_step_of_a_planted_fault_is_named(
    colours: Trained, planted: Folders, target: str, fault: str
) -> None:
    first = parted(colours, planted[target] / f"{fault}{EXPORTERS[target].suffix}", target).first
    assert first is not None
    assert (first.step, first.cause, first.certainty) == (*NAMED[fault], "exact"), first


@pytest.mark.parametrize("target", TARGETS)
def test_a_sound_file_differs_at_no_layer(colours: Trained, files: Files, target: str) -> None:
    found = parted(colours, files[target].path, target)
    assert found.same, found.found
    if target not in GIVERS:
        assert any("hand out no layers" in note for note in found.notes)
        return
    held = [pair for pair in found.layers if pair.other]
    assert {pair.layer for pair in held} >= {"normalise", "probabilities"}, found.layers
    assert not any(pair.differs for pair in held)


def parted(trained: Trained, path: Path, target: str) -> Divergence:
    other = FileSide(path, target, "float32", trained.card)
    names = [f"image-{row}" for row in range(8)]
    return compare_sides(
        TorchSide(trained.network, trained.card), other, names, trained.images[:8], Limits()
    )


@pytest.mark.parametrize("target", TARGETS)
def test_an_operation_that_a_format_lacks_is_named(planted: Folders, target: str) -> None:
    refusal = json.loads((planted[target] / "unknown_operation.json").read_text())
    assert refusal["kind"] == "Unsupported"
    assert "svd" in refusal["error"]
    assert "torch.linalg.svdvals" in refusal["error"], "the line of the network's source"
    assert not (planted[target] / f"unknown_operation{EXPORTERS[target].suffix}").exists()


OTHERS = [
    pytest.param(
        target,
        recipe,
        id=f"{target}-{recipe.precision}-{recipe.name}",
        marks=() if target in QUICK and recipe in first_recipes(target) else pytest.mark.slow,
    )
    for target in EXPORTERS
    for recipe in (*first_recipes(target), *further_recipes(target))
]


@pytest.mark.parametrize(("target", "recipe"), OTHERS)
def test_a_file_of_another_precision_keeps_the_interface_and_answers_within_the_limits(
    colours: Trained, planted: Folders, further: Folders, target: str, recipe: Recipe
) -> None:
    path = by_recipe(planted, further, target, recipe)
    found = compared(colours, path, target, recipe)
    assert found.failures == (), "labels, card and contract are inside, answers are near enough"
    session = open_session(path)
    assert session.input_shape == colours.card.contract.shape
    answer = session.run(colours.images[:3])
    assert (answer.probabilities.dtype, answer.probabilities.shape) == (np.float32, (3, 4))
    np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1, atol=1e-3)
    assert answer.embedding is not None


@pytest.mark.parametrize(("target", "recipe"), OTHERS)
def test_a_file_of_another_precision_is_smaller(
    planted: Folders, further: Folders, target: str, recipe: Recipe
) -> None:
    whole = len(content(planted[target] / f"sound{EXPORTERS[target].suffix}"))
    share = len(content(by_recipe(planted, further, target, recipe))) / whole
    assert share <= (0.65 if PRECISIONS[recipe.precision].half else 0.5)


@pytest.mark.parametrize(
    "target", [one for one in TARGETS if "int8" in EXPORTERS[one.values[0]].precisions]
)
def test_int8_without_calibration_pictures_is_refused(planted: Folders, target: str) -> None:
    refusal = json.loads((planted[target] / "uncalibrated.json").read_text())
    assert (refusal["kind"], refusal["id"]) == ("Invalid", "calibration.none")
    assert not (planted[target] / f"uncalibrated{EXPORTERS[target].suffix}").exists()


def by_recipe(planted: Folders, further: Folders, target: str, recipe: Recipe) -> Path:
    folders = planted if recipe in first_recipes(target) else further
    return folders[target] / precision_file(target, recipe)
