"""Make a model file from elsewhere one of ours: uint8 pixels in, probabilities out, its facts inside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darkroom.bundle import GoldenVectors
from darkroom.errors import Unsupported
from darkroom.export.adopting import Wish, decide, fit_contract
from darkroom.export.exporters import find
from darkroom.export.foreign import Adaptation, Foreign
from darkroom.export.precisions import PRECISIONS
from darkroom.export.report import ConvertedFile
from darkroom.records import Contract, ModelCard, Normalisation, Record, WeightsOrigin, now
from darkroom.serving import open_session
from darkroom.serving.runtimes import runtime_of

__all__ = ["Adopted", "AdoptedRecord", "adopt", "original_bytes", "unique"]

NETWORK = "adopted"
"""What the card of a model from elsewhere calls its network."""

PROBE = 3
"""Drawn pictures that are looked at where nobody said what the answers are."""


class AdoptedRecord(Record):
    """What is kept of a model from elsewhere beside its bundle, so that it can be verified again."""

    original: str
    """Name of the file as it came, beside this record."""
    adaptation: Adaptation
    """What was laid around it."""
    dataset: str = ""
    """Pictures that it is asked about; empty for drawn ones."""


class Adopted(NamedTuple):
    """A model from elsewhere, written as one of ours."""

    file: ConvertedFile
    card: ModelCard
    adaptation: Adaptation
    golden: GoldenVectors
    """Drawn pictures with the answers of the file as it came."""


def adopt(path: Path, wish: Wish, folder: Path, *, name: str, facts: Mapping[str, Any]) -> Adopted:
    """Writes a file from elsewhere anew, with what it needs as operations of its graph.

    Args:
        path: the file as it came.
        wish: what is said of it; a contract without a size takes that of the file.
        folder: where to write.
        name: how the new file is called, without the suffix.
        facts: words of its card: licence, intended use, …

    Raises:
        NotFound: there is no such file.
        Damaged: it is not a model.
        Unsupported: it does not take one picture, or holds an operation that its runtime lacks.
        Invalid: what was said of it does not fit it.
        MissingExtra: its runtime, or what writes it, is not installed.
    """
    exporter = find(runtime_of(path).name)
    exporter.require(exporter.precisions[0])
    contract = fit_contract(path, wish.contract)
    wish = wish._replace(contract=contract, labels=unique(wish.labels))
    golden = GoldenVectors.for_bundle(contract)
    precision = _writer(path).precision_of(path)
    adaptation = decide(path, wish, [tensor[None] for tensor in golden.tensors[:PROBE]])
    adaptation = adaptation.model_copy(update={"whole_numbers": PRECISIONS[precision].whole_numbers})
    card = _card(path, wish, contract, adaptation, facts)
    written = folder / f"{name}{exporter.suffix}"
    _write(path, adaptation, card, written, precision, golden)
    answers = Foreign(path, adaptation).run(golden.tensors).probabilities
    file = ConvertedFile(
        path=written, target=exporter.name, precision=precision, size_bytes=written.stat().st_size
    )
    return Adopted(file, card, adaptation, golden.answered(answers))


def original_bytes(path: Path) -> bytes:
    """Returns a file from elsewhere to be kept; weights that lie beside an .onnx file are put into it."""
    if path.suffix.lower() != ".onnx":
        return path.read_bytes()
    from darkroom.export.adopted_onnx import whole_bytes

    return whole_bytes(path)


def unique(labels: Sequence[str]) -> tuple[str, ...]:
    """Returns labels of which none stands twice: a repeated one carries its place in the list."""
    return tuple(
        label if labels.count(label) == 1 else f"{label} ({place})" for place, label in enumerate(labels)
    )


def _writer(path: Path) -> Any:
    """Returns the module that knows files of this kind."""
    if path.suffix.lower() == ".tflite":
        from darkroom.export import adopted_litert

        return adopted_litert
    from darkroom.export import adopted_onnx

    return adopted_onnx


def _write(
    path: Path,
    adaptation: Adaptation,
    card: ModelCard,
    written: Path,
    precision: str,
    golden: GoldenVectors,
) -> None:
    """Writes the new file and asks it once, as an app would."""
    try:
        _writer(path).write(path, adaptation, card, written, precision)
        open_session(written).run(golden.tensors[:1])
    except (Unsupported, MemoryError, OSError):
        raise
    except Exception as error:  # writers and runtimes share no base but Exception
        raise Unsupported(
            "adopt.does-not-run",
            "With what was laid around it the file does not run: {reason}",
            do="Say so with the file, if you may: it is adopted in a way that was never met.",
            reason=error,
        ) from error


def _card(
    path: Path, wish: Wish, contract: Contract, adaptation: Adaptation, facts: Mapping[str, Any]
) -> ModelCard:
    nothing = np.zeros(contract.channels), np.ones(contract.channels) / 255
    mean, std = (
        np.resize(np.array(given or other, np.float64), contract.channels)
        for given, other in zip((wish.mean, wish.std), nothing, strict=True)
    )
    said = f"said when {path.name} was adopted"
    return ModelCard(
        task=wish.task,
        labels=wish.labels,
        network=NETWORK,
        contract=contract,
        normalisation=Normalisation(
            kind="mean-std" if adaptation.scale else "none",
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            source=said if adaptation.scale else "",
        ),
        weights=WeightsOrigin(
            source=path.name,
            licence=str(facts.get("licence", "")),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        ),
        adapted=adaptation.words,
        created_at=now(),
        **facts,
    )
