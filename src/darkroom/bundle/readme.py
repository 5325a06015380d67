"""README.txt of a bundle: what a person who unpacks it needs to know."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from darkroom.bundle.model_file import ModelFile
from darkroom.records import ModelCard

__all__ = ["readme"]

_WIDTH = 96


def readme(name: str, card: ModelCard, models: Sequence[ModelFile]) -> str:
    """Returns the text.

    Args:
        name: what the project is called.
        card: facts of the model.
        models: the bundle's model files.
    """
    height, width, channels = card.contract.shape
    colour = "RGB" if channels == 3 else "grey"
    rows = "\n".join(
        f"  models/{one.path.name}  {one.target}, {one.precision}{f'; {one.note}' if one.note else ''}"
        for one in models
    )
    masks, sets = card.task == "segmentation", card.task == "multi-label"
    parts = [
        f"{name}: a {card.task} model, bundled by Darkroom",
        f"Model files\n{rows or '  none'}",
        f"Input: one picture as uint8, (1, {height}, {width}, {channels}), rows, columns, {colour}. Make "
        "it from a photo by the steps in contract.json, in that order and in integers; normalisation and "
        f"{'sigmoid' if sets else 'softmax'} are inside the model.",
        *(_mask_output(card) if masks else _set_output(card) if sets else _output(card)),
        "Check: each picture in golden/ must become the bytes of its .bin file exactly; golden.json holds "
        "the hash of each step on the way, and the probabilities that the model answers with"
        f"{', of some pixels as [row, column, …]; the .mask file is the whole mask' if masks else ''}.",
        f"{_origin(card)} {_figures(card)}".strip(),
        *_said("Operating point", _operating_point(card)),
        *_said("Domain check", _domain_check(card)),
        *_said("Intended use", card.intended_use),
        *_said("Not for", card.not_for),
        *_said("Human review", card.human_review),
        *_said("Licence", card.licence),
        "In an app: snippets/ shows it in Java and Kotlin, written for this model: pixels to tensor, the "
        "model, and what its answer means. On another machine: python bench.py measures size, time to "
        "load, latency and memory of each file, and holds the golden vectors against it; it needs numpy "
        "and the file's runtime, nothing else.",
        "Files: bundle.json lists every file with its sha256; model-card.json holds all facts about the "
        "model, its labels and thresholds.",
    ]
    return "\n\n".join(_wrapped(part) for part in parts) + "\n"


def _origin(card: ModelCard) -> str:
    """Returns where the model is from: a run, or a file from elsewhere and what was laid around it."""
    if not card.adapted:
        return f"Trained in run {card.run or '-'} on {card.dataset or '-'}."
    return " ".join(
        (f"Not trained here: made of {card.weights.source}, a file from elsewhere.", *card.adapted)
    )


def _output(card: ModelCard) -> tuple[str, ...]:
    return (
        f"Output: probabilities, (1, {len(card.labels)}), in the order of the labels: "
        f"{_some(card.labels)}.",
    )


def _set_output(card: ModelCard) -> tuple[str, ...]:
    """Returns how an app makes a set of labels of the output."""
    return (
        f"Output: probabilities, (1, {len(card.labels)}), in the order of the labels: "
        f"{_some(card.labels)}. Each stands by itself: they do not sum to 1. A picture has every label "
        "whose probability is at least its threshold, operating_point.thresholds in model-card.json, or "
        "0.5 for a label without one; that may be none, and may be all.",
    )


def _mask_output(card: ModelCard) -> tuple[str, ...]:
    """Returns how an app makes a mask of the output, and lays it on the photo."""
    height, width, _ = card.contract.shape
    return (
        f"Output: probabilities, float32 (1, {height}, {width}, {len(card.labels)}), rows, columns, "
        f"classes in the order of the labels: {_some(card.labels)}. The answer to a pixel is the class "
        "with the largest value, of equal ones the first; that makes a mask of class numbers from 0 on.",
        "Onto the photo: a pixel in column x of the upright photo lies inside the crop when crop_left <= x "
        "< crop_left + crop_width; it takes the answer in column pad_left + ((2*(x - crop_left) + 1) * "
        "resized_width) div (2*crop_width), and rows go the same way. What was cropped off has no answer; "
        "Darkroom writes 255 there. contract.json says how these numbers follow from the photo's size; "
        "golden.json holds them for each picture, under transform.",
    )


def _some(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:20])
    return shown if len(labels) <= 20 else f"{shown}, … ({len(labels)} in model-card.json)"


def _figures(card: ModelCard) -> str:
    return " ".join(f"{name} {figure}." for name, figure in card.metrics.items())


def _operating_point(card: ModelCard) -> str:
    """Returns what an app does with the probabilities; empty where it is nothing."""
    point, words = card.operating_point, []
    if card.task == "multi-label":
        return f"thresholds chosen on {point.chosen_on}." if point.thresholds else ""
    if point.temperature != 1:
        words.append(
            f"raise each probability to the power 1/{point.temperature:g} and divide by their sum; the "
            "order stays, the values then mean what they say."
        )
    if point.thresholds or point.not_sure_below:
        words.append(
            'Give the most probable class only from its threshold on, and "not sure" below: see '
            "operating_point in model-card.json."
        )
    return " ".join(words)


def _domain_check(card: ModelCard) -> str:
    """Returns what the sketch in the bundle is for, and how often it errs; empty where there is none."""
    rates = [
        f"by {one.used}, {one.expected} of pictures like {one.held_out or 'the held-out ones'} are called "
        f"different{f', and {one.measured} of the test pictures were' if one.measured else ''}"
        for one in card.false_alarms
    ]
    if not rates:
        return ""
    return (
        "domain/ says what training pictures look like; with it Darkroom tells whether a photo does, and "
        f'how it differs if not. False alarms: {"; ".join(rates)}. "Looks in-domain" has no such '
        "guarantee."
    )


def _said(head: str, text: str) -> list[str]:
    return [f"{head}: {text}"] if text else []


def _wrapped(part: str) -> str:
    if "\n" in part:
        return part
    return textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False)
