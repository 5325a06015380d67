"""Bring in torchvision and timm, also where torchvision's extension does not fit the build of torch."""

from __future__ import annotations

import sys
from types import ModuleType

import torch

from darkroom.errors import MissingExtra

__all__ = ["load_timm", "load_torchvision"]

DECLARED: list[torch.library.Library] = []
"""What was declared in place of the extension; torch forgets a declaration that nobody holds."""


def load_torchvision() -> ModuleType:
    """Imports torchvision.

    A package index hands out torchvision with an extension made for the CUDA build of torch. Beside another
    build the extension does not load, and the import fails because Python code of torchvision refers to
    operators that the extension declares. Networks need none of them, so they are declared here without
    an implementation, and the import is tried again.

    Raises:
        MissingExtra: torchvision is not installed.
    """
    try:
        return _import_torchvision()
    except RuntimeError as error:
        if "torchvision::" not in str(error) or "does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left would be taken for whole
    _declare_operators()
    return _import_torchvision()


def load_timm() -> ModuleType:
    """Imports timm, which imports torchvision.

    Raises:
        MissingExtra: timm or torchvision is not installed.
    """
    load_torchvision()
    try:
        import timm
    except ModuleNotFoundError as error:
        raise _missing("timm") from error
    return timm


def _import_torchvision() -> ModuleType:
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise _missing("torchvision") from error
    return torchvision


def _declare_operators() -> None:
    """Declares the operators for which torchvision registers shapes when it is imported.

    Source: torchvision, csrc/ops/nms.cpp and csrc/ops/quantized/cpu/qnms_kernel.cpp.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    DECLARED.append(library)


def _missing(package: str) -> MissingExtra:
    return MissingExtra(
        "network.library-missing",
        "This network needs the package {package}, which is not installed.",
        do="Run: pip install 'darkroom[train]'",
        package=package,
    )
