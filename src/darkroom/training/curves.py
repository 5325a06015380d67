"""Curves of a training for TensorBoard, written at once and in this thread, so that a full disk is told."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import MissingExtra, StorageFailed

__all__ = ["Curves"]

FIRST_WORDS = "brain.Event:2"
"""With which a file of events begins. Source: TensorFlow, core/util/event.proto, Event.file_version."""


class Curves:
    """A file of events in a folder that TensorBoard reads; the library's own writer fails in a thread.

    Args:
        folder: made when it is not there.
        purge_step: what earlier files say of this epoch and later ones counts no more.

    Raises:
        MissingExtra: the package tensorboard is not installed.
        StorageFailed: the disk refuses.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        try:
            proto = _proto()
        except ImportError as error:
            raise MissingExtra(
                "training.tensorboard-missing",
                "Training writes curves for TensorBoard, and the package tensorboard is not installed.",
                do="Run: pip install 'darkroom[train]'",
            ) from error
        # TensorBoard takes files in the order of their names: the time comes first.
        self._path = folder / f"events.out.tfevents.{time.time_ns():020}.{os.getpid()}"
        start = proto.SessionLog(status=proto.SessionLog.START)
        self._add(
            proto.Event(wall_time=time.time(), file_version=FIRST_WORDS),
            proto.Event(wall_time=time.time(), step=purge_step, session_log=start),
        )

    def add(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Adds the figures of one epoch by name.

        Raises:
            StorageFailed: the disk refuses.
        """
        event = _proto().Event(wall_time=time.time(), step=epoch)
        for name, value in figures.items():
            event.summary.value.add(tag=name, simple_value=value)
        self._add(event)

    def _add(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                for event in events:
                    RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise StorageFailed(
                "training.curves-failed",
                "Could not add to {path}: {reason}.",
                do="Free some space, then run the same command again: the training goes on.",
                path=self._path,
                reason=error.strerror or error,
            ) from error


def _proto() -> Any:
    from tensorboard.compat.proto import event_pb2

    return event_pb2
