"""Small pictures for pages and reports; not part of the contract."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from darkroom.images.colour import flatten
from darkroom.images.decode import decoded
from darkroom.images.opening import MAX_PIXELS, opened
from darkroom.images.orientation import upright

__all__ = ["thumbnail"]

_WHITE = (255, 255, 255)


def thumbnail(data: bytes, side_px: int = 256, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Returns a picture that fits into a square, upright, in sRGB, without what the camera wrote.

    Args:
        data: the encoded bytes.
        side_px: side of the square; a smaller picture keeps its size.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        PNG where the picture kept its size, else JPEG; transparent pixels are white.

    Raises:
        InvalidImage: the bytes are no picture, are broken or cut short, or hold too many pixels.
        Unsupported: a picture of a kind that is known and not read here.
    """
    with opened(data, max_pixels=max_pixels) as image:
        whole = max(image.size) <= side_px
        if image.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB"}:
            image.draft(None, (2 * side_px, 2 * side_px))
        picture = decoded(image, data)
    small = flatten(upright(picture.image, picture.orientation), _WHITE)
    buffer = BytesIO()
    if whole:
        _bare(small).save(buffer, "PNG")
    else:
        small.thumbnail((side_px, side_px), Image.Resampling.BILINEAR)
        _bare(small).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _bare(image: Image.Image) -> Image.Image:
    """Takes away what would be written along: profile, EXIF, comments."""
    image.info = {}
    return image
