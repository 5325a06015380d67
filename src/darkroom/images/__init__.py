"""Pictures: decode, the preprocessing contract, facts for the catalogue, thumbnails.

`docs/contract.md` states the arithmetic bit for bit, and one outcome for each kind of file.
"""

from darkroom.images.contract import Prepared, Step, apply_contract, prepare
from darkroom.images.decode import Decoded, decode
from darkroom.images.describe import describe
from darkroom.images.opening import MAX_PIXELS, MAX_SIDE_PX
from darkroom.images.overlay import class_colours, difference, overlay
from darkroom.images.photo import upright_photo
from darkroom.images.reference import reference_contract, reference_steps
from darkroom.images.thumbnail import thumbnail
from darkroom.images.transform import Transform, transform_of

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "Decoded",
    "Prepared",
    "Step",
    "Transform",
    "apply_contract",
    "class_colours",
    "decode",
    "describe",
    "difference",
    "overlay",
    "prepare",
    "reference_contract",
    "reference_steps",
    "thumbnail",
    "transform_of",
    "upright_photo",
]
