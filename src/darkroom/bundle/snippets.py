"""Examples in Java and Kotlin that go with a bundle, written from its card: sizes, labels, thresholds.

The texts lie in `examples/`. A line `//? a b` begins a part that is kept when one of these words holds for
the card, and `//? end` ends it; `@NAME@` stands for a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.bundle.model_file import ExtraFile, ModelFile
from darkroom.images.colour import grey_of
from darkroom.records import ModelCard

__all__ = ["FOLDER", "snippets"]

FOLDER = "snippets"

_EXAMPLES = Path(__file__).with_name("examples")
_ALWAYS = ("Preprocessing.java", "Answers.java", "Photo.java")
_OF_RUNTIME = {"litert": "LiteRtModel.java", "onnx": "OnnxModel.java"}
_BOTH_LANGUAGES = ("Example.java", "Example.kt")

_PART, _VALUE = re.compile(r"\s*//\? (.*)"), re.compile(r"@([A-Z_]+)@")
_KIND = {"classification": "classes", "multi-label": "sets", "segmentation": "masks"}
_HOLDS_FROM = 0.5
"""From which probability on a label without a threshold is given; as in `tasks/label_sets.py`."""


def snippets(card: ModelCard, models: Sequence[ModelFile]) -> tuple[ExtraFile, ...]:
    """Returns the examples for a model.

    Args:
        card: what the model knows about itself.
        models: the bundle's model files; there is an example for LiteRT and for ONNX where there is a file.
    """
    first = {model.target: f"models/{model.path.name}" for model in reversed(models)}
    runtimes = [target for target in _OF_RUNTIME if target in first]
    names = [*_ALWAYS, *(_OF_RUNTIME[target] for target in runtimes)]
    words, values = _words(card, runtimes), _values(card, first)
    return tuple(
        ExtraFile(f"{FOLDER}/{name}", _filled(name, words, values).encode(), "snippet")
        for name in [*names, *(_BOTH_LANGUAGES if runtimes else ())]
    )


def _words(card: ModelCard, runtimes: Sequence[str]) -> set[str]:
    """Returns what holds for a card: the parts of the examples that are kept."""
    kind, point = _KIND[card.task], card.operating_point
    words = {kind, card.contract.resize, card.contract.colour, *card.contract.enhance}
    words |= {one for target in runtimes for one in (target, f"{target}-{kind}")}
    if kind != "classes":
        return words
    if point.temperature != 1:
        words.add("temperature")
    if any(point.thresholds.values()) or point.not_sure_below:
        words |= {"thresholds", f"thresholds-{'plain' if point.temperature == 1 else 'at-temperature'}"}
    return words


def _values(card: ModelCard, models: Mapping[str, str]) -> dict[str, str]:
    contract, kind, point = card.contract, _KIND[card.task], card.operating_point
    red, green, blue = contract.alpha_colour
    pad = (grey_of(contract.pad_colour),) if contract.colour == "grey" else contract.pad_colour
    kinds = {"classes": ("String", "String"), "sets": ("List<String>", "List<String>")}
    java, kotlin = kinds.get(kind, ("byte[]", "ByteArray"))
    each = "Answers.LABELS.length"
    per_pixel = f"Preprocessing.HEIGHT * Preprocessing.WIDTH * {each}"
    return {
        "WIDTH": str(contract.width_px),
        "HEIGHT": str(contract.height_px),
        "CHANNELS": str(contract.channels),
        "ORDER": "R G B" if contract.channels == 3 else "grey",
        "ALPHA_RED": str(red),
        "ALPHA_GREEN": str(green),
        "ALPHA_BLUE": str(blue),
        "PAD": ", ".join(f"(byte) {value}" for value in pad),
        "LABELS": "\n".join(f'        "{_in_quotes(label)}",' for label in card.labels),
        "TEMPERATURE": repr(point.temperature),
        "COUNTS_FROM": ", ".join(map(repr, _counts_from(card))),
        "OR_NOT_SURE": ", or NOT_SURE" if any(_counts_from(card)) else "",
        "OUTPUTS": per_pixel if kind == "masks" else each,
        "RETURNED": (
            "rows, columns, probability of each class"
            if kind == "masks"
            else "a probability for each of Answers.LABELS"
        ),
        "TFLITE": models.get("litert", ""),
        "ONNX": models.get("onnx", ""),
        "TYPE": java,
        "KOTLIN_TYPE": kotlin,
    }


def _counts_from(card: ModelCard) -> list[float]:
    """Returns from which probability on each answer counts; of several labels, each is given."""
    point = card.operating_point
    if card.task == "multi-label":
        return [float(point.thresholds.get(label, _HOLDS_FROM)) for label in card.labels]
    return [max(float(point.thresholds.get(label, 0.0)), point.not_sure_below) for label in card.labels]


def _in_quotes(text: str) -> str:
    """Returns a text as it stands between the quotes of Java."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in escaped)


def _escape(letter: str) -> str:
    # Control characters in octal: Java reads a line break in the \\u form as the end of the line.
    if ord(letter) < 0x80:
        return f"\\{ord(letter):03o}"
    return "".join(f"\\u{unit:04x}" for unit in memoryview(letter.encode("utf-16-le")).cast("H"))


def _filled(name: str, words: set[str], values: Mapping[str, str]) -> str:
    """Returns an example with the parts that hold, and the values in their places."""
    kept, lines = True, []
    for line in (_EXAMPLES / name).read_text(encoding="utf-8").splitlines():
        part = _PART.fullmatch(line)
        if part is not None:
            kept = part[1] == "end" or bool(words & set(part[1].split()))
        elif kept:
            lines.append(line)
    # One pass: what a label says is never taken for a place.
    return _VALUE.sub(lambda found: values[found[1]], "\n".join(lines) + "\n")
