"""The table of exporters: which formats a network can be converted to.

To add one: write a file with `write(model, card, path, precision)`, add a line here, and a runtime of the
same name in `serving/runtimes.py`; `tests/conformance/test_exporters.py` then runs over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from darkroom.errors import MissingExtra, NotFound, Unsupported, among

__all__ = ["DISK_REFUSED", "EXPORTERS", "Exporter", "find"]

DISK_REFUSED = 74
"""Exit code of a conversion for which the disk had no room; its last words say why. Source: sysexits.h."""


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A format, and how it is written."""

    name: str
    """What a request calls it; a runtime of the same name runs its files."""
    title: str
    """As its makers write it."""
    suffix: str
    """How its files end."""
    precisions: tuple[str, ...]
    """What its weights can be written as, the default first."""
    any_batch: bool
    """Whether a file takes any number of tensors at a time, or one."""
    extra: str
    """Optional dependencies that it needs: `pip install darkroom[…]`."""
    modules: tuple[str, ...]
    """Modules whose presence says that the extra is installed."""
    write: str
    """Import string "module:function" of `(model, card, path, precision) -> None`."""

    def require(self, precision: str) -> None:
        """Checks that a file of this precision can be written here.

        Raises:
            Unsupported: this format is not written in this precision.
            MissingExtra: a package that it needs is not installed.
        """
        if precision not in self.precisions:
            raise Unsupported(
                "export.precision",
                "{title} is not written as {precision}. Known: {known}.",
                title=self.title,
                precision=precision,
                known=", ".join(self.precisions),
            )
        absent = [module for module in self.modules if not _present(module)]
        if absent:
            raise MissingExtra(
                "extra.exporter",
                "Writing {title} needs the module {module}, which is not installed.",
                do='Run: pip install "darkroom[{extra}]"',
                title=self.title,
                module=absent[0],
                extra=self.extra,
            )


EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        Exporter(
            name="onnx",
            title="ONNX",
            suffix=".onnx",
            precisions=("float32",),
            any_batch=True,
            extra="onnx",
            modules=("onnx", "onnxscript"),
            write="darkroom.export.onnx_file:write",
        ),
        Exporter(
            name="litert",
            title="LiteRT",
            suffix=".tflite",
            precisions=("float32",),
            any_batch=False,
            extra="litert",
            modules=("litert_torch", "ai_edge_litert", "flatbuffers"),
            write="darkroom.export.litert_file:write",
        ),
    )
}
"""All exporters by name."""


def find(name: str) -> Exporter:
    """Returns an exporter.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in EXPORTERS:
        raise NotFound(
            "export.target-unknown",
            'No export target "{name}". Known: {known}.{nearest}',
            **among(name, EXPORTERS),
        )
    return EXPORTERS[name]


def _present(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
