"""The table of exporters: which formats a network can be converted to.

To add one: write a file with `write(model, card, path, recipe)`, add a line here, and a runtime of the
same name in `serving/runtimes.py`; `tests/conformance/test_exporters.py` then runs over it.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.errors import MissingExtra, NotFound, Unsupported, among
from darkroom.export.precisions import INT8, Recipe

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
    """Import string "module:function" of `(model, card, path, recipe) -> None`."""
    several: tuple[Recipe, ...] = ()
    """The recipes of the precisions that can be written in more than one way, the likeliest first."""

    def recipes(self, precision: str) -> tuple[Recipe, ...]:
        """Returns the ways to write a precision; a plain one where there is only that."""
        return tuple(one for one in self.several if one.precision == precision) or (
            Recipe(precision=precision),
        )

    def require(self, precision: str) -> None:
        """Checks that a file of this precision can be written here.

        Raises:
            Unsupported: this format is not written in this precision.
            MissingExtra: a package that it needs is not installed.
        """
        from darkroom.serving.runtimes import is_present

        if precision not in self.precisions:
            raise Unsupported(
                "export.precision",
                "{title} is not written as {precision}. Known: {known}.",
                do="Name one of them: darkroom export convert --run RUN --precision float32",
                title=self.title,
                precision=precision,
                known=", ".join(self.precisions),
            )
        absent = [module for module in self.modules if not is_present(module)]
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
            precisions=("float32", "float16", "dynamic-int8", "weight-int8", "int8"),
            any_batch=True,
            extra="onnx",
            modules=("onnx", "onnxscript"),
            write="darkroom.export.onnx_file:write",
            several=INT8,
        ),
        Exporter(
            name="litert",
            title="LiteRT",
            suffix=".tflite",
            precisions=("float32", "float16", "dynamic-int8", "weight-int8", "int8"),
            any_batch=False,
            extra="litert",
            modules=("litert_torch", "ai_edge_litert", "ai_edge_quantizer", "flatbuffers"),
            write="darkroom.export.litert_file:write",
            several=INT8,
        ),
        Exporter(
            name="executorch",
            title="ExecuTorch",
            suffix=".pte",
            precisions=("float32", "float16", "int8"),
            any_batch=False,
            extra="executorch",
            modules=("executorch", "torchao"),
            write="darkroom.export.executorch_file:write",
            several=(
                Recipe(precision="int8", name="fitted", options={"fitted": True}),
                Recipe(precision="int8", name="per-channel"),
                Recipe(precision="int8", name="float-head", options={"float": ["network.head"]}),
            ),
        ),
        Exporter(
            name="coreml",
            title="Core ML",
            suffix=".mlpackage",
            precisions=("float32", "float16", "weight-int8", "palette6", "palette4"),
            any_batch=False,
            extra="coreml",
            modules=("coremltools",),
            write="darkroom.export.coreml_file:write",
            several=(
                Recipe(precision="palette4", name="all-layers"),
                Recipe(precision="palette4", name="large-layers", options={"weight_threshold": 16384}),
            ),
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
            do="Name one of them: darkroom export convert --run RUN --targets onnx",
            **among(name, EXPORTERS),
        )
    return EXPORTERS[name]
