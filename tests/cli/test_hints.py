"""Each command that a message names exists, with the options that it shows."""

import re

import pytest

from darkroom.operation import NOUNS, operations
from tests.tree import ROOT

COMMAND = re.compile(r"\bdarkroom ((?:[a-z][a-z0-9-]* ?){1,2})((?:--[a-z.-]+)?)")
MESSAGES = sorted((ROOT / "src" / "darkroom").rglob("*.py"))


def named_commands():
    for file in MESSAGES:
        for hint in re.findall(r'\bdo=\(?\s*["\'](.*?)["\'],?\n', file.read_text("utf-8")):
            for words, option in COMMAND.findall(hint):
                yield file.name, words.split(), option


def test_messages_name_commands():
    assert len(list(named_commands())) > 20


@pytest.mark.parametrize(("file", "words", "option"), list(named_commands()))
def test_a_command_that_a_hint_names_exists(file, words, option):
    first, *rest = words
    name = f"{first}.{rest[0].replace('-', '_')}" if first in NOUNS and rest else first
    assert name in operations(), f"{file}: darkroom {' '.join(words)}"
    if option and option not in ("--help", "--debug"):
        parameters = {parameter.name for parameter in operations()[name].parameters}
        assert option.removeprefix("--").replace("-", "_").split(".")[0] in parameters
