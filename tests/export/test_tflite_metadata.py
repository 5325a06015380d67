"""The metadata in a .tflite file, read by the slots of the published schema, as other readers do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers import number_types as types
from flatbuffers.table import Table

from darkroom.bundle import contract_of
from darkroom.export.conversion import convert
from darkroom.export.tflite_metadata import with_metadata
from darkroom.serving import open_session
from tests.export import models
from tests.export.models import Trained


class Reader:
    """A table of a flatbuffer, its slots by number."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @classmethod
    def root(cls, data: bytes) -> Reader:
        start = int.from_bytes(data[:4], "little")
        return cls(Table(bytearray(data), start))

    def _at(self, slot: int) -> int:
        return self.table.Offset(4 + 2 * slot)

    def text(self, slot: int) -> str:
        return self.table.String(self._at(slot) + self.table.Pos).decode()

    def number(self, slot: int, flags: Any = types.Int8Flags) -> int:
        return self.table.Get(flags, self._at(slot) + self.table.Pos) if self._at(slot) else 0

    def one(self, slot: int) -> Reader:
        return Reader(Table(self.table.Bytes, self.table.Indirect(self._at(slot) + self.table.Pos)))

    def many(self, slot: int) -> list[Reader]:
        if not self._at(slot):
            return []
        start, count = self.table.Vector(self._at(slot)), self.table.VectorLen(self._at(slot))
        return [Reader(Table(self.table.Bytes, self.table.Indirect(start + 4 * i))) for i in range(count)]

    def floats(self, slot: int) -> list[float]:
        return self.table.GetVectorAsNumpy(types.Float32Flags, self._at(slot)).tolist()

    def data(self, slot: int) -> bytes:
        return self.table.GetVectorAsNumpy(types.Uint8Flags, self._at(slot)).tobytes()


def metadata_of(path: Path) -> Reader:
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == b"TFLITE_METADATA":
            data = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            assert data[4:8] == b"M001"
            return Reader.root(data)
    raise AssertionError(f"no metadata in {path}")


@pytest.fixture(scope="module")
def colours() -> Trained:
    return models.colours()


@pytest.fixture(scope="module")
def path(colours: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    done = convert(colours.network, colours.card, folder, targets=("litert",), embedding=True)
    return done.files[0].path


def test_our_reader_reads_a_published_file(shared_data: Path) -> None:
    published = shared_data / "reference-models" / "mobilenet_v2_1.0_224_quant.tflite"
    graph = metadata_of(published).many(3)[0]
    image, scores = graph.many(2)[0], graph.many(3)[0]
    normalise = image.many(4)[0]
    assert normalise.number(0) == 1
    assert normalise.one(1).floats(0) == [127.5]
    assert scores.many(6)[0].text(0) == "imagenet_labels.txt"
    assert scores.many(6)[0].number(2) == 2


def test_the_image_is_said_to_be_taken_as_it_is(path: Path) -> None:
    image = metadata_of(path).many(3)[0].many(2)[0]
    assert image.text(0) == "image"
    content = image.one(3)
    assert content.number(0) == 2, "ImageProperties"
    properties = content.one(1)
    assert properties.number(0) == 1, "RGB"
    size = properties.one(1)
    assert [size.number(slot, types.Uint32Flags) for slot in (0, 1)] == [24, 20]
    unit = image.many(4)[0]
    assert unit.number(0) == 1, "NormalizationOptions"
    assert (unit.one(1).floats(0), unit.one(1).floats(1)) == ([0.0] * 3, [1.0] * 3)
    assert (image.one(5).floats(0), image.one(5).floats(1)) == ([255.0], [0.0])


def test_outputs_are_described_in_the_order_of_the_graph(path: Path) -> None:
    outputs = metadata_of(path).many(3)[0].many(3)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    assert [output.text(0).encode() for output in outputs] == [graph.tensors[i].name for i in graph.outputs]
    described = {output.text(0): output for output in outputs}
    assert set(described) == {"probabilities", "embedding"}
    (labels,) = described["probabilities"].many(6)
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2), "TENSOR_AXIS_LABELS"
    assert described["embedding"].many(6) == []
    assert [graph.tensors[i].name for i in graph.inputs] == [b"image"]


def test_labels_and_card_are_packed_behind_the_model_unpressed(path: Path, colours: Trained) -> None:
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_STORED}
        assert packed.read("labels.txt").decode() == "red\ngrün\nblue\ngrey"
        assert json.loads(packed.read("model-card.json")) == json.loads(colours.card.model_dump_json())


def test_model_facts_and_contract_are_inside(path: Path, colours: Trained) -> None:
    model = metadata_of(path)
    assert model.text(0) == "colours@1"
    assert model.text(1) == colours.card.intended_use
    assert model.text(2) == "r-1"
    assert model.text(5) == "CC-BY-4.0"
    assert [file.text(0) for file in model.many(6)] == ["model-card.json"]
    assert model.text(7) == "1.5.0"
    custom = {entry.text(0): entry.data(1) for entry in model.many(3)[0].many(9)}
    assert set(custom) == {"darkroom.contract", "darkroom.precision"}
    assert contract_of(json.loads(custom["darkroom.contract"])) == colours.card.contract
    assert custom["darkroom.precision"] == b"float32"


def test_weights_lie_where_a_runtime_reads_them_in_place(path: Path) -> None:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    model = schema.Model.GetRootAs(data, 0)
    filled = [
        model.Buffers(i).DataAsNumpy()
        for i in range(model.BuffersLength())
        if not model.Buffers(i).DataIsNone()
    ]
    assert len(filled) > 8
    assert {(found.ctypes.data - data.ctypes.data) % 16 for found in filled} == {0}


def with_weights_behind(content: bytes) -> bytes:
    """Returns a model whose largest buffer lies behind it, as the quantiser writes large ones."""
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    sizes = [0 if buffer.data is None else len(buffer.data) for buffer in parsed.buffers]
    place = int(np.argmax(sizes))
    buffer = parsed.buffers[place]
    weights = bytes(buffer.data)
    buffer.data, buffer.offset, buffer.size = None, 1, 1
    packed = flatbuffer_utils.convert_object_to_bytearray(parsed)
    start = (len(packed) + 15) // 16 * 16
    packed += bytes(start - len(packed)) + weights
    model = schema.Model.GetRootAs(packed, 0)
    flatbuffer_utils.update_packed_buffer(model.Buffers(place), offset=start, size=len(weights))
    return bytes(packed)


def test_weights_that_lie_behind_the_model_are_not_lost(
    colours: Trained, path: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.tflite"
    again.write_bytes(with_metadata(with_weights_behind(path.read_bytes()), colours.card, "float32"))
    expected, found = (open_session(one).run(colours.images[:5]) for one in (path, again))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
