"""One format of one trained run: a file in every precision, its recipe chosen, compared with PyTorch."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.bundle import GoldenVectors
from darkroom.export import ConvertedFile
from darkroom.export.calibration import choose_pictures, choose_pictures_of_masks, save_tensors
from darkroom.export.choice import choose
from darkroom.export.conversion import convert
from darkroom.export.exporters import EXPORTERS
from darkroom.export.losses import METRIC, loss_of
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.reference import TorchReference
from darkroom.export.report import Conversion, FileParity, ParityReport
from darkroom.networks.network import Network
from darkroom.networks.saved import load
from darkroom.operations.compared_pictures import ComparedSplit, batches_of, compared_pictures
from darkroom.operations.run_pictures import pictures_of
from darkroom.records import ModelCard, Split
from darkroom.serving import RUNTIMES, Answer
from darkroom.settings import available_cores
from darkroom.workspace import Workspace

__all__ = ["TARGETS", "Remembered", "measure_format"]

TARGETS = ("onnx", "litert", "executorch", "coreml")
ROUNDS = 100
"""How often each answer is timed."""
POOLED: tuple[Split, ...] = ("test", "val", "train")
STAND_IN_PICTURES = 200
"""Pictures that a format is asked about whose operations are carried out one by one here."""


class Remembered:
    """What a function gave, made when it is first asked for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make, self.made = make, None

    def __call__(self) -> Any:
        if self.made is None:
            self.made = (self.make(),)
        return self.made[0]


class _Reference(TorchReference):
    """PyTorch, asked once about each batch; about a single tensor anew each time, as that may be timed."""

    known: dict[tuple[str, str], Answer] = {}
    """By the run and the bytes of the batch; shared by all formats of a model."""

    def __init__(self, run: str, network: Network, card: ModelCard) -> None:
        super().__init__(network, card)
        self.of, self.network, self.card = run, network, card

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        if len(tensors) == 1:
            return super().run(tensors)
        key = (self.of, hashlib.sha256(np.ascontiguousarray(tensors)).hexdigest())
        if any(of != self.of for of, _ in self.known):
            self.known.clear()  # answers of the model before: masks are large
        if key not in self.known:
            self.known[key] = super().run(tensors)
        return self.known[key]


def measure_format(workspace: Workspace, run: str, target: str) -> dict[str, Any]:
    """Returns what came of a format's files in every precision that it is written in.

    Args:
        workspace: the project.
        run: which trained run.
        target: name of the format.
    """
    network, card = load(workspace.runs_folder / run / "checkpoints/best.safetensors")
    reference = _Reference(f"{workspace.root}:{run}", network, card)
    parts = _asked(workspace, run, target, POOLED)
    golden = GoldenVectors.for_bundle(card.contract)
    golden = golden.answered(reference.run(golden.tensors).probabilities)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        files, written, words, kept = _converted(workspace, run, reference, target, Path(folder))
        convert_s, began = time.perf_counter() - began, time.perf_counter()
        report = verify(
            reference,
            card,
            files,
            _batches(parts, card),
            golden=golden.vectors,
            limits=workspace.project.brief.limits,
            rounds=ROUNDS,
            memory=True,
        )
        recipes = {file.path.name: file.recipe for file in files}
    return {
        "target": target,
        "network": card.network,
        "parameters": network.parameter_count,
        "task": card.task,
        "metric": METRIC[card.task],
        "side_px": [card.contract.width_px, card.contract.height_px],
        "images": report.image_count,
        "pool": report.pool,
        "reference": _reference_metric(report),
        "reference_ms": report.reference_latency and round(report.reference_latency.p50_ms, 3),
        "files": [_file(file, recipes[file.file], file.file in kept) for file in report.files],
        "failed": [[one.precision, f"{one.message} {one.hint}".strip()] for one in written.failures],
        "words": words,
        "convert_s": round(convert_s, 1),
        "verify_s": round(time.perf_counter() - began, 1),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {available_cores()} cores",
        "host": report.host,
        "load": round(os.getloadavg()[0], 1),
    }


def _converted(
    workspace: Workspace, run: str, reference: _Reference, target: str, folder: Path
) -> tuple[list[ConvertedFile], Conversion, list[str], set[str]]:
    """Returns a file of each precision, all that was written, what was said of the choice, and which files
    a bundle would take.

    A precision that misses the brief by every recipe is there by its best one.
    """
    exporter, card = EXPORTERS[target], reference.card
    calibration, count = _calibration(workspace, run, card, folder)
    written = convert(
        reference.network,
        card,
        folder / "files",
        targets=(target,),
        precisions=exporter.precisions,
        calibration=calibration,
        every_recipe=True,
    )
    if len(written.files) == len({file.precision for file in written.files}):  # nothing to choose from
        return list(written.files), written, [], {file.path.name for file in written.files}
    judged = verify(
        reference,
        card,
        written.files,
        _batches(_asked(workspace, run, target, ("val",)), card),
        limits=workspace.project.brief.limits,
        rounds=0,
    )
    choice = choose(judged, written.files, calibration_count=count, run=run)
    pairs = list(zip(written.files, choice.candidates, strict=True))
    kept = {file.path.name for file, candidate in pairs if candidate.kept}
    shown = [
        max(of_it, key=lambda pair: (pair[1].kept, pair[1].agreement))[0]
        for precision in exporter.precisions
        if (of_it := [pair for pair in pairs if pair[0].precision == precision])
    ]
    return shown, written, list(choice.words), kept


def _calibration(workspace: Workspace, run: str, card: ModelCard, folder: Path) -> tuple[Path, int]:
    """Writes calibration tensors of train as `export convert` does; returns their place and number."""
    pictures = pictures_of(workspace, run).split("train")
    if card.task == "segmentation":
        rows = choose_pictures_of_masks(pictures.gather_masks, len(pictures)).rows
    else:
        rows = choose_pictures(pictures.labels).rows
    save_tensors(folder / "calibration.npy", pictures.gather(rows))
    return folder / "calibration.npy", len(rows)


def _batches(parts: Sequence[ComparedSplit], card: ModelCard) -> Iterator[ParityBatch]:
    return batches_of(parts, masks=card.task == "segmentation")


def _asked(workspace: Workspace, run: str, target: str, splits: tuple[Split, ...]) -> list[ComparedSplit]:
    """Returns the pictures that a format is asked about; fewer where we carry out its operations."""
    parts = compared_pictures(workspace, run, splits)
    return _fewer(parts, STAND_IN_PICTURES) if RUNTIMES[target].stand_in else parts


def _fewer(parts: Sequence[ComparedSplit], most: int) -> list[ComparedSplit]:
    """Returns so many pictures at even distances, from the first split on."""
    found: list[ComparedSplit] = []
    for part in parts:
        left = most - sum(len(one.rows) for one in found)
        if (count := min(len(part.rows), left)) > 0:
            places = np.linspace(0, len(part.rows) - 1, count).round().astype(np.int64)
            found.append(part._replace(rows=part.rows[places]))
    return found


def _reference_metric(report: ParityReport) -> float:
    known = [file.pixels.reference_miou for file in report.files if file.pixels is not None]
    return round(next((one for one in known if one is not None), report.reference_accuracy), 4)


def _file(file: FileParity, recipe: str, kept: bool) -> dict[str, Any]:
    loss, pixels = loss_of(file), file.pixels
    sys.stderr.write(f"  {file.file}: {'passes' if file.passes else ' '.join(file.failures)}\n")
    on_test = next((part for part in file.by_split if part.split == "test"), None)
    return {
        "precision": file.precision,
        "recipe": recipe,
        "kept": kept,
        "runtime": file.runtime,
        "size_bytes": file.size_bytes,
        "agreement": file.agreement,
        "differing": file.flip_count,
        "margin": None if pixels is None else pixels.largest_margin,
        "max_abs": file.max_abs,
        "loss": None if loss is None else [round(end, 6) for end in (loss.value, loss.low, loss.high)],
        "on_test": on_test and [on_test.count, on_test.agreement],
        "load_ms": round(file.load_ms, 3),
        "p50_ms": file.latency and round(file.latency.p50_ms, 3),
        "p95_ms": file.latency and round(file.latency.p95_ms, 3),
        "memory_bytes": file.memory and file.memory.added_bytes,
        "failures": list(file.failures),
    }
