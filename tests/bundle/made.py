"""A small bundle to test with, and a way to change one so that its hashes still fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.bundle import ExtraFile, GoldenVectors, ModelFile, write_bundle
from darkroom.records import (
    BundleManifest,
    Contract,
    Interval,
    ModelCard,
    Normalisation,
    content_id,
    now,
)

CONTRACT = Contract(width_px=12, height_px=10, resize="fill")
LABELS = ("sneaker", "boot", "Gr\u00fc\u00dfe \U0001f97e")


def card(**changes: Any) -> ModelCard:
    facts: dict[str, Any] = {
        "task": "classification",
        "labels": LABELS,
        "network": "lenet",
        "contract": CONTRACT,
        "normalisation": Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        "run": "r-1",
        "dataset": "shoes@1",
        "metrics": {"test.accuracy": Interval(value=0.9, low=0.85, high=0.95)},
        "intended_use": "sorting shoes",
        "created_at": now(),
    }
    return ModelCard(**(facts | changes))


def golden(count: int = 5, classes: int = 3) -> GoldenVectors:
    vectors = GoldenVectors.synthetic(CONTRACT, count=count)
    return vectors.answered(np.random.default_rng(0).dirichlet(np.ones(classes), count).astype(np.float32))


def model(folder: Path, name: str = "shoes.onnx", **facts: Any) -> ModelFile:
    path = folder / name
    path.write_bytes(bytes(range(256)) * 4)
    return ModelFile(path, **({"target": "onnx", "precision": "float32"} | facts))


def bundle(folder: Path, **changes: Any) -> BundleManifest:
    arguments: dict[str, Any] = {
        "name": "shoes",
        "card": card(),
        "golden": golden(),
        "extra": [ExtraFile("reports/parity.html", b"<p>same</p>", "report")],
    }
    if "models" not in changes:
        changes["models"] = [model(folder.parent), model(folder.parent, "shoes.tflite", target="litert")]
    return write_bundle(folder, **(arguments | changes))


def rewrite(folder: Path, place: str, change: Any) -> None:
    """Changes one JSON file of a bundle and makes all hashes fit again, as a later writer would."""
    path = folder / place
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    sign(folder)


def sign(folder: Path) -> None:
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        file |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    del manifest["id"]
    manifest["id"] = content_id(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
