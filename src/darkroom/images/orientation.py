"""The eight EXIF orientations: read the tag, turn pixels upright."""

from __future__ import annotations

from PIL import Image

__all__ = ["ORIENTATION_TAG", "exif_of", "orientation_of", "upright"]

ORIENTATION_TAG = 0x0112

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> int:
    """Returns the orientation still to be applied to a loaded picture; 1 where the tag makes no sense.

    Only EXIF counts: browsers and Android do not look into XMP either, as Pillow's `getexif` would.
    """
    found = exif_of(image).get(ORIENTATION_TAG, 1) if "exif" in image.info else 1
    return found if found in _TURNS and image.format != "TIFF" else 1


def exif_of(image: Image.Image) -> Image.Exif:
    """Returns what the camera wrote into a loaded picture; empty where that cannot be read."""
    found = Image.Exif()
    raw = image.info.get("exif")
    if image.format == "TIFF":
        return image.getexif()
    if isinstance(raw, bytes):
        # What a broken block raises inside Pillow has no bound; the pixels are good all the same.
        try:
            found.load(raw)
        except Exception:
            return Image.Exif()
    return found


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Returns the picture as a person holds it."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
