"""A run's folder, which anyone can read: config, environment, metrics, events, curves, weights, card.

config.toml            the recipe with every default filled in, and what it was trained on
environment.json       machine and libraries
metrics.jsonl          one line of figures for each epoch
events.jsonl           what happened, and when
tensorboard/           the same figures for TensorBoard
network.py             for the network "custom": the user's file that defines it
augmentation.png       what training pictures look like
watch/                 a few answers after each epoch, and what the network saw when
broken/                the batch at which a loss was no longer a number, and why
checkpoints/           best, last, epoch-010, … .safetensors
resume.safetensors     what a killed training goes on from
model-card.json        written when the training is done
"""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType

import numpy as np
import tomlkit
from PIL import Image as PillowImage
from pydantic import BaseModel, ValidationError
from tomlkit.items import InlineTable, Table

from darkroom import atomic
from darkroom.errors import Cancelled, Damaged, StorageFailed
from darkroom.records import MetricPoint, ModelCard, field_sentences, now
from darkroom.settings import available_cores
from darkroom.training.curves import Curves
from darkroom.training.recipe import Recipe

__all__ = ["RunFolder", "library_versions", "read_metrics"]

LIBRARIES = ("darkroom", "numpy", "pillow", "safetensors", "timm", "torch", "torchvision")


class RunFolder:
    """Writes a run's files; used as a context, so that open files are closed whatever happens.

    Args:
        path: the folder; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.state = path / "resume.safetensors"
        self._curves: Curves | None = None

    def __enter__(self) -> RunFolder:
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        atomic.sweep(self.path, older_than_s=0)
        atomic.sweep(self.checkpoints, older_than_s=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curves is None:
            return
        if error is not None:
            stopped = isinstance(error, Cancelled | KeyboardInterrupt)
            with suppress(StorageFailed):  # a full disk must not hide what went wrong first
                self.event("cancelled" if stopped else "failed", message=str(error))

    def begin(
        self,
        recipe: Recipe,
        *,
        about: Mapping[str, object],
        machine: Mapping[str, object],
        history: Iterable[MetricPoint],
    ) -> None:
        """Writes config and environment, and cuts the logs back to the epochs that are kept.

        Args:
            recipe: as it was asked for.
            about: what it is trained on, with which seed.
            machine: device, threads, …
            history: figures of the epochs that a resumed training goes on from.
        """
        kept = list(history)
        if not kept:
            self._clear()
        atomic.write_text(self.path / "config.toml", _config(recipe, about))
        atomic.write_text(self.path / "environment.json", _json(_environment(machine)))
        atomic.write_text(self.path / "metrics.jsonl", "".join(_line(point) for point in kept))
        _cut_to_whole_lines(self.path / "events.jsonl")
        self._curves = Curves(self.path / "tensorboard", purge_step=len(kept) + 1)
        self.event("resumed" if kept else "started", epoch=len(kept), **machine)

    def _clear(self) -> None:
        """Removes what an earlier attempt left that cannot be gone on from."""
        for left in (self.path / "model-card.json", *self.checkpoints.glob("*.safetensors")):
            left.unlink(missing_ok=True)
        for name in ("watch", "broken"):
            if (self.path / name).is_dir():
                atomic.remove(self.path / name)

    def log(self, point: MetricPoint) -> None:
        """Adds the figures of one epoch to metrics.jsonl and to TensorBoard's curves."""
        _append(self.path / "metrics.jsonl", _line(point))
        if self._curves is not None:
            self._curves.add(point.epoch, _curves_of(point))

    def event(self, name: str, **facts: object) -> None:
        """Adds a line to events.jsonl."""
        _append(self.path / "events.jsonl", _json_line({"at": now().isoformat(), "event": name, **facts}))

    def write_preview(self, sheet: np.ndarray) -> None:
        """Writes a contact sheet (H, W, C) uint8 as augmentation.png."""
        file = io.BytesIO()
        PillowImage.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet).save(file, "PNG")
        atomic.write_bytes(self.path / "augmentation.png", file.getvalue())

    def write_card(self, card: ModelCard) -> None:
        """Writes model-card.json."""
        atomic.write_text(self.path / "model-card.json", card.model_dump_json(indent=2) + "\n")


def read_metrics(path: Path) -> tuple[MetricPoint, ...]:
    """Reads the figures of a run's epochs; a line that is still being written is left out.

    Raises:
        Damaged: a line is not what was written.
    """
    file = path / "metrics.jsonl"
    if not file.is_file():
        return ()
    try:
        return tuple(MetricPoint.model_validate_json(line) for line in file.read_bytes().split(b"\n")[:-1])
    except ValidationError:
        raise Damaged(
            "training.metrics-damaged",
            "{path} holds a line that is not what was written.",
            do="Train it again: darkroom model train --again …; or delete that line.",
            path=file,
        ) from None


@cache
def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that can change a training's result."""
    return {name: metadata.version(name) for name in LIBRARIES}


def _environment(machine: Mapping[str, object]) -> dict[str, object]:
    return {
        **machine,
        "cores": available_cores(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": library_versions(),
    }


def _config(recipe: Recipe, about: Mapping[str, object]) -> str:
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by Darkroom: the recipe with every default filled in."))
    for name, value in about.items():
        document.add(name, tomlkit.item(value))
    document.add(tomlkit.nl())
    document.add("recipe", _table(recipe))
    return tomlkit.dumps(document)


def _table(config: BaseModel) -> Table:
    """Returns the fields with their docstrings as comments, plain values before nested tables."""
    table = tomlkit.table()
    values = [(name, getattr(config, name)) for name in type(config).model_fields]
    sentences = field_sentences(type(config))
    for name, value in sorted(values, key=lambda pair: isinstance(pair[1], BaseModel)):
        if isinstance(value, BaseModel):
            table.add(name, _table(value))
            continue
        if value is None:
            continue
        for line in sentences[name].splitlines():
            table.add(tomlkit.comment(line.strip()))
        if isinstance(value, Path):
            value = value.as_posix()
        table.add(name, _inline(value) if isinstance(value, Mapping) else value)
    return table


def _inline(values: Mapping[str, object]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(values)
    return table


def _curves_of(point: MetricPoint) -> dict[str, float]:
    figures = {
        "loss/train": point.train_loss,
        "loss/val": point.val_loss,
        "accuracy/train": point.train_accuracy,
        "accuracy/val": point.val_accuracy,
        "miou/val": point.val_miou,
        "mean_ap/val": point.val_mean_ap,
        "learning_rate": point.learning_rate,
        "images_per_second": point.images_per_second,
        "gradient_norm": point.gradient_norm,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise StorageFailed(
            "training.log-failed",
            "Could not add to {path}: {reason}.",
            do="Free some space, then run the same command again: the training goes on.",
            path=path,
            reason=error.strerror or error,
        ) from error


def _cut_to_whole_lines(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            atomic.write_bytes(path, whole)


def _line(point: MetricPoint) -> str:
    return point.model_dump_json() + "\n"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _json_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
