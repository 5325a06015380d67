"""Golden vectors: pictures with the tensor and the answer that each platform must reach from them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.bundle.golden_mask import GoldenMask
from darkroom.bundle.manifest import GOLDEN, refuse_newer
from darkroom.bundle.profiled import PROFILE_LEVELS, profiled_image
from darkroom.bundle.synthetic import synthetic_images
from darkroom.errors import Damaged, Invalid
from darkroom.images import Decoded, Prepared, apply_contract, decode, prepare
from darkroom.records import Contract

__all__ = ["GoldenVector", "GoldenVectors"]

GOLDEN_VERSION, WITH_MASKS = 1, 2
"""Versions of the index; an older Darkroom, which does not know masks, refuses the second."""

INDEX = "golden.json"

MOST_TOLERANCE = 8
"""Levels; a vector that allows more would prove little."""

_NAME = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(frozen=True)
class GoldenVector:
    """One picture and what comes of it."""

    name: str
    image: bytes
    """The picture, encoded; drawn ones are PNG, so that each platform decodes the same pixels."""
    tensor: NDArray[np.uint8]
    """(h, w, c) uint8."""
    probabilities: tuple[float, ...] | None = None
    """What the model answers, in the order of its labels."""
    mask: GoldenMask | None = None
    """What a model for masks answers instead."""
    tolerance: int = 0
    """Levels by which a value of the tensor may differ: 0 where all is integers."""

    @property
    def outputs(self) -> int | None:
        """How many probabilities the answer holds, for masks per pixel; None while it is open."""
        if self.mask is not None:
            return self.mask.probabilities.shape[1]
        return None if self.probabilities is None else len(self.probabilities)

    @property
    def file_name(self) -> str:
        """Name of the picture's file."""
        return f"{self.name}.png" if self.image.startswith(b"\x89PNG") else f"{self.name}.jpg"


@dataclass(frozen=True)
class GoldenVectors:
    """The golden vectors of one contract."""

    contract: Contract
    vectors: tuple[GoldenVector, ...]
    prepare: Callable[[bytes, Contract], NDArray[np.uint8]] = field(default=prepare, compare=False)
    """How a picture's bytes become a tensor on the side that is checked; as here where none is named."""

    @classmethod
    def of(cls, contract: Contract, images: Iterable[tuple[str, bytes]]) -> GoldenVectors:
        """Makes vectors of named pictures; their answers are still open."""
        return cls(
            contract,
            tuple(
                GoldenVector(name, image, apply_contract(decode(image), contract).tensor)
                for name, image in images
            ),
        )

    @classmethod
    def synthetic(cls, contract: Contract, *, count: int = 12, seed: int = 0) -> GoldenVectors:
        """Makes vectors of drawn pictures that touch each step of the contract."""
        return cls.of(contract, synthetic_images(contract, count, seed))

    @classmethod
    def for_bundle(cls, contract: Contract) -> GoldenVectors:
        """Makes the vectors of a bundle: drawn pictures, and one with a colour profile."""
        profiled = cls.of(contract, [profiled_image(contract)]).vectors[0]
        drawn = cls.synthetic(contract).vectors
        return cls(contract, (*drawn, replace(profiled, tolerance=PROFILE_LEVELS)))

    @property
    def tensors(self) -> NDArray[np.uint8]:
        """All tensors, (N, h, w, c) uint8."""
        shape = (len(self.vectors), *self.contract.shape)
        return np.array([vector.tensor for vector in self.vectors], np.uint8).reshape(shape)

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """All answers, (N, classes); None where one is open."""
        rows = [vector.probabilities for vector in self.vectors]
        return None if None in rows else np.array(rows, np.float32)

    def answered(self, probabilities: NDArray[np.floating[Any]]) -> GoldenVectors:
        """Returns the vectors with a model's answers.

        Args:
            probabilities: (N, classes), a row per vector; for masks (N, h, w, classes).
        """
        if len(probabilities) != len(self.vectors):
            raise Invalid(
                "golden.count",
                "{received} answers for {expected} golden vectors.",
                received=len(probabilities),
                expected=len(self.vectors),
            )
        if probabilities.ndim == 4:
            masks = map(GoldenMask.of, probabilities)
            pairs = zip(self.vectors, masks, strict=True)
            return replace(self, vectors=tuple(replace(vector, mask=mask) for vector, mask in pairs))
        rows = [tuple(map(float, row)) for row in probabilities]
        pairs = zip(self.vectors, rows, strict=True)
        return replace(self, vectors=tuple(replace(vector, probabilities=row) for vector, row in pairs))

    def write(self, folder: Path, labels: tuple[str, ...] = ()) -> None:
        """Writes `<name>.png`, `<name>.bin` (the tensor's bytes) and `golden.json` into a folder.

        For masks also `<name>.mask`, the class of each pixel in a byte.

        Args:
            folder: an empty folder.
            labels: names of the classes, in the order of the answers.

        Raises:
            Invalid: two vectors have one name, or a name is not fit for a file.
        """
        _check_names([vector.name for vector in self.vectors])
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        for vector in self.vectors:
            (folder / vector.file_name).write_bytes(vector.image)
            (folder / f"{vector.name}.bin").write_bytes(vector.tensor.tobytes())
            of_mask = vector.mask.write(folder, vector.name) if vector.mask is not None else {}
            entries.append(_entry(vector, self.contract) | of_mask)
        masks = any(vector.mask is not None for vector in self.vectors)
        head = {
            "schema_version": WITH_MASKS if masks else GOLDEN_VERSION,
            "contract": self.contract.model_dump(mode="json"),
            "tensor_shape": list(self.contract.shape),
            "labels": list(labels),
        }
        (folder / INDEX).write_text(_index(head, entries), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> GoldenVectors:
        """Reads what `write` wrote.

        Raises:
            Damaged: a file is missing or does not fit the others.
            Unsupported: a newer Darkroom wrote it.
        """
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            known = WITH_MASKS if any("mask" in entry for entry in index["vectors"]) else GOLDEN_VERSION
            refuse_newer(f"{GOLDEN}/{INDEX}", index.get("schema_version"), known)
            contract = Contract.model_validate(index["contract"])
            vectors = tuple(_read(folder, entry, contract) for entry in index["vectors"])
            if len({vector.outputs for vector in vectors if vector.outputs is not None}) > 1:
                raise ValueError("its answers are of different lengths")
        except (
            OSError,
            ValueError,
            ArithmeticError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise Damaged(
                "golden.damaged",
                "The golden vectors in {folder} cannot be read: {reason}.",
                do="Make the bundle again: darkroom export convert --run RUN",
                folder=folder,
                reason=error,
            ) from error
        return cls(contract, vectors)

    def differing(self) -> tuple[str, ...]:
        """Returns the names of the vectors whose picture gives another tensor here than was written."""
        return tuple(
            vector.name
            for vector in self.vectors
            if not _alike(self.prepare(vector.image, self.contract), vector)
        )


def _alike(tensor: NDArray[np.uint8], vector: GoldenVector) -> bool:
    if tensor.shape != vector.tensor.shape:
        return False
    apart = np.maximum(tensor, vector.tensor) - np.minimum(tensor, vector.tensor)
    return int(apart.max(initial=0)) <= vector.tolerance


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1 or not _NAME.fullmatch(name):
            raise Invalid(
                "golden.name",
                "A golden vector cannot be called {name!r}: names are unique, of letters, digits, - and _.",
                name=name,
            )


def _index(head: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    """Lays JSON out with a line per key and per vector, so that a difference shows in one line."""
    keys = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return "{\n" + ",\n".join([*keys, f'"vectors": [\n{rows}\n]']) + "\n}\n"


def _entry(vector: GoldenVector, contract: Contract) -> dict[str, Any]:
    decoded = decode(vector.image)
    traced = apply_contract(decoded, contract, trace=True)
    return {
        "name": vector.name,
        "image": vector.file_name,
        "tensor": f"{vector.name}.bin",
        **({"tolerance": vector.tolerance} if vector.tolerance else {}),
        "probabilities": vector.probabilities,
        "orientation": decoded.orientation,
        "transform": asdict(traced.transform),
        "steps": _step_rows(decoded, traced),
    }


def _step_rows(decoded: Decoded, traced: Prepared) -> list[dict[str, Any]]:
    """Lists each step with the hash of its pixels, so that a platform can find the first that differs."""
    return [
        {
            "step": name,
            "shape": list(pixels.shape),
            "sha256": hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        }
        for name, pixels in traced.steps
    ]


def _read(folder: Path, entry: dict[str, Any], contract: Contract) -> GoldenVector:
    tensor = np.frombuffer((folder / Path(entry["tensor"]).name).read_bytes(), np.uint8)
    answer, tolerance = entry["probabilities"], entry.get("tolerance", 0)
    if not isinstance(tolerance, int) or not 0 <= tolerance <= MOST_TOLERANCE:
        raise ValueError(f"{entry['name']} allows {tolerance!r} levels")
    return GoldenVector(
        name=entry["name"],
        image=(folder / Path(entry["image"]).name).read_bytes(),
        tensor=tensor.reshape(contract.shape),
        probabilities=None if answer is None else tuple(map(float, answer)),
        mask=GoldenMask.read(folder, entry, contract.shape[:2]) if "mask" in entry else None,
        tolerance=tolerance,
    )
