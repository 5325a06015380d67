"""Does what a page tells a person to do: its commands and Python, in the order in which they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

CLASS_NAMES = ("zero", "one", "two")
PICTURES_PER_CLASS = 40
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^\$ ((?:.*\\\n)*.*<<'(\w+)'.*\n(?:.*\n)*?\2$|(?:.*\\\n)*.*$)", re.MULTILINE)
"""A command with its continuations, or with all that is typed into it up to the closing word."""

END_OF_PYTHON = "END-OF-PYTHON"


def commands(page: str) -> list[str]:
    """Returns what is typed on a page: lines after "$ " of console blocks, and whole Python blocks.

    A line ends with a backslash where the next one belongs to it; what stands behind `<<'WORD'` goes on to
    the line that holds that word alone.
    """
    found: list[str] = []
    for kind, block in BLOCK.findall(page):
        if kind == "console":
            found += [match[1] for match in TYPED.finditer(block)]
        else:
            found.append(f"python - <<'{END_OF_PYTHON}'\n{block}{END_OF_PYTHON}")
    return found


def put_photos(folder: Path, *, per_class: int = PICTURES_PER_CLASS) -> None:
    """Writes a folder of class pictures, as a person would have it."""
    digits = load_digits()
    for label, name in enumerate(CLASS_NAMES):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == label][:per_class]):
            picture = Image.fromarray((pixels * 15.9375).astype("uint8")).resize((32, 32))
            picture.save(folder / name / f"{number:03}.png")


def run_in_order(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs commands in one shell, as one person at one terminal would; stops at the first that fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    shown = "".join(f"echo {shlex.quote(f'$ {line}')}\n{line}\n" for line in lines)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shown],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=550,
        check=False,
    )
