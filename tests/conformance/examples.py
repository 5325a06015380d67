"""Records for tests, each with everything that a test does not name filled in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from darkroom.catalogue import Catalogue
from darkroom.records import (
    AnnotationEvent,
    AnnotationValue,
    Author,
    BundleManifest,
    ClassLabel,
    Contract,
    DatasetVersion,
    Image,
    Location,
    Run,
    Source,
    StageRecord,
    new_ulid,
)

MOMENT = datetime(2024, 2, 29, 23, 59, 58, 123000, tzinfo=UTC)


def image_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def image(number: int, **facts: Any) -> Image:
    fields = {
        "id": image_id(number),
        "width_px": 640,
        "height_px": 480,
        "mode": "RGB",
        "format": "JPEG",
        "size_bytes": 1000 + number,
    }
    return Image(**{**fields, **facts})


def images(count: int) -> list[Image]:
    return [image(number) for number in range(count)]


def source(catalogue: Catalogue, path: str = "../photos") -> Source:
    return catalogue.sources.add(
        Source(
            id=catalogue.sources.new_id(), kind="folder", path=path, format="class-folders", added_at=MOMENT
        )
    )


def location(source_id: str, number: int, path: str) -> Location:
    return Location(
        image_id=image_id(number), source_id=source_id, path=path, size_bytes=10, mtime_ns=2**60 + number
    )


def event(number: int, value: AnnotationValue | str, **fields: Any) -> AnnotationEvent:
    new = new_ulid()
    facts = {
        "id": new,
        "key": f"key-{new}",
        "image_id": image_id(number),
        "slot": "class",
        "value": ClassLabel(label=value) if isinstance(value, str) else value,
        "author": Author(kind="person", name="Ann"),
        "at": MOMENT,
    }
    return AnnotationEvent(**{**facts, **fields})


def version(number: int = 1, *, name: str = "digits", content: str = "a") -> DatasetVersion:
    return DatasetVersion(
        name=name,
        version=number,
        id=hashlib.sha256(content.encode()).hexdigest(),
        task="classification",
        classes=("cat", "dog"),
        contract=Contract(width_px=28, height_px=28, colour="grey", resize="squash"),
        counts={"train": 2},
        histogram={"train": {"cat": 1, "dog": 1}},
        created_at=MOMENT,
    )


def run(**fields: Any) -> Run:
    facts = {
        "id": "",
        "key": "f" * 64,
        "operation": "model.train",
        "dataset": "digits@1",
        "network": "lenet",
        "created_at": MOMENT,
    }
    return Run(**{**facts, **fields})


def manifest() -> BundleManifest:
    return BundleManifest(
        id="0" * 64,
        name="shoes",
        run="r-1",
        dataset="digits@1",
        task="classification",
        created_at=MOMENT,
        files=(),
    )


def stage(name: str, **fields: Any) -> StageRecord:
    facts = {
        "name": name,
        "operation": "model.train",
        "fingerprint": "e" * 64,
        "parts": {"request": {"epochs": 30, "ratio": 0.1}, "inputs": ["a", None]},
        "result": {"accuracy": 0.5, "runs": ["r-1"]},
        "finished_at": MOMENT,
    }
    return StageRecord(**{**facts, **fields})
