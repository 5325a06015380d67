"""What a model can be asked to answer: the kind of label that teaches it, and how answers are measured."""

from darkroom.tasks.figures import ClassFigures, ClassificationFigures
from darkroom.tasks.table import TASKS, TaskEntry, find

__all__ = ["TASKS", "ClassFigures", "ClassificationFigures", "TaskEntry", "find"]
