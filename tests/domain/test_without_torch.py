"""The check runs in a process that never loads torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import darkroom
from darkroom.domain import write_sketch
from tests.domain.digits import fresh, sketch

HERE = os.environ | {"PYTHONPATH": f"{Path(darkroom.__file__).parents[1]}:{os.environ['PYTHONPATH']}"}
"""The package that these tests test, whichever is installed."""

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from darkroom.domain import DomainCheck, read_sketch
check = DomainCheck(read_sketch(Path(sys.argv[1])))
picture = np.load(sys.argv[2], allow_pickle=False)
print(check.check(picture).in_domain, check.check(np.invert(picture)).reasons[0].name)
print(sorted({"torch", "torchvision", "sqlalchemy"} & set(sys.modules)))
"""


def test_a_picture_is_checked_without_torch(tmp_path: Path) -> None:
    write_sketch(tmp_path / "domain", sketch())
    np.save(tmp_path / "picture.npy", fresh()[0])
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "domain"), str(tmp_path / "picture.npy")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=HERE)
    assert run.stdout == "True polarity\n[]\n"


def test_the_room_loads_numpy_only_when_it_is_used() -> None:
    program = "import sys, darkroom.domain; print('numpy' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=HERE
    )
    assert run.stdout == "False\n"
