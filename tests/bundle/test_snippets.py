"""The examples in a bundle: compiled, and run on golden pictures and random answers."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.bundle import ExtraFile, GoldenVectors, ModelFile
from darkroom.bundle.snippets import snippets
from darkroom.images import apply_contract, decode
from darkroom.records import Contract, ModelCard, OperatingPoint
from darkroom.tasks.label_sets import given
from darkroom.tasks.operating import decide
from tests.bundle import made
from tests.bundle.java import run_java
from tests.tree import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden"
CONTRACTS = ("crop", "fill", "half-crop", "squash-grey")
"""Folders of golden pictures, whose tensors were written once."""
DRAWN = {
    "rim": Contract(width_px=13, height_px=9, resize="fill", enhance=("dark_background",)),
    "stretched": Contract(
        width_px=9, height_px=12, colour="grey", resize="half_crop", pad_colour=(200, 3, 90),
        enhance=("autocontrast", "median3"),
    ),
}  # fmt: skip
"""Contracts whose pictures are drawn here."""

MODELS = [
    ModelFile(Path("shoes.onnx"), "onnx", "float32"),
    ModelFile(Path("shoes.tflite"), "litert", "float32"),
    ModelFile(Path("shoes-int8.tflite"), "litert", "int8"),
]
LABELS = ('a "quoted" \\u0041', "Grüße\t🥾", "@WIDTH@")
POINTS = {
    "plain": OperatingPoint(),
    "sure": OperatingPoint(thresholds={LABELS[0]: 0.5, LABELS[2]: 0.35}, not_sure_below=0.4),
    "cooled": OperatingPoint(temperature=1.7, thresholds={LABELS[1]: 0.45}, not_sure_below=0.36),
}


def card(**changes: object) -> ModelCard:
    return made.card(**{"labels": LABELS, **changes})


def cards() -> dict[str, ModelCard]:
    """A model per contract, operating point and task; each is a package of the Java."""
    found = {
        name.replace("-", "_"): card(
            contract=Contract(**json.loads((GOLDEN / name / "golden.json").read_text())["contract"])
        )
        for name in CONTRACTS
    }
    found |= {name: card(contract=contract) for name, contract in DRAWN.items()}
    found |= {name: card(operating_point=point) for name, point in POINTS.items()}
    point = OperatingPoint(thresholds={LABELS[0]: 0.2, LABELS[2]: 0.71})
    found["sets"] = card(task="multi-label", operating_point=point)
    found["masks"] = card(
        task="segmentation", contract=Contract(width_px=7, height_px=5, resize="half_crop")
    )
    return found


def drawn(folder: Path, name: str, contract: Contract) -> list[str]:
    """Writes drawn pictures with their tensors; returns a line for the driver per picture."""
    GoldenVectors.synthetic(contract, count=8).write(folder / name)
    return golden(folder / name, name)


def turned(folder: Path, name: str, contract: Contract) -> list[str]:
    """Writes one picture in each orientation with its tensor; returns a line for the driver per picture."""
    pixels = np.random.default_rng(1).integers(0, 256, (11, 17, 3), np.uint8)
    lines = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture, tensor = (folder / f"turned-{orientation}.{suffix}" for suffix in ("png", "bin"))
        Image.fromarray(pixels).save(picture, exif=exif)
        tensor.write_bytes(apply_contract(decode(picture.read_bytes()), contract).tensor.tobytes())
        lines.append(f"{name};tensor;{picture};{tensor};{orientation}")
    return lines


def golden(folder: Path, package: str) -> list[str]:
    index = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return [
        f"{package};tensor;{folder / one['image']};{folder / one['tensor']};{one['orientation']}"
        for one in index["vectors"]
    ]


CLASSES = "".join(
    f"""
            case "{name} answer":
                return {name}.Answers.best(floats(word[2])) + " "
                    + {name}.Answers.answer(floats(word[2]));"""
    for name in POINTS
)
MORE = (
    CLASSES
    + """
            case "sets answer": return String.join("|", sets.Answers.answer(floats(word[2])));
            case "sets asked": {
                byte[] tensor = {7, 0, 0};
                float[] litert, onnx;
                try (sets.LiteRtModel model = new sets.LiteRtModel(null, 1)) {
                    litert = model.probabilities(tensor);
                }
                tensor = new byte[sets.Preprocessing.HEIGHT * sets.Preprocessing.WIDTH * 3];
                tensor[0] = 7;
                try (sets.OnnxModel model = new sets.OnnxModel(new byte[0], 1)) {
                    onnx = model.probabilities(tensor);
                }
                return Arrays.toString(litert) + " " + Arrays.toString(onnx);
            }
            case "masks answer": {
                int width = Integer.parseInt(word[2]), height = Integer.parseInt(word[3]);
                int[] pixels = new int[width * height];
                masks.Preprocessing photo = new masks.Preprocessing(pixels, width, height, 1);
                byte[] mask = masks.Answers.mask(floats(word[4]));
                return Arrays.toString(mask) + Arrays.toString(masks.Answers.onPhoto(mask, photo));
            }"""
)


def words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values.ravel())


def test_the_java_makes_the_golden_tensors_and_answers_as_python_does(tmp_path: Path) -> None:
    found = cards()
    random = np.random.default_rng(0)
    rows = random.dirichlet((1, 1, 1), 40).astype(np.float32)
    rows[0] = (0.5, 0.25, 0.25)  # exactly on a threshold
    pixels = random.dirichlet((1, 1, 1), (5, 7)).astype(np.float32)
    sizes = ((31, 9), (8, 26), (7, 5))
    lines = [line for name in CONTRACTS for line in golden(GOLDEN / name, name.replace("-", "_"))]
    lines += [
        line for name, contract in DRAWN.items() for line in drawn(tmp_path / "drawn", name, contract)
    ]
    lines += turned(tmp_path, "rim", DRAWN["rim"])
    tensors = len(lines)
    lines += [f"{name};answer;{words(row)}" for name in (*POINTS, "sets") for row in rows]
    lines += [f"masks;answer;{width};{height};{words(pixels)}" for width, height in sizes]
    lines += ["sets;asked"]
    files = {name: snippets(one, MODELS) for name, one in found.items()}
    said = run_java(tmp_path / "java", files, MORE, lines)
    assert len(said) == len(lines)
    assert tensors >= 50
    assert said[:tensors] == ["equal"] * tensors

    answers = iter(said[tensors:])
    for point in POINTS.values():
        decided = decide(rows, LABELS, point)
        expected = [
            f"{answer} {LABELS[answer] if sure else 'not sure'}"
            for answer, sure in zip(decided.answers, decided.sure, strict=True)
        ]
        assert [next(answers) for _ in rows] == expected
        assert point == OperatingPoint() or not decided.sure.all()
    holds = given(rows, LABELS, found["sets"].operating_point)
    expected = ["|".join(label for label, one in zip(LABELS, row, strict=True) if one) for row in holds]
    assert [next(answers) for _ in rows] == expected
    for width, height in sizes:
        photo = apply_contract(decode(png(width, height)), found["masks"].contract).transform
        mask = pixels.argmax(axis=-1).astype(np.uint8)
        whole = photo.mask_to_original(mask, outside=255).astype(np.int8)  # Java's bytes are signed
        assert next(answers) == f"{mask.ravel().tolist()}{whole.ravel().tolist()}"
    assert next(answers) == "[7.0, 8.0, 9.0] [7.0, 8.0, 9.0]"


def png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def named(files: tuple[ExtraFile, ...]) -> dict[str, str]:
    return {file.path.removeprefix("snippets/"): file.data.decode() for file in files}


def test_a_runtime_without_a_file_has_no_example() -> None:
    both, one, none = (named(snippets(card(), models)) for models in (MODELS, MODELS[:1], []))
    assert {"OnnxModel.java", "LiteRtModel.java", "Example.java", "Example.kt"} <= set(both)
    assert "LiteRtModel.java" not in one
    assert "LiteRt" not in one["Example.kt"]
    assert set(none) == {"Preprocessing.java", "Answers.java", "Photo.java"}


def test_the_examples_name_the_first_file_of_a_runtime() -> None:
    text = named(snippets(card(), MODELS))["Example.kt"]
    assert "models/shoes.tflite" in text
    assert "shoes-int8" not in text


@pytest.mark.parametrize("name", ["plain", "sets", "masks", "fill", "cooled"])
def test_no_mark_is_left_and_nothing_that_the_model_does_not_need(name: str) -> None:
    text = "".join(named(snippets(cards()[name], MODELS)).values())
    assert "//?" not in text
    assert "@" not in text.replace("@param", "").replace("@return", "").replace("@Override", "").replace(
        "@WIDTH@", ""
    )
    assert ("median3" in text) == (name == "fill")
    assert ("onPhoto" in text) == (name == "masks")
    assert ("TEMPERATURE" in text) == (name == "cooled")
