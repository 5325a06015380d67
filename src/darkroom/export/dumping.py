"""The reference writer of dumps: what the contract, and PyTorch or a bundle's file, make of pictures."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path

import numpy as np

from darkroom.bundle.dump import Dump, DumpSide
from darkroom.bundle.dump_writer import DumpedPicture
from darkroom.errors import InvalidImage
from darkroom.export.sides import Side
from darkroom.images import Decoded, apply_contract, decode
from darkroom.records import now

__all__ = ["decoded", "dumped_pictures", "head_of"]

AT_A_TIME = 4
"""Pictures that go through the network together; layers of large networks take 100 MB each."""


def head_of(side: Side, *, bundle: str = "", file: Path | None = None) -> Dump:
    """Returns what a dump of a side made here says about itself.

    Args:
        side: what answers.
        bundle: id of the bundle.
        file: the model file; None for PyTorch.
    """
    from darkroom.bundle.manifest import file_hash

    return Dump(
        side=DumpSide(
            platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            library=f"darkroom {metadata.version('darkroom')}",
            runtime=side.title,
            versions={name: metadata.version(name) for name in ("numpy", "pillow")},
            file=file.name if file is not None else "",
            target=side.target,
            precision=side.precision,
            file_sha256=file_hash(file) if file is not None and file.is_file() else "",
        ),
        created_at=now(),
        bundle=bundle,
        contract=side.card.contract,
        labels=side.labels,
    )


def dumped_pictures(
    side: Side, pictures: Iterable[tuple[str, bytes]], *, layers: bool
) -> Iterator[DumpedPicture]:
    """Yields what becomes of each picture, a few at a time.

    Args:
        side: what answers.
        pictures: names with encoded bytes; a few are held at a time.
        layers: what each layer gives as well.

    Raises:
        InvalidImage: bytes are no picture; the message names it.
        Unsupported: the side hands out no layers, and they were asked for.
    """
    waiting = iter(pictures)
    while part := list(islice(waiting, AT_A_TIME)):
        read = [decoded(name, data) for name, data in part]
        traced = [apply_contract(one, side.card.contract, trace=True) for one in read]
        tensors = np.stack([one.tensor for one in traced])
        probabilities, logits = side.probabilities(tensors), side.logits(tensors)
        inputs = side.normalised(tensors)
        known = side.layers(tensors) if layers else []
        for row, (name, data) in enumerate(part):
            steps = {step.name: step.pixels for step in traced[row].steps}
            steps |= {"tensor": tensors[row], "probabilities": probabilities[row]}
            if inputs is not None:
                steps["normalise"] = inputs[row]
            if logits is not None:
                steps["logits"] = logits[row]
            answers = probabilities[row]
            yield DumpedPicture(
                name=name,
                data=data,
                orientation=read[row].orientation,
                steps=steps,
                layers=[(layer.name, layer.operation, layer.values[row]) for layer in known],
                answer=side.labels[int(answers.argmax())]
                if answers.ndim == 1 and side.card.task == "classification"
                else "",
            )


def decoded(name: str, data: bytes) -> Decoded:
    """Returns the pixels of encoded bytes.

    Args:
        name: what the picture is called, for the message.
        data: its bytes.

    Raises:
        InvalidImage: they are no picture that can be read.
    """
    try:
        return decode(data)
    except InvalidImage as error:
        raise InvalidImage(
            "dump.picture", "{name}: {why}", do="{hint}", name=name, why=error.message, hint=error.hint
        ) from error
