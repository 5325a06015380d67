"""Pictures inside a page: as data URIs, and only of kinds that a browser shows and that hold no script."""

from __future__ import annotations

import base64
import io
import warnings
from typing import NamedTuple

__all__ = ["Picture", "picture"]

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
SMALL_PX = 64
"""Pictures up to this side are shown with their pixels, not smoothed."""


class Picture(NamedTuple):
    """A picture that a template can show."""

    uri: str
    """data:…"""
    width_px: int
    height_px: int

    @property
    def small(self) -> bool:
        """Whether its pixels are to be seen."""
        return max(self.width_px, self.height_px) <= SMALL_PX


def picture(data: bytes | None) -> Picture | None:
    """Returns encoded bytes as a picture; None where they are missing or of no kind that is shown."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=tuple(KINDS)) as opened:
                kind, (width, height) = KINDS[str(opened.format)], opened.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture(f"data:{kind};base64,{base64.b64encode(data).decode()}", width, height)
