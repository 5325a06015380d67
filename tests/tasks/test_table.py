"""The table of tasks."""

from importlib import import_module

import pytest

from darkroom.errors import NotFound
from darkroom.tasks import TASKS, find


def test_every_entry_names_a_function_that_exists():
    for entry in TASKS.values():
        module, function = entry.measure.split(":")
        assert callable(getattr(import_module(module), function))


def test_an_unknown_task_names_the_one_that_was_meant():
    with pytest.raises(NotFound, match='Did you mean "classification"'):
        find("clasification")
