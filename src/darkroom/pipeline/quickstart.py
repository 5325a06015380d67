"""The main job on the embedded default: 1,797 handwritten digits that come with scikit-learn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from darkroom import atomic
from darkroom.errors import MissingExtra

__all__ = ["DIGITS_RECIPE", "write_digits"]

DIGITS_RECIPE = {
    "epochs": 30,
    "augment": {"rotate_deg": 10.0, "zoom": 0.1, "shift": 0.08},
}
"""What differs from the default recipe for the digits."""


def write_digits(folder: Path) -> int:
    """Writes the digits as PNG files in one sub-folder per class; returns how many.

    Raises:
        MissingExtra: scikit-learn is not installed.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0; the
        test part, 8×8 pixels with 17 levels, as `sklearn.datasets.load_digits` holds it.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra(
            "extra.digits",
            "The quickstart's pictures come with scikit-learn, which is not installed.",
            do='Run: pip install "darkroom[digits]"',
        ) from None
    from PIL import Image

    digits: Any = load_digits()
    grey = (digits.images * 255 / 16).round().astype("uint8")  # (1797, 8, 8), levels 0..16
    with atomic.write_folder(folder) as aside:
        for number, (pixels, label) in enumerate(zip(grey, digits.target, strict=True)):
            place = aside / str(label) / f"digit-{number:04d}.png"
            place.parent.mkdir(exist_ok=True)
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "PNG")
            place.write_bytes(data.getvalue())
    return len(grey)
