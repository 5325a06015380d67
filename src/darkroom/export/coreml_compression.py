"""Compress the weights of a Core ML program: int8 with a scale per channel, or a palette of few values."""

from __future__ import annotations

from typing import Any

from darkroom.export.precisions import Recipe

__all__ = ["compressed"]

BITS = {"palette6": 6, "palette4": 4}
"""A palette of 64 or 16 values."""


def compressed(model: Any, recipe: Recipe) -> Any:
    """Returns coremltools' model with its weights as a recipe asks for; float ones stay as they are.

    Args:
        model: coremltools' model, with float weights.
        recipe: its option "weight_threshold" is the number of values below which a weight stays float16.
    """
    if recipe.precision not in ("weight-int8", *BITS):
        return model
    import coremltools.optimize.coreml as optimise

    threshold = int(recipe.options.get("weight_threshold", 2048))
    if recipe.precision == "weight-int8":
        how = optimise.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=threshold)
        return optimise.linear_quantize_weights(model, optimise.OptimizationConfig(global_config=how))
    how = optimise.OpPalettizerConfig(
        mode="kmeans", nbits=BITS[recipe.precision], weight_threshold=threshold
    )
    return optimise.palettize_weights(model, optimise.OptimizationConfig(global_config=how))
