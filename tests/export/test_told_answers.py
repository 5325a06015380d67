"""What a dump says that its user was told, held against its own probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle.dump_reader import open_dump
from darkroom.bundle.dump_writer import DumpedPicture, write_dump
from darkroom.errors import Invalid
from darkroom.export.divergence import compare_dump
from darkroom.export.sides import TorchSide
from darkroom.records import Limits
from tests.export import phone_sides
from tests.export.phone_sides import CONTRACT, LABELS, head, photos


@pytest.fixture(scope="module")
def side() -> TorchSide:
    return TorchSide(phone_sides.network(), phone_sides.card())


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return photos()


def test_a_side_may_tell_its_user_any_label_that_holds(
    side: TorchSide, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    several = TorchSide(
        phone_sides.network(), phone_sides.card().model_copy(update={"task": "multi-label"})
    )
    tensor = phone_sides.sound(pictures["plain.png"], CONTRACT)
    answers = several.probabilities(tensor[None])[0]
    told = LABELS[int(answers.argsort()[-2])]
    steps = {"tensor": tensor, "probabilities": answers}
    write_dump(tmp_path / "dump.zip", head(), [DumpedPicture(name="x", steps=steps, answer=told)])
    with open_dump(tmp_path / "dump.zip") as file:
        assert compare_dump(file, several, Limits()).same
        assert not compare_dump(file, side, Limits()).same, "of exclusive classes it is another answer"


def test_answers_of_another_length_are_refused_though_nobody_has_the_picture(
    side: TorchSide, tmp_path: Path
) -> None:
    odd = DumpedPicture(name="x", steps={"probabilities": np.eye(5, dtype=np.float32)[4]}, answer="red")
    write_dump(tmp_path / "dump.zip", head(), [odd])
    with open_dump(tmp_path / "dump.zip") as file, pytest.raises(Invalid, match="names 4 labels"):
        compare_dump(file, side, Limits())
    fitting = DumpedPicture(name="x", steps={"probabilities": np.eye(4, dtype=np.float32)[3]}, answer="red")
    write_dump(tmp_path / "dump.zip", head(), [fitting])
    with open_dump(tmp_path / "dump.zip") as file:
        found = compare_dump(file, side, Limits())
    assert found.first is not None
    assert found.first.step == "answer"
    assert any("tells no tensor to its probabilities" in note for note in found.notes)
