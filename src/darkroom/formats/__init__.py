"""How labelled pictures lie in folders: class folders, CSV, PNG masks; each read and written."""

from darkroom.formats.format import Entry, Export, Format, Picture, Problem, Reading
from darkroom.formats.png_masks import encode_mask, load_mask
from darkroom.formats.table import FORMATS, detect, find_format
from darkroom.formats.tree import Tree, is_picture

__all__ = [
    "FORMATS",
    "Entry",
    "Export",
    "Format",
    "Picture",
    "Problem",
    "Reading",
    "Tree",
    "detect",
    "encode_mask",
    "find_format",
    "is_picture",
    "load_mask",
]
