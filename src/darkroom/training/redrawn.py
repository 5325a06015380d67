"""Train and val of a rendering shared out anew, so that clones can differ by their split; test stays."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from darkroom.records import Split
from darkroom.training.pixels import RenderedSplit, Rendering

__all__ = ["Redrawn", "redrawn"]

PARTS: tuple[Split, Split] = ("train", "val")


def redrawn(rendering: Rendering, seed: int | None) -> Rendering:
    """Returns a rendering whose train and val are shared out by a seed; as it is for None."""
    return rendering if seed is None else Redrawn(rendering, seed)


class Redrawn:
    """A rendering with another split: val gets as many pictures of each class as it had.

    Nothing is rendered again: the pixels stay where they are, and features are known by their picture. The
    pictures of a group stay together; then val has as many as whole groups allow.

    Args:
        rendering: the dataset's own.
        seed: decides which pictures lie where.
    """

    def __init__(self, rendering: Rendering, seed: int) -> None:
        self._rendering = rendering
        parts = [rendering.split(name) for name in PARTS]
        in_val = _drawn(parts, seed)
        self._splits = {name: _Chosen(parts, np.flatnonzero(in_val == (name == "val"))) for name in PARTS}

    def split(self, name: Split) -> RenderedSplit:
        """Returns one split; test and the named sets are those of the dataset."""
        return self._splits[name] if name in self._splits else self._rendering.split(name)


class _Chosen:
    """Some pictures of train and val together, in the order of their ids."""

    def __init__(self, parts: Sequence[RenderedSplit], chosen: np.ndarray) -> None:
        self._parts = parts
        ids = [image_id for part in parts for image_id in part.image_ids]
        chosen = np.array(sorted(chosen.tolist(), key=lambda place: ids[place]), np.int64)
        ends = np.cumsum([len(part) for part in parts])
        self._of = np.searchsorted(ends, chosen, side="right")
        self._at = chosen - np.concatenate([[0], ends[:-1]])[self._of]
        self.image_ids: tuple[str, ...] = tuple(ids[place] for place in chosen.tolist())
        labels = [np.asarray(part.labels) for part in parts]
        of_pixels = all(len(one) == 0 for one in labels)
        self.labels: np.ndarray = np.empty(0, np.int64) if of_pixels else np.concatenate(labels)[chosen]
        groups = _groups(parts)
        self.groups: tuple[str | None, ...] = tuple(groups[place] for place in chosen.tolist())

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._parts[0].shape

    def __len__(self) -> int:
        return len(self.image_ids)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((len(indices), *self.shape), np.uint8) if out is None else out
        for number, here, rows in self._places(indices):
            out[here] = self._parts[number].gather(rows)
        return out

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((len(indices), *self.shape[:2]), np.uint8) if out is None else out
        for number, here, rows in self._places(indices):
            out[here] = self._parts[number].gather_masks(rows)
        return out

    def _places(self, indices: np.ndarray):
        """Yields the number of each part, where its pictures go, and where they come from."""
        indices = np.asarray(indices, np.int64)
        of, at = self._of[indices], self._at[indices]
        for number in np.unique(of).tolist():
            here = np.flatnonzero(of == number)
            yield number, here, at[here]


def _groups(parts: Sequence[RenderedSplit]) -> list[str | None]:
    found: list[str | None] = []
    for part in parts:
        groups = getattr(part, "groups", None)
        found += list(groups) if groups is not None else [None] * len(part)
    return found


def _drawn(parts: Sequence[RenderedSplit], seed: int) -> np.ndarray:
    """Returns which of the pictures of train and val lie in val now, (N,) bool."""
    ids = [image_id for part in parts for image_id in part.image_ids]
    groups, strata = _groups(parts), _strata(parts)
    wanted = Counter(strata[len(parts[0]) :])
    together: dict[str, list[int]] = {}
    for place, image_id in enumerate(ids):
        group = groups[place]
        together.setdefault(f"group:{group}" if group else f"image:{image_id}", []).append(place)
    in_val = np.zeros(len(ids), bool)
    for key in sorted(together, key=lambda one: _rank(one, seed)):
        members = Counter(strata[place] for place in together[key])
        # A group goes to val where that brings val closer to what it had, counted over its classes.
        gain = sum(abs(wanted[kind]) - abs(wanted[kind] - count) for kind, count in members.items())
        if gain > 0:
            in_val[together[key]] = True
            wanted.subtract(members)
    return in_val


def _strata(parts: Sequence[RenderedSplit]) -> list[object]:
    """Returns what each picture counts as: its class; several classes as one kind; nothing for a mask."""
    labels = [np.asarray(part.labels) for part in parts]
    if all(len(one) == 0 for one in labels):
        return [None] * sum(len(part) for part in parts)
    joined = np.concatenate(labels)
    return [row.tobytes() if joined.ndim > 1 else int(row) for row in joined]


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
