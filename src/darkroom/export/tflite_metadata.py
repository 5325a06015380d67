"""Give a .tflite file names, metadata and packed label files, as its published schema says.

Source: metadata_schema.fbs 1.5.0 in google-ai-edge/mediapipe (mediapipe/tasks/metadata) for the slots;
schema.fbs of LiteRT for the model itself. The label file is a zip archive behind the model.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from darkroom.bundle import contract_document
from darkroom.errors import Unsupported
from darkroom.records import ModelCard, Task, canonical_json

__all__ = ["LABEL_FILE", "check_labels", "parsed_model", "with_metadata"]

LABEL_FILE = "labels.txt"
CARD_FILE = "model-card.json"
METADATA_NAME = b"TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"
PARSER_VERSION = "1.5.0"
"""Since this version there is custom metadata."""
MODEL_IDENTIFIER = b"TFL3"
ALIGNMENT_BYTES = 16
"""Of weights and custom data; `force_align` in both schemas."""
RGB, GREYSCALE = 1, 2
IMAGE_PROPERTIES, FEATURE_PROPERTIES = 2, 1
NORMALISATION = 1
TENSOR_AXIS_LABELS, DESCRIPTIONS = 2, 1


def with_metadata(model: bytes, card: ModelCard, precision: str) -> bytes:
    """Returns the model with names, metadata, the label file and the card.

    Args:
        model: a .tflite file with the outputs `probabilities` and perhaps `embedding`.
        card: its card.
        precision: what its weights are written as.
    """
    parsed = parsed_model(model)
    outputs = _name_tensors(parsed)
    _attach(parsed, METADATA_NAME, _metadata(card, outputs, precision))
    return _packed(_serialised(parsed), card)


def parsed_model(model: bytes) -> Any:
    """Returns a .tflite file as objects (ModelT), all weights among them.

    Weights may lie behind the model, as the quantiser writes large ones; a model that is written anew has
    them inside.
    """
    parsed: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    for buffer in parsed.buffers:
        if buffer.offset > 1:  # 0 and 1 stand for none
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return parsed


def check_labels(card: ModelCard) -> None:
    """Checks that a label file can hold the labels.

    Raises:
        Unsupported: a label has a line break.
    """
    if any("\n" in label or "\r" in label for label in card.labels):
        raise Unsupported(
            "label.line-break",
            "LiteRT keeps one label per line, and a label has a line break.",
            do="Rename the class.",
        )


def _name_tensors(model: Any) -> list[str]:
    """Names inputs and outputs as the signature does; returns the outputs' names in the graph's order."""
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    _follow_outputs(graph, signature)
    names = {entry.tensorIndex: entry.name for entry in (*signature.inputs, *signature.outputs)}
    for index, name in names.items():
        graph.tensors[index].name = name
    return [names[index].decode() for index in graph.outputs]


def _follow_outputs(graph: Any, signature: Any) -> None:
    """Lets the signature name the graph's outputs.

    The quantiser puts a step behind an output that is whole numbers inside, and where another operation
    reads that output too, the signature goes on naming what the step reads.
    """
    made_from = {out: one.inputs[0] for one in graph.operators for out in one.outputs}
    outputs = {int(made_from[index]): int(index) for index in graph.outputs if index in made_from}
    known = {int(index) for index in graph.outputs}
    for entry in signature.outputs:
        if entry.tensorIndex not in known:
            entry.tensorIndex = outputs[entry.tensorIndex]


def _attach(model: Any, name: bytes, content: bytes) -> None:
    entry: Any = schema.MetadataT()  # the generated classes say less than they take
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


class _AlignedBuffer(schema.BufferT):
    """Weights where the runtime may read them in place."""

    def Pack(self, builder: Any) -> Any:
        if self.data is not None:
            builder.Prep(ALIGNMENT_BYTES, len(self.data))
        return super().Pack(builder)


def _serialised(model: Any) -> bytes:
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=MODEL_IDENTIFIER)
    return bytes(builder.Output())


def _packed(model: bytes, card: ModelCard) -> bytes:
    file = io.BytesIO(model)
    # Stored, not deflated: readers map these files from memory. A fixed date keeps the bytes the same.
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABEL_FILE), "\n".join(card.labels))
        archive.writestr(zipfile.ZipInfo(CARD_FILE), card.model_dump_json())
    return file.getvalue()


PROBABILITIES: dict[Task, str] = {
    "classification": "Probability of each class.",
    "multi-label": "Probability of each label by itself; they do not sum to 1.",
    "segmentation": "Probability of each class for each pixel.",
}


def _metadata(card: ModelCard, outputs: Sequence[str], precision: str) -> bytes:
    w = _Writer()
    label_file = w.table(
        5, {0: w.text(LABEL_FILE), 1: w.text("One class per line.")}, {2: TENSOR_AXIS_LABELS}
    )
    card_file = w.table(5, {0: w.text(CARD_FILE), 1: w.text("The model card.")}, {2: DESCRIPTIONS})
    tensors = {
        "probabilities": lambda: w.tensor(
            "probabilities",
            PROBABILITIES[card.task],
            files=[label_file],
            extent=(0.0, 1.0),
        ),
        "embedding": lambda: w.tensor("embedding", "The vector before the last layer."),
    }
    custom = {
        "darkroom.contract": canonical_json(contract_document(card.contract)),
        "darkroom.precision": precision,
    }
    graph = w.table(
        10,
        {
            2: w.tables([_image(w, card)]),
            3: w.tables([tensors[name]() for name in outputs]),
            9: w.tables([w.custom(name, text) for name, text in custom.items()]),
        },
    )
    model = {
        0: w.text(card.dataset or card.network),
        1: w.text(card.intended_use or f"{card.task}: {', '.join(card.labels)}"),
        2: w.text(card.run or "1"),
        3: w.tables([graph]),
        4: w.text("Darkroom"),
        5: w.text(card.licence),
        6: w.tables([card_file]),
        7: w.text(PARSER_VERSION),
    }
    return w.finished(w.table(8, model))


def _image(w: _Writer, card: ModelCard) -> int:
    """Writes the input: uint8 pixels as they are, since normalising is inside the graph."""
    contract = card.contract
    size = w.table(2, numbers={0: contract.width_px, 1: contract.height_px}, kind="Uint32")
    colour = RGB if contract.colour == "rgb" else GREYSCALE
    content = w.table(3, {1: w.table(2, {1: size}, {0: colour})}, {0: IMAGE_PROPERTIES})
    identity = w.table(2, {0: w.floats([0.0] * contract.channels), 1: w.floats([1.0] * contract.channels)})
    return w.tensor(
        "image",
        "Pixels 0 to 255 as the contract makes them; normalising is inside the model.",
        content=content,
        units=[w.table(2, {1: identity}, {0: NORMALISATION})],
        extent=(0.0, 255.0),
    )


class _Writer:
    """Writes tables of a flatbuffers schema by the numbers of their slots."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, text: str) -> int:
        return self.builder.CreateString(text)

    def floats(self, values: Sequence[float]) -> int:
        return self.builder.CreateNumpyVector(np.asarray(values, np.float32))

    def tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def table(
        self,
        slots: int,
        offsets: dict[int, int] | None = None,
        numbers: dict[int, int] | None = None,
        kind: str = "Int8",
    ) -> int:
        """Writes a table of so many slots: offsets of what was written before, and plain numbers."""
        self.builder.StartObject(slots)
        for slot, offset in (offsets or {}).items():
            self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, number in (numbers or {}).items():
            getattr(self.builder, f"Prepend{kind}Slot")(slot, number, 0)
        return self.builder.EndObject()

    def tensor(
        self,
        name: str,
        description: str,
        *,
        content: int | None = None,
        units: Sequence[int] = (),
        files: Sequence[int] = (),
        extent: tuple[float, float] | None = None,
    ) -> int:
        """Writes a TensorMetadata."""
        if content is None:
            content = self.table(3, {1: self.table(0)}, {0: FEATURE_PROPERTIES})
        slots = {0: self.text(name), 1: self.text(description), 3: content}
        if units:
            slots[4] = self.tables(units)
        if extent is not None:
            slots[5] = self.table(2, {0: self.floats([extent[1]]), 1: self.floats([extent[0]])})
        if files:
            slots[6] = self.tables(files)
        return self.table(7, slots)

    def custom(self, name: str, text: str) -> int:
        """Writes a CustomMetadata."""
        data = text.encode()
        self.builder.Prep(ALIGNMENT_BYTES, len(data))
        content = self.builder.CreateByteVector(data)
        return self.table(2, {0: self.text(name), 1: content})

    def finished(self, root: int) -> bytes:
        self.builder.Finish(root, file_identifier=METADATA_IDENTIFIER)
        return bytes(self.builder.Output())
