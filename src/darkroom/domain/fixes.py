"""What could be done about each way of differing: a step of the contract, augmentation, other pictures."""

from __future__ import annotations

import math

from darkroom.domain.properties import DISTANCE
from darkroom.domain.sketch import Trait
from darkroom.records import Contract

__all__ = ["fix_for"]

COLOURS = ("saturation", "red_green", "yellow_blue")
ADD = "label some such pictures and add them to the dataset"


def fix_for(trait: Trait, value: float, contract: Contract) -> str:
    """Returns what could be done, in words, with the settings to write; none of it is done by itself.

    Args:
        trait: the property, over the training pictures.
        value: that of the picture.
        contract: the one that the model was trained under.
    """
    away, ratio = abs(value - trait.quantiles[2]), _ratio(value, trait.quantiles[2])
    above = value > trait.quantiles[2]
    fixes = {
        "polarity": _polarity(contract),
        "brightness": f"train with recipe.augment.brightness = {_rounded(away / 255)}",
        "contrast": _contrast(contract, away),
        "sharpness": f"{ADD}; blur takes away what the network looks for"
        if not above
        else f"train with recipe.augment.noise = 0.05, or {ADD}",
        "noise": 'freeze with contract.enhance = ["median3"], or train with recipe.augment.noise = '
        f"{_rounded(away / 255)}",
        "size": f"train with recipe.augment.zoom = {_rounded(ratio - 1, 4.0)}, or cut pictures "
        f"{'wider' if above else 'closer'} around what is on them",
        "stroke": f"train with recipe.augment.zoom = {_rounded(ratio - 1, 4.0)}, or {ADD}"
        if above
        else f'freeze with contract.enhance = ["autocontrast"], draw with a thicker pen, or {ADD}',
        "centre_x": _off_centre(away),
        "centre_y": _off_centre(away),
        "pixels": f"take larger pictures, or {ADD}",
        "aspect": 'freeze with contract.resize = "crop" or "fill", which keep the proportions',
        DISTANCE.name: f"look at the nearest training pictures; if this one belongs to the task, {ADD}",
    }
    return _colour(contract) if trait.name in COLOURS else fixes[trait.name]


def _polarity(contract: Contract) -> str:
    in_contract = 'freeze with contract.enhance = ["dark_background"]'
    augment = "train with recipe.augment.invert = 0.5"
    return augment if "dark_background" in contract.enhance else f"{in_contract}, or {augment}"


def _contrast(contract: Contract, away: float) -> str:
    augment = f"train with recipe.augment.contrast = {_rounded(away / 255, 0.9)}"
    if "autocontrast" in contract.enhance:
        return augment
    return f'freeze with contract.enhance = ["autocontrast"], or {augment}'


def _colour(contract: Contract) -> str:
    return (
        'freeze with contract.colour = "grey" where colour says nothing, or train with '
        "recipe.augment.saturation = 0.5 and recipe.augment.hue_deg = 30"
    )


def _off_centre(away: float) -> str:
    return (
        f"train with recipe.augment.shift = {_rounded(away, 0.5)}, or cut pictures around what is on them"
    )


def _ratio(value: float, middle: float) -> float:
    """Returns how many times larger or smaller a value is, from 1 on."""
    large, small = max(value, middle, 1e-6), max(min(value, middle), 1e-6)
    return min(large / small, 5.0)


def _rounded(amount: float, most: float = 1.0) -> float:
    """Returns an amount rounded up to a twentieth, within bounds."""
    return min(max(math.ceil(round(amount * 20, 6)) / 20, 0.05), most)
