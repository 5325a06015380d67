"""Ways in which sides are known to go wrong between the tensor and the label; each can be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from darkroom.records import ModelCard, Normalisation, Task

__all__ = [
    "AnswerSuspect",
    "Answering",
    "answer_suspects",
    "normalisations",
    "permutation_of",
    "sigmoid",
    "softmax",
    "spoken_normalisation",
]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation per channel. Source: torchvision, presets of its ImageNet weights."""


class Answering(Protocol):
    """A model as the comparison asks it."""

    def probabilities(self, tensors: np.ndarray) -> np.ndarray:
        """Answers to (N, height, width, channels) uint8."""
        ...

    def normalised_by(self, tensors: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
        """Answers as if another normalisation stood before the network; None where it cannot be changed."""
        ...

    def logits(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns what goes into the softmax; None where it is not known."""
        ...


class AnswerSuspect(NamedTuple):
    """One way to go wrong."""

    id: str
    step: str
    words: str
    do: str
    make: Callable[[np.ndarray, np.ndarray], np.ndarray | None]
    """From the tensors and the reference's probabilities: what the other side would answer."""


def answer_suspects(model: Answering, card: ModelCard) -> Iterator[AnswerSuspect]:
    """Yields what can be tried, the plainest first."""
    card_normalisation, task = card.normalisation, card.task
    yield from _last_steps(model, task)
    for after in (False, True):
        yield AnswerSuspect(
            "bgr",
            "channels",
            "red and blue are exchanged (BGR for RGB) "
            + ("between normalising and the network" if after else "on the way into the network"),
            "Hand the channels over in the order red, green, blue; the file takes RGB.",
            lambda tensors, _, after=after: _reversed(model, card_normalisation, tensors, after),
        )
    for other in normalisations(card_normalisation):
        yield AnswerSuspect(
            "normalisation",
            "normalise",
            f"pixels are normalised by {spoken_normalisation(other)}, "
            f"not by {spoken_normalisation(card_normalisation)}",
            "Give the file the uint8 tensor as it is: normalising is inside. In a file of your own, take "
            "mean and std from model-card.json.",
            lambda tensors, _, other=other: model.normalised_by(tensors, other),
        )


def _last_steps(model: Answering, task: Task) -> Iterator[AnswerSuspect]:
    do = "The file ends with it already: read its probabilities as they are."
    if task == "multi-label":
        yield AnswerSuspect(
            "double-sigmoid", "softmax", "the sigmoid runs twice", do, lambda _, p: sigmoid(p)
        )
        yield AnswerSuspect(
            "softmax-for-sigmoid",
            "softmax",
            "a softmax stands where each label has a sigmoid of its own",
            "Each label is a question of its own: use a sigmoid.",
            lambda tensors, _: _of_logits(model, tensors, softmax),
        )
    else:
        yield AnswerSuspect(
            "double-softmax", "softmax", "the softmax runs twice", do, lambda _, p: softmax(p)
        )
        yield AnswerSuspect(
            "sigmoid-for-softmax",
            "softmax",
            "a sigmoid stands where the softmax belongs",
            "The classes exclude each other: use a softmax over all of them.",
            lambda tensors, _: _of_logits(model, tensors, sigmoid),
        )
    yield AnswerSuspect(
        "no-softmax",
        "softmax",
        "the last step is missing: logits stand where probabilities belong",
        "Run the softmax (a sigmoid for several labels), or read the output called probabilities.",
        lambda tensors, _: model.logits(tensors),
    )
    yield AnswerSuspect(
        "log-softmax",
        "softmax",
        "the logarithm of the probabilities is given",
        "Take the exponential, or a softmax in place of log-softmax.",
        lambda _, p: np.log(np.maximum(p, 1e-30)),
    )


def _reversed(
    model: Answering, normalisation: Normalisation, tensors: np.ndarray, after: bool
) -> np.ndarray | None:
    """Answers to BGR; where the channels change places after normalising, each keeps its mean and std."""
    if tensors.shape[-1] != 3 or (after and normalisation.kind == "mean-image"):
        return None
    turned = np.ascontiguousarray(tensors[..., ::-1])
    if not after:
        return model.probabilities(turned)
    means, stds = normalisation.mean[::-1], normalisation.std[::-1]
    return model.normalised_by(turned, Normalisation(mean=means, std=stds))


def _of_logits(
    model: Answering, tensors: np.ndarray, last: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray | None:
    logits = model.logits(tensors)
    return None if logits is None else last(logits)


def normalisations(right: Normalisation) -> Iterator[Normalisation]:
    """Yields normalisations that libraries use, without the right one."""
    channels = len(right.mean)
    means: list[Sequence[float]] = [right.mean, right.mean[::-1], (0.0,) * channels, (0.5,) * channels]
    stds: list[Sequence[float]] = [right.std, right.std[::-1], (1.0,) * channels, (0.5,) * channels]
    stds.append((1 / 255,) * channels)
    if channels == 3:
        means += [IMAGENET[0], IMAGENET[0][::-1]]
        stds += [IMAGENET[1], IMAGENET[1][::-1]]
    seen = {(tuple(right.mean), tuple(right.std))} if right.kind != "mean-image" else set()
    for mean in means:
        for std in stds:
            if (found := (tuple(mean), tuple(std))) not in seen:
                seen.add(found)
                yield Normalisation(mean=found[0], std=found[1])


def spoken_normalisation(normalisation: Normalisation) -> str:
    """Returns a normalisation in words."""
    if normalisation.kind == "mean-image":
        return "the mean picture"

    def said(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    return f"mean ({said(normalisation.mean)}) and std ({said(normalisation.std)})"


def softmax(values: np.ndarray) -> np.ndarray:
    """Returns the softmax over the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + e^−x) of each value, by its tanh form, which overflows nowhere."""
    return 0.5 + 0.5 * np.tanh(values / 2)


def permutation_of(given: np.ndarray, expected: np.ndarray, most: float) -> tuple[int, ...] | None:
    """Returns for each column of `given` the column of `expected` that it holds; None where it holds none.

    Args:
        given: (N, classes) of one side.
        expected: (N, classes) of the other.
        most: largest difference of a value.
    """
    if given.shape != expected.shape or given.ndim != 2 or len(given) == 0:
        return None
    # Column by column: all pairs at once would take rows · classes² numbers.
    apart = np.stack([np.abs(column[:, None] - expected).max(axis=0) for column in given.T])
    at_home = np.diagonal(apart) <= most
    # A class that stands where it belongs is nobody else's: rare ones are all alike, nearly 0.
    apart = np.where(at_home[:, None] | at_home[None], np.inf, apart)
    places = [
        place if home else int(row.argmin())
        for place, (home, row) in enumerate(zip(at_home, apart, strict=True))
    ]
    strangers = [place for place, home in enumerate(at_home) if not home]
    if len(set(places)) < len(places) or any(apart[place, places[place]] > most for place in strangers):
        return None
    return tuple(places) if strangers else None
