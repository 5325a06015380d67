"""The board of the ten stages."""

from darkroom.operation import operations
from darkroom.pipeline.board import BUILT


def test_the_stages_called_built_are_those_that_an_operation_does():
    assert {one.stage for one in operations().values() if one.stage} == BUILT
