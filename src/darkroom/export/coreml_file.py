"""Write a model as .mlpackage: an ML program that takes a picture, with its facts inside."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from darkroom.bundle import contract_document
from darkroom.export.precisions import Recipe
from darkroom.export.quiet import quiet
from darkroom.export.unknown_operation import UnknownOperation, source_of
from darkroom.networks.image_model import ImageModel
from darkroom.records import ModelCard, Task, canonical_json

__all__ = ["write"]

NOT_CONVERTED = re.compile(r"convert function for op '([\w.:]+)' not implemented")

CONVERSION_DATE = "com.github.apple.coremltools.conversion_date"
"""What coremltools notes and we leave out: the same network shall become the same bytes."""

PROGRAM = "com.apple.CoreML/model.mlmodel"
WEIGHTS = "com.apple.CoreML/weights"
WEIGHT_FILE = "weight.bin"
AUTHOR = "com.apple.CoreML"
"""Layout of a model package. Source: modelpackage/src/ModelPackage.cpp in apple/coremltools."""

OUTPUTS: dict[Task, str] = {
    "classification": "Probability of each class.",
    "multi-label": "Probability of each label by itself; they do not sum to 1.",
    "segmentation": "Probability of each class for each pixel: rows, columns, classes.",
}


class _Planes(nn.Module):
    """The model on what Core ML makes of a picture: (1, channels, height, width) float32, 0 to 255."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: ImageModel, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size
        shift = model.shift
        planes = shift[:, None, None] if shift.ndim == 1 else shift.permute(2, 0, 1).contiguous()
        self.register_buffer("scale", model.scale[:, None, None].clone())
        self.register_buffer("shift", planes.clone())

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.model.network.features(image * self.scale + self.shift)
        probabilities = self.model.probabilities(features, self.size)
        if not self.model.with_embedding:
            return probabilities
        return probabilities, self.model.network.embedding(features)


def write(model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> None:
    """Writes one model, which is a folder.

    Args:
        model: the model, ready to answer; its second output is written when it has one.
        card: its card.
        path: the folder to write.
        recipe: how its numbers are written.

    Raises:
        UnknownOperation: Core ML's converter does not know an operation.
    """
    with quiet():
        from darkroom.export.coreml_compression import compressed

        converted = compressed(_converted(model, card, recipe), recipe)
        if card.task == "classification":
            converted = _with_classes(converted, card, recipe.precision)
        spec = converted.get_spec()
        _name_outputs(spec, card)
        _describe(spec, card, recipe.precision)
        _write_package(path, spec, Path(converted.weights_dir))


def _converted(model: ImageModel, card: ModelCard, recipe: Recipe) -> Any:
    """Returns coremltools' model; what will name the classes is a plain output so far, `scores`.

    Raises:
        UnknownOperation: an operation has no counterpart.
    """
    import coremltools as ct

    height, width, channels = card.contract.shape
    shape = (1, channels, height, width)
    planes = _Planes(model, (height, width)).eval()
    first = "scores" if card.task == "classification" else "probabilities"
    names = [first, *(["embedding"] if model.with_embedding else [])]
    exported = torch.export.export(planes, (torch.zeros(shape),))  # sizes become plain numbers
    try:
        # Traced as well: coremltools' reader of torch.export stumbles over arguments that are left out.
        traced = torch.jit.trace(exported.module(check_guards=False), torch.zeros(shape), check_trace=False)
        return ct.convert(
            traced,
            inputs=[_picture(card)],
            outputs=[ct.TensorType(name=name, dtype=np.float32) for name in names],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS15,
            compute_precision=(
                ct.precision.FLOAT32 if recipe.precision == "float32" else ct.precision.FLOAT16
            ),
            pass_pipeline=_passes(recipe.precision),
            skip_model_load=True,
        )
    except Exception as error:  # its errors share no base but Exception
        raise _named(error, exported) from error


def _with_classes(model: Any, card: ModelCard, precision: str) -> Any:
    """Returns the model as a classifier: `scores` become the most probable class and a dictionary of all.

    Last, since the converter fails where it is told of classes and of a second output at once, and where a
    classifier's weights are compressed.
    """
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = model.get_spec()
    version = spec.specificationVersion
    return ct.convert(
        load(spec, specification_version=version, file_weights_dir=model.weights_dir),
        source="milinternal",
        inputs=[_picture(card)],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target(version),
        compute_precision=ct.precision.FLOAT32,  # which is: leave each operation as it is
        classifier_config=ct.ClassifierConfig(list(card.labels), predicted_probabilities_output="scores"),
        pass_pipeline=_passes(precision),
        skip_model_load=True,
    )


def _passes(precision: str) -> Any:
    """Returns what coremltools does to the program on its way.

    It makes a batch norm of a scale and a shift, with 1e-5 added to a variance of 1: in float32 that shows
    in the fifth digit of every number. In float16 it does not, and one operation rounds once, two twice.
    """
    import coremltools as ct

    pipeline = ct.PassPipeline()
    if precision == "float32":
        pipeline.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    return pipeline


def _picture(card: ModelCard) -> Any:
    """Returns the input: a picture of the contract's size."""
    import coremltools as ct

    height, width, channels = card.contract.shape
    colour = ct.colorlayout.RGB if channels == 3 else ct.colorlayout.GRAYSCALE
    return ct.ImageType(name="image", shape=(1, channels, height, width), color_layout=colour)


def _named(error: Exception, exported: ExportedProgram) -> Exception:
    """Returns the error that names the operation and the line of the network that asks for it."""
    found = NOT_CONVERTED.search(str(error))
    if found is None:
        return error
    return UnknownOperation(found[1], source_of(exported, found[1]))


def _name_outputs(spec: Any, card: ModelCard) -> None:
    """Gives a classifier's dictionary the name that the output has in every other format."""
    if card.task != "classification":
        return
    from coremltools.models.utils import rename_feature

    rename_feature(spec, spec.description.predictedProbabilitiesName, "probabilities")


def _describe(spec: Any, card: ModelCard, precision: str) -> None:
    """Writes what Xcode shows and what the file says about itself."""
    description = spec.description
    facts = description.metadata
    facts.shortDescription = card.intended_use or f"{card.task}: {', '.join(card.labels)}"
    facts.author, facts.license, facts.versionString = "Darkroom", card.licence, card.run
    facts.userDefined.pop(CONVERSION_DATE, None)
    facts.userDefined.update(
        {
            "model_card": card.model_dump_json(),
            "labels": json.dumps(card.labels, ensure_ascii=False),
            "contract": canonical_json(contract_document(card.contract)),
            "precision": precision,
        }
    )
    described = {
        "image": "Pixels as the contract makes them, not as Vision scales them; normalising is inside.",
        "probabilities": OUTPUTS[card.task],
        "embedding": "The vector before the last layer.",
        "classLabel": "The most probable class.",
    }
    for feature in (*description.input, *description.output):
        feature.shortDescription = described.get(feature.name, "")


def _write_package(path: Path, spec: Any, weights: Path) -> None:
    """Writes the folder as Xcode expects it; its identifiers follow from the places inside."""
    data = path / "Data"
    (data / WEIGHTS).mkdir(parents=True)
    (data / PROGRAM).write_bytes(spec.SerializeToString(deterministic=True))
    items = [(PROGRAM, "model.mlmodel", "CoreML Model Specification")]
    if (weights / WEIGHT_FILE).is_file():
        shutil.copyfile(weights / WEIGHT_FILE, data / WEIGHTS / WEIGHT_FILE)
        items.append((WEIGHTS, "weights", "CoreML Model Weights"))
    entries = {
        _identifier(place): {"author": AUTHOR, "description": description, "name": name, "path": place}
        for place, name, description in items
    }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": _identifier(PROGRAM),
    }
    (path / "Manifest.json").write_text(json.dumps(manifest, indent=4) + "\n")


def _identifier(place: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, place)).upper()
