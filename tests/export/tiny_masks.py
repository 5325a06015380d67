"""A model for masks of a few operations, written as .onnx in a millisecond, and the same in numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from darkroom.bundle import GoldenVectors, ModelFile, write_bundle
from darkroom.export.parity import ParityBatch
from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.serving import Answer

CONTRACT = Contract(width_px=12, height_px=8, colour="rgb", resize="crop")
LABELS = ("red", "green", "blue")
CARD = ModelCard(
    task="segmentation",
    labels=LABELS,
    network="tiny",
    contract=CONTRACT,
    normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3),
    created_at=now(),
)
SCALE = 32.0


class Numpy:
    """Each pixel is the class of its strongest colour: softmax over the colours / 32, in float32."""

    title = "numpy"
    threads = 1

    def run(self, tensors: np.ndarray) -> Answer:
        scores = tensors.astype(np.float32) / np.float32(SCALE)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return Answer(powers / powers.sum(axis=-1, keepdims=True), scores.mean(axis=(1, 2)))


def write_tiny(
    path: Path,
    *,
    card: ModelCard = CARD,
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0),
    scale: float = SCALE,
    rows: int = 0,
) -> Path:
    """Writes the model; a bias, another scale or fewer rows make it answer otherwise."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["logits"]),
        helper.make_node("Slice", ["logits", "from", "to", "axes"], ["part"]),
        helper.make_node("Softmax", ["part"], ["probabilities"], axis=-1),
    ]
    size = ["batch", *CONTRACT.shape]
    out = ["batch", rows or CONTRACT.height_px, CONTRACT.width_px, 3]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, size)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, out)],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
            helper.make_tensor("bias", TensorProto.FLOAT, [3], list(bias)),
            helper.make_tensor("from", TensorProto.INT64, [1], [0]),
            helper.make_tensor("to", TensorProto.INT64, [1], [rows or CONTRACT.height_px]),
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    labels = json.dumps(card.labels)
    onnx.helper.set_model_props(model, {"model_card": card.model_dump_json(), "labels": labels})
    path.write_bytes(model.SerializeToString())
    return path


def batch(count: int = 6, seed: int = 0, **more: object) -> ParityBatch:
    """Returns pictures with masks of their strongest colours; some pixels are not said."""
    draw = np.random.default_rng(seed)
    tensors = draw.integers(0, 256, (count, *CONTRACT.shape)).astype(np.uint8)
    masks = tensors.argmax(axis=-1).astype(np.uint8)
    masks[:, 0] = 255
    return ParityBatch([f"image-{row}" for row in range(count)], masks, tensors, **more)  # type: ignore[arg-type]


def golden() -> GoldenVectors:
    """Returns golden vectors with the answers of `Numpy`."""
    vectors = GoldenVectors.synthetic(CONTRACT, count=4)
    return vectors.answered(Numpy().run(vectors.tensors).probabilities)


def bundle(folder: Path, *, card: ModelCard = CARD) -> Path:
    """Writes a bundle with the one file."""
    folder.mkdir(parents=True, exist_ok=True)
    model = write_tiny(folder / "model.onnx", card=card)
    write_bundle(
        folder / "bundle",
        name="colours",
        card=card,
        models=[ModelFile(model, "onnx", "float32")],
        golden=golden(),
    )
    return folder / "bundle"
