"""Core ML packages that somebody else made: what the interpreter does not know, and how it rounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import Unsupported
from darkroom.export.quiet import quiet
from darkroom.serving import open_session

needs_library = pytest.mark.slow
"""Loading coremltools takes seconds."""


def made_elsewhere(path: Path, compute: Callable[[Any, Any], Any]) -> Path:
    """A package of one picture and some operations, by coremltools alone."""
    with quiet():
        import coremltools as ct
        from coremltools.converters.mil import Builder

        mb: Any = Builder  # its operations are found when it runs

        @mb.program(input_specs=[mb.TensorSpec((1, 3, 4, 6))], opset_version=ct.target.iOS17)
        def program(image: Any) -> Any:
            return mb.cast(x=compute(mb, image), dtype="fp32", name="probabilities")

        picture = ct.ImageType(name="image", shape=(1, 3, 4, 6), color_layout=ct.colorlayout.RGB)
        target = ct.target.iOS17
        model: Any = ct.convert(
            program, inputs=[picture], minimum_deployment_target=target, skip_model_load=True
        )
        model.save(str(path))
    return path


@needs_library
def test_a_parameter_that_is_not_known_is_named_with_its_operation(tmp_path: Path) -> None:
    path = made_elsewhere(
        tmp_path / "m.mlpackage",
        lambda mb, image: mb.reduce_argmax(x=image, axis=1, output_dtype="uint16"),
    )
    with pytest.raises(Unsupported, match=r"operation reduce_argmax \(.*output_dtype"):
        open_session(path)


@needs_library
def test_a_program_that_stops_is_named_with_its_file(tmp_path: Path) -> None:
    path = made_elsewhere(
        tmp_path / "m.mlpackage",
        lambda mb, image: mb.gather(x=image, indices=[[0, 2]], axis=1, batch_dims=1),
    )
    session = open_session(path)
    with pytest.raises(Unsupported, match=r"m\.mlpackage stopped while answering: gather with batch_dims"):
        session.run(np.zeros((1, 4, 6, 3), np.uint8))


@needs_library
def test_a_single_number_in_float16_is_rounded_as_arrays_are(tmp_path: Path) -> None:
    path = made_elsewhere(
        tmp_path / "m.mlpackage",
        lambda mb, image: mb.mul(x=mb.reduce_mean(x=image, axes=[0, 1, 2, 3], keep_dims=False), y=image),
    )
    pixels = (np.arange(72, dtype=np.uint8) * 3).reshape(4, 6, 3)
    pixels[0, 0, 0] = 1
    exact = pixels.mean(dtype=np.float64)
    expected = np.float16(exact) * pixels.astype(np.float16)
    assert (expected != (exact * pixels).astype(np.float16)).any(), "rounding the mean shows"
    given = open_session(path).run(pixels[None]).probabilities[0]
    np.testing.assert_array_equal(given.transpose(1, 2, 0), expected)
