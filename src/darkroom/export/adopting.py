"""Decide what a model file from elsewhere needs to take the contract's tensor and give probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from darkroom.errors import Invalid, Unsupported
from darkroom.export.foreign import Adaptation, Finish, Foreign, Given, Port, look
from darkroom.records import Contract, Task

__all__ = ["Answers", "Wish", "decide", "fit_contract"]

Answers = Literal["auto", "probabilities", "logits", "classes"]

SUMS_TO_ONE = 1e-2
"""How far probabilities of a float file may sum from 1."""

CLOSE = 1.0
"""Most by which a pixel may differ from the quantised value of what it means, in steps."""


class Wish(NamedTuple):
    """What a person says of a file from elsewhere."""

    task: Task
    labels: tuple[str, ...]
    contract: Contract
    mean: tuple[float, ...] = ()
    """Per channel or one for all: input = (pixel / 255 - mean) / std; empty where nobody says so."""
    std: tuple[float, ...] = ()
    answers: Answers = "auto"


def fit_contract(path: Path, contract: Contract) -> Contract:
    """Returns the contract at the size of the file's input; a size that was given must be that.

    Raises:
        Unsupported: the file does not take one picture.
        Invalid: the size or the colour that was given is another one.
    """
    height, width, channels = _picture(path, look(path), contract)[1]
    given = contract.model_fields_set
    sizes = {"height_px": height, "width_px": width}
    wrong = {
        name: size for name, size in sizes.items() if name in given and getattr(contract, name) != size
    }
    if "colour" in given and contract.channels != channels:
        wrong["colour"] = channels
    if wrong:
        raise Invalid(
            "adopt.size",
            "{path} takes pictures of {width}×{height} px with {channels} channels, and the contract says "
            "{said}.",
            do="Leave the size out, or give that of the file: --contract.width-px {width} "
            "--contract.height-px {height}",
            path=path,
            width=width,
            height=height,
            channels=channels,
            said=f"{contract.width_px}×{contract.height_px} px, {contract.colour}",
        )
    return contract.model_copy(update={**sizes, "colour": "rgb" if channels == 3 else "grey"})


def decide(path: Path, wish: Wish, probe: Sequence[np.ndarray]) -> Adaptation:
    """Returns what lies between the contract's tensor and the file, each step said.

    Args:
        path: the file.
        wish: what is said of it; its contract is of the file's size.
        probe: tensors (1, height, width, channels) uint8 to see what its answers look like.

    Raises:
        Unsupported: it does not take one picture, or its answers are of another shape.
        Invalid: how its input is scaled was not said, or labels and answers do not fit.
    """
    given = look(path)
    port, _, channels_first = _picture(path, given, wish.contract)
    scale, shift, signed, words = _input(path, port, wish)
    output, index = _output(path, given, wish)
    found = Adaptation(
        input=port,
        output=output,
        output_index=index,
        channels_first=channels_first,
        size=wish.contract.shape[:2],
        is_mask=wish.task == "segmentation",
        classes_first=wish.task == "segmentation" and _classes_lead(output, wish),
        scale=scale,
        shift=shift,
        signed=signed,
        classes=len(wish.labels),
    )
    finish, said = _finish(path, found, wish, probe)
    words += (
        ["The file takes channels first: the tensor is turned for it."] if channels_first else []
    ) + said
    if output.scale:
        step = f"{output.scale:.6g}"
        words.append(f"Its answer is quantised: probability = ({output.dtype} − {output.zero}) · {step}.")
    if len(given.outputs) > 1:
        words.append(f"Of its {len(given.outputs)} outputs, {output.name!r} is the answer.")
    return found.model_copy(update={"finish": finish, "words": tuple(words)})


def _picture(path: Path, given: Given, contract: Contract) -> tuple[Port, tuple[int, int, int], bool]:
    """Returns the input for the picture, its (height, width, channels), and whether channels lead."""
    if len(given.inputs) != 1:
        raise _other(path, f"it takes {len(given.inputs)} inputs")
    port = given.inputs[0]
    shape = port.shape
    if len(shape) != 4 or shape[0] not in (1, -1):
        raise _other(path, f"it takes {port.dtype} {shape}")
    first = shape[3] not in (1, 3) and shape[1] in (1, 3)
    if not first and shape[3] not in (1, 3):
        raise _other(path, f"it takes {port.dtype} {shape}")
    sides = shape[2:] if first else shape[1:3]
    asked = (contract.height_px, contract.width_px)
    height, width = (side if side > 0 else want for side, want in zip(sides, asked, strict=True))
    return port, (height, width, shape[1] if first else shape[3]), first


def _other(path: Path, why: str) -> Unsupported:
    return Unsupported(
        "adopt.no-picture",
        "{path} does not take one picture: {why}. Expected: one input (1, height, width, channels) or (1, "
        "channels, height, width), with 1 or 3 channels.",
        do="Export the model again with one picture as its only input, then: darkroom export adopt FILE",
        path=path,
        why=why,
    )


def _input(
    path: Path, port: Port, wish: Wish
) -> tuple[tuple[float, ...], tuple[float, ...], bool, list[str]]:
    """Returns scale and shift per channel, whether the input is int8, and the words for a person."""
    channels = wish.contract.channels
    if bool(wish.mean) != bool(wish.std) or {len(wish.mean), len(wish.std)} - {0, 1, channels}:
        raise Invalid(
            "adopt.scaling-length",
            "Expected a mean and a std for each of {channels} channels, or one for all. Received: {mean} "
            "and {std}.",
            do="For example: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
            channels=channels,
            mean=wish.mean,
            std=wish.std,
        )
    if not (np.isfinite([*wish.mean, *wish.std]).all() and all(one > 0 for one in wish.std)):
        raise Invalid(
            "adopt.scaling-nought",
            "Pixels cannot be scaled by a mean of {mean} and a std of {std}: each std must be above 0, and "
            "each a number.",
            do="Say them as the makers do, for pixels from 0 to 1: --mean 0.5 --std 0.5",
            mean=wish.mean,
            std=wish.std,
        )
    mean, std = (
        np.resize(np.array(one, np.float64), channels) for one in (wish.mean or (0,), wish.std or (1,))
    )
    if port.dtype in ("uint8", "int8"):
        return (), (), port.dtype == "int8", [_quantised(path, port, wish, mean, std)]
    if port.dtype not in ("float32", "float16"):
        raise _other(path, f"it takes {port.dtype}")
    if not wish.mean:
        raise Invalid(
            "adopt.scaling",
            "{path} takes {dtype}: how the pixels 0 to 255 are scaled for it was not said.",
            do="Say it as its makers do, input = (pixel / 255 − mean) / std. −1 to 1: --mean 0.5 --std "
            "0.5; 0 to 1: --mean 0 --std 1; ImageNet's: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
            path=path,
            dtype=port.dtype,
        )
    scale, shift = 1 / (255 * std), -mean / std
    shown = f"{_listed(scale)} · pixel {'+' if shift[0] >= 0 else '−'} {_listed(np.abs(shift))}"
    return (
        tuple(scale.astype(np.float32).tolist()),
        tuple(shift.astype(np.float32).tolist()),
        False,
        [f"It takes {port.dtype}: input = {shown}, inside the adopted file."],
    )


def _quantised(path: Path, port: Port, wish: Wish, mean: np.ndarray, std: np.ndarray) -> str:
    """Returns in words what a quantised input means; refuses a scaling that it does not mean."""
    if not port.scale:
        return "It takes the pixels as they are."
    zero = port.zero + (128 if port.dtype == "int8" else 0)
    if wish.mean:
        pixels = np.array([0.0, 255.0])[:, None]
        wanted = (pixels / 255 - mean) / std / port.scale + zero
        apart = float(np.abs(wanted - pixels).max())
        if apart > CLOSE:
            raise Invalid(
                "adopt.scaling-other",
                "{path} is quantised so that a pixel means (pixel − {zero}) · {scale:.6g}; the mean and "
                "std that were given say another, by up to {apart:.1f} steps.",
                do="Leave --mean and --std out.",
                path=path,
                zero=zero,
                scale=port.scale,
                apart=apart,
            )
    signed = ", less 128" if port.dtype == "int8" else ""
    means = f"(pixel − {zero}) · {port.scale:.6g}"
    return f"Its input is quantised: pixels go in as they are{signed}, and mean {means}."


def _output(path: Path, given: Given, wish: Wish) -> tuple[Port, int]:
    """Returns the output that answers for the labels."""
    masks = wish.task == "segmentation"
    fitting = [
        (port, index)
        for index, port in enumerate(given.outputs)
        if (_mask_fits(port, wish) if masks else _row_fits(port, wish))
    ]
    if not fitting:
        shapes = ", ".join(f"{port.name} {port.dtype} {port.shape}" for port in given.outputs)
        raise Invalid(
            "adopt.labels",
            "{path} answers with {shapes}, which does not fit {count} labels for {task}.",
            do="Give a label for each number of the answer, one per line, in its order. Other tasks: "
            "--task classification, multi-label, segmentation.",
            path=path,
            shapes=shapes,
            count=len(wish.labels),
            task=wish.task,
        )
    return fitting[0]


def _row_fits(port: Port, wish: Wish) -> bool:
    numbers = [side for side in port.shape[1:] if side != 1] or [1]
    return len(port.shape) >= 2 and numbers == [len(wish.labels)]


def _mask_fits(port: Port, wish: Wish) -> bool:
    rows, columns = wish.contract.shape[:2]
    shape = port.shape
    if len(shape) not in (3, 4):
        return False
    if "int" in port.dtype and not port.scale:
        return _is(shape[1:3], (rows, columns)) and shape[3:] in ((), (1,))
    return len(shape) == 4 and (
        _is(shape[1:], (rows, columns, len(wish.labels))) or _classes_lead(port, wish)
    )


def _classes_lead(port: Port, wish: Wish) -> bool:
    """Whether a mask is (N, classes, height, width)."""
    rows, columns = wish.contract.shape[:2]
    return (
        len(port.shape) == 4
        and not _is(port.shape[1:], (rows, columns, len(wish.labels)))
        and _is(port.shape[1:], (len(wish.labels), rows, columns))
    )


def _is(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape is this one, where it is not open."""
    return len(shape) == len(wanted) and all(
        side in (-1, want) for side, want in zip(shape, wanted, strict=True)
    )


def _finish(
    path: Path, found: Adaptation, wish: Wish, probe: Sequence[np.ndarray]
) -> tuple[Finish, list[str]]:
    """Returns what makes probabilities of the answer; looks at some where nobody says what they are."""
    of_classes = "int" in found.output.dtype and not found.output.scale
    fits = (
        found.is_mask and wish.answers in ("auto", "classes") if of_classes else wish.answers != "classes"
    )
    if not fits:
        raise _other_answers(path, found, wish)
    if of_classes:
        return "classes", [
            "It answers with the number of a class per pixel; each becomes probability 1 of that class."
        ]
    sets = wish.task == "multi-label"
    squash: Finish = "sigmoid" if sets else "softmax"
    added = [f"It answers with scores: a {squash} inside the adopted file makes probabilities of them."]
    if wish.answers == "probabilities":
        return "none", []
    if wish.answers == "logits":
        return squash, added
    asked = Foreign(path, found)
    answers = np.concatenate([asked.raw(tensor).astype(np.float64) for tensor in probe])
    within = bool((answers >= 0).all() and (answers <= 1).all())
    whole = bool(np.abs(answers.sum(axis=-1) - 1).max() <= SUMS_TO_ONE)
    if within and (sets or whole or found.output.scale):
        return "none", []
    return squash, [
        f"{added[0]} Nobody said so: its answers lie between {answers.min():.3g} and {answers.max():.3g}."
    ]


def _other_answers(path: Path, found: Adaptation, wish: Wish) -> Invalid:
    return Invalid(
        "adopt.answers",
        "{path} answers with {dtype} {shape}, which for {task} cannot be {answers}. Numbers of classes are "
        "plain whole numbers in a mask, one per pixel; all else is probabilities or logits.",
        do="Leave --answers out, and look at --task: classification, multi-label, segmentation.",
        path=path,
        dtype=found.output.dtype,
        shape=found.output.shape,
        task=wish.task,
        answers="taken in" if wish.answers == "auto" else wish.answers,
    )


def _listed(values: np.ndarray) -> str:
    kept = dict.fromkeys(f"{value:.6g}" for value in values)
    return next(iter(kept)) if len(kept) == 1 else f"({', '.join(f'{value:.6g}' for value in values)})"
