"""contract.json: the contract's steps as data, with every number that a platform needs to run them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.errors import Unsupported
from darkroom.records import CONTRACT_VERSION, Contract, Enhancement, validated

__all__ = ["contract_document", "contract_of"]

DOCUMENT_VERSION = 1
"""Version of the document's shape; the version of the arithmetic stands beside it."""

_RATIO = "ratio(a, b) = (2*a + b) div (2*b); W, H: upright size; w, h: tensor size"
_KEPT = {
    "squash": "all",
    "crop": "W*h > H*w: width max(1, ratio(H*w, h)); else: height max(1, ratio(W*h, w))",
    "fill": "all",
    "half_crop": (
        "s = W*h + H*w; W*h > H*w: width max(1, ratio(s, 2*h)); else: height max(1, ratio(s, 2*w))"
    ),
}
_BECOMES = {
    "squash": "w x h",
    "crop": "w x h",
    "fill": "W*h > H*w: w x max(1, ratio(H*w, W)); else: max(1, ratio(W*h, H)) x h",
    "half_crop": (
        "s = W*h + H*w; W*h > H*w: w x max(1, ratio(2*w*h*H, s)); else: max(1, ratio(2*w*h*W, s)) x h"
    ),
}
_ENHANCE: dict[Enhancement, str] = {
    "invert": "255 - p",
    "autocontrast": (
        "per channel, lo and hi its smallest and largest value in the tensor, padding too; "
        "lo = hi: p; else ((p - lo)*510 + (hi - lo)) div (2*(hi - lo))"
    ),
    "median3": "per channel, the fifth of the nine sorted values of 3 x 3; the edge repeats beyond itself",
    "dark_background": (
        "s = sum, n = number of the values of all channels in the first and last row and the first and "
        "last column, each pixel once, padding too; 2*s > 255*n: 255 - p; else p"
    ),
}


def contract_document(contract: Contract) -> dict[str, Any]:
    """Returns a contract as the content of `contract.json`."""
    return {
        "schema_version": DOCUMENT_VERSION,
        "contract_version": contract.version,
        "contract": contract.model_dump(mode="json"),
        "tensor": {
            "width_px": contract.width_px,
            "height_px": contract.height_px,
            "channels": contract.channels,
            "type": "uint8",
            "order": "rows, columns, channels; RGB",
        },
        "steps": [*_decode_steps(contract), *_resize_steps(contract), *_last_steps(contract)],
    }


def contract_of(document: Mapping[str, Any]) -> Contract:
    """Returns the contract that a `contract.json` holds.

    Raises:
        Unsupported: the document or its arithmetic is newer than this Darkroom.
        InvalidConfig: it is no contract.
    """
    found = (document.get("schema_version"), document.get("contract_version"))
    for version, known in zip(found, (DOCUMENT_VERSION, CONTRACT_VERSION), strict=True):
        if isinstance(version, int) and version > known:
            raise Unsupported(
                "contract.newer",
                "contract.json is of version {version}; this Darkroom reads up to {known}.",
                do="Update Darkroom: pip install --upgrade darkroom",
                version=version,
                known=known,
            )
    return validated(
        Contract, document.get("contract"), where="contract.json", explained="docs/contract.md"
    )


def _decode_steps(contract: Contract) -> list[dict[str, Any]]:
    return [
        {"step": "decode", "to": "8-bit sRGB, 1, 3 or 4 channels, alpha not premultiplied"},
        {"step": "orient", "by": "EXIF orientation", "values": [1, 2, 3, 4, 5, 6, 7, 8]},
        {
            "step": "alpha",
            "colour": list(contract.alpha_colour),
            "formula": "(2*(p*a + b*(255 - a)) + 255) div 510",
        },
        _colour_step(contract),
    ]


def _colour_step(contract: Contract) -> dict[str, Any]:
    if contract.colour == "rgb":
        return {"step": "colour", "to": "rgb", "formula": "grey pixels: R = G = B = p"}
    return {
        "step": "colour",
        "to": "grey",
        "red": 19595,
        "green": 38470,
        "blue": 7471,
        "round": 32768,
        "shift": 16,
        "formula": "(red*R + green*G + blue*B + round) >> shift",
    }


def _resize_steps(contract: Contract) -> list[dict[str, Any]]:
    resample = {
        "filter": "triangle, antialiased",
        "coefficient_bits": 22,
        "round": 2**21,
        "skip": "when the two lengths are equal",
    }
    return [
        {
            "step": "crop",
            "mode": contract.resize,
            "ratio": _RATIO,
            "keep": _KEPT[contract.resize],
            "place": "left = (W - width) div 2; top = (H - height) div 2",
        },
        {"step": "resize_horizontal", "to": f"width of: {_BECOMES[contract.resize]}", **resample},
        {"step": "resize_vertical", "to": f"height of: {_BECOMES[contract.resize]}", **resample},
    ]


def _last_steps(contract: Contract) -> list[dict[str, Any]]:
    pad = {
        "step": "pad",
        "colour": list(contract.pad_colour),
        "place": "left = (w - width) div 2; top = (h - height) div 2",
        "grey": "takes the grey of the colour",
    }
    return [pad, *({"step": f"enhance_{name}", "formula": _ENHANCE[name]} for name in contract.enhance)]
