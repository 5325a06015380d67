"""Run the operations of a Core ML program in torch, where Core ML itself is not: anywhere but on a Mac."""

from darkroom.export.mil.program import MILProgram

__all__ = ["MILProgram"]
