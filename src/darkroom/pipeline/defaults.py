"""What `init` picks when nothing else is said: a contract, and the stages of the main job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.errors import DarkroomError, Invalid, InvalidConfig
from darkroom.operations.run_tasks import DECIDING
from darkroom.records import Contract, Image, ResizeMode, StageEntry, Task

if TYPE_CHECKING:
    from darkroom.networks import NetworkEntry
    from darkroom.networks.weights import WeightsFacts

__all__ = ["Choice", "choose", "choose_masks", "guess_contract", "main_job"]

LOOKED_AT = 48
"""Pictures that are looked at for a guess; enough to see a mixture, few enough to be at once."""

SMALL_PX = 40
"""Up to this short side, pictures are taken for small signs such as digits."""

SQUARE_ENOUGH = 1.05
"""Up to this ratio of the sides, squashing to a square changes less than cropping loses."""

SMALL_SIDE_PX, PHOTO_SIDE_PX = 28, 64
"""Sides of the tensor where no weights say otherwise."""

SMALL_NETWORK, PHOTO_NETWORK = "lenet5", "lenet5"
"""Trained from scratch. Of 240 flowers, with 719 to train on at 64×64 px, LeNet-5 was right on 0.575
[0.513, 0.638] after 60 epochs (16 s of processor time), MobileNetV1 0.25 on 0.392 after 40 epochs (31 s),
MobileNetV2 0.35 on 0.313 after 25 (41 s)."""

PHOTO_AUGMENT = {
    "rotate_deg": 10.0,
    "crop": 0.3,
    "flip": "horizontal",
    "brightness": 0.1,
    "contrast": 0.15,
    "saturation": 0.2,
}

LAST_LAYER_RECIPE: dict[str, Any] = {
    "train_layers": "last",
    "feature_views": 4,
    "epochs": 30,
    "learning_rate": 0.001,
    "augment": PHOTO_AUGMENT,
}
"""Measured on flowers and trashnet; see benchmarks/transfer.py. Embeddings of about a thousand numbers."""

PHOTO_RECIPE: dict[str, Any] = {"epochs": 60, "augment": PHOTO_AUGMENT}
"""Photos from scratch."""


class Choice(NamedTuple):
    """What was picked for a folder of pictures."""

    contract: Contract
    recipe: dict[str, Any]
    """What differs from the default recipe."""
    why: tuple[str, ...]
    """What was picked and why, in sentences."""


def choose(
    folder: Path, places: Sequence[Path], *, network: str | None = None, weights: str | None = None
) -> Choice:
    """Looks at some pictures of a folder and picks contract, network, weights and recipe.

    Photos with pretrained weights at hand: those weights, their size in RGB, and only the last layer is
    trained. Photos without: a small network from scratch. Small pictures: LeNet-5 at 28×28.

    Args:
        folder: the pictures.
        places: where pretrained weights are looked for.
        network: what a person asked for; weights of it are taken when there are any.
        weights: what a person asked for.

    Raises:
        Invalid: the folder holds no picture that can be read.
        NotFound: there is no such network, or there are no such weights.
        InvalidConfig: the weights are for another network.
    """
    from darkroom.networks import find
    from darkroom.networks.favourite import best_weights
    from darkroom.networks.weights import find_weights

    shape = guess_contract(folder)
    small = shape.width_px == SMALL_SIDE_PX
    facts = find_weights(weights, places) if weights else None
    others: tuple[str, ...] = ()
    if facts is None and (network or not small):
        facts, others = best_weights(places, network)
    if facts is not None and network not in (None, facts.network):
        raise InvalidConfig(
            "init.other-network",
            "The weights {weights} are for network {theirs}. Received: network {network}.",
            do="Leave one of the two out.",
            weights=facts.name,
            theirs=facts.network,
            network=network,
        )
    if facts is not None:
        return _with_weights(shape, facts, others)
    chosen = find(network) if network else None
    if small and chosen is None:
        return Choice(shape, {}, (f"Small pictures: {SMALL_NETWORK}, trained from scratch.",))
    return _from_scratch(shape, chosen, small=small)


def choose_masks(
    folder: Path, places: Sequence[Path], *, network: str | None = None, weights: str | None = None
) -> Choice:
    """Picks contract, network, weights and recipe for a folder with masks; arguments as of `choose`.

    Raises:
        DarkroomError: as `choose_for_masks`.
        Invalid: the folder holds no picture that can be read.
    """
    from darkroom.pipeline.mask_defaults import choose_for_masks

    seen = _seen(folder / "images")
    return Choice(*choose_for_masks(seen, places, network=network, weights=weights))


def guess_contract(folder: Path) -> Contract:
    """Looks at some pictures of a folder and picks size, colour and resize mode.

    Small pictures become 28×28 tensors, others 64×64; pictures that are all grey stay grey; pictures that
    are nearly square are squashed, others cropped in the middle.

    Raises:
        Invalid: the folder holds no picture that can be read.
    """
    seen = _seen(folder)
    small = median(min(image.width_px, image.height_px) for image in seen) <= SMALL_PX
    side_px = SMALL_SIDE_PX if small else PHOTO_SIDE_PX
    grey = all(image.mode in ("1", "L", "LA", "I;16") for image in seen)
    ratios = [max(image.width_px, image.height_px) / min(image.width_px, image.height_px) for image in seen]
    resize: ResizeMode = "squash" if max(ratios) <= SQUARE_ENOUGH else "crop"
    return Contract(width_px=side_px, height_px=side_px, colour="grey" if grey else "rgb", resize=resize)


def _with_weights(shape: Contract, facts: WeightsFacts, others: tuple[str, ...]) -> Choice:
    side = facts.input_px
    colour = "rgb" if len(facts.normalisation.mean) == 3 else "grey"
    contract = shape.model_copy(update={"width_px": side, "height_px": side, "colour": colour})
    recipe = {"network": facts.network, "weights": facts.name, **LAST_LAYER_RECIPE}
    return Choice(
        contract,
        recipe,
        (
            f"Pretrained weights {facts.name} are at hand, so {facts.network} begins with them at their "
            f"{side}×{side} px.",
            f"Only its last layer is trained, on features of {recipe['feature_views']} views of each "
            "picture that are computed once.",
            *([f"Also at hand, for --weights: {', '.join(others)}."] if others else []),
        ),
    )


def _from_scratch(shape: Contract, network: NetworkEntry | None, *, small: bool) -> Choice:
    name = network.name if network else PHOTO_NETWORK
    least_px = network.smallest_input_px if network else 1
    side = max(shape.width_px, least_px)
    contract = shape.model_copy(update={"width_px": side, "height_px": side})
    recipe = {"network": name} if small else {"network": name, **PHOTO_RECIPE}
    said = f"{name}, trained from scratch at {side}×{side} px: no pretrained weights are at hand."
    more = (
        "With weights, photos are told apart far better: put NAME.safetensors and NAME.toml into weights/, "
        "or name their folder in DARKROOM_WEIGHTS. See: darkroom model weights"
    )
    return Choice(contract, recipe, (said,) if small else (said, more))


def main_job(
    name: str,
    images: str,
    *,
    format: str,
    contract: Contract,
    recipe: dict[str, Any],
    clones: int,
    task: Task = "classification",
) -> list[StageEntry]:
    """Returns the stages from a folder of pictures to a proven bundle.

    Args:
        name: name of the dataset.
        images: folder of pictures, relative to the project.
        format: name in the table of formats.
        contract: from decoded pixels to the tensor.
        recipe: what differs from the default recipe.
        clones: how many clones to train.
        task: what is learnt.
    """
    other = {} if task == "classification" else {"task": task}
    by = {} if task == "classification" else {"by": DECIDING[task][0]}
    network = {name: recipe[name] for name in ("network", "weights") if name in recipe}
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("collect", "source.add", {"folder": images, "format": format}),
        (
            "prepare",
            "dataset.freeze",
            {"dataset": name, "sources": ["@collect"], **other, "contract": contract},
        ),
        ("network", "model.describe", {"dataset": "@prepare", **network}),
        ("train", "model.clone", {"dataset": "@prepare", "times": clones, "recipe": recipe}),
        ("evaluate", "model.evaluate", {"runs": ["@train"]}),
        ("choose", "model.select", {"runs": ["@train"], **by}),
        ("domain", "model.domain", {"run": "@choose"}),
        ("convert", "export.convert", {"run": "@choose", "embedding": True}),
        ("verify", "export.verify", {"bundle": "@convert"}),
        ("report", "report", {"runs": ["@train"], "bundle": "@verify"}),
    ]
    return [StageEntry(name=stage, operation=verb, request=request) for stage, verb, request in rows]


def _seen(folder: Path) -> list[Image]:
    seen = list(_some_pictures(folder))
    if not seen:
        raise Invalid(
            "init.no-pictures",
            "No picture that can be read in {folder}.",
            do="Give a folder with one sub-folder per class: darkroom init NAME --images FOLDER",
            folder=folder,
        )
    return seen


def _some_pictures(folder: Path) -> Iterator[Image]:
    """Yields facts about pictures spread evenly over a folder's files."""
    from darkroom.images import describe

    paths = sorted(
        Path(parent, name) for parent, _, names in os.walk(folder) for name in names if name[0] != "."
    )
    step = max(1, len(paths) // LOOKED_AT)
    for path in paths[::step]:
        try:
            yield describe(path.read_bytes())
        except (DarkroomError, OSError):
            continue
