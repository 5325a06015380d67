"""Measure what one prediction takes in memory, in a process of its own: `python -m darkroom.export.memory`.

The process loads the interpreter, this package and the runtime's library, and notes its resident memory:
the baseline. Then it opens the file and answers once about one grey tensor, on one thread, and notes
the largest resident memory since. The difference is what model, runtime and answer take on this host. It
holds neither the decoding of the picture nor the library itself, and another processor, another version of
the library or a phone gives another number.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np

from darkroom import atomic
from darkroom.errors import DarkroomError
from darkroom.export.report import MemoryUse
from darkroom.serving import find, open_session

__all__ = ["measure_memory"]

LONGEST_S = 300
"""A file that has not answered by then is left unmeasured."""

MID_GREY = 127
"""Not 0: memory that was only asked for and never written is not resident."""

STATUS = Path("/proc/self/status")
FORGET_PEAK = Path("/proc/self/clear_refs")


def measure_memory(path: Path, target: str) -> MemoryUse | None:
    """Returns the resident memory before and during one prediction; None where the file does not answer.

    Args:
        path: the model file.
        target: name of its runtime.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "memory.json")
        request.write_text(json.dumps({"path": str(path.resolve()), "target": target}))
        try:
            subprocess.run(
                # -P: a file of the user's that is called like a library must not take its place.
                [sys.executable, "-P", "-W", "ignore", "-m", "darkroom.export.memory", str(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return MemoryUse.model_validate_json(answer.read_bytes()) if answer.is_file() else None


def run(request: Path) -> None:
    """Measures in this process, and writes `memory.json` beside the request."""
    wanted = json.loads(request.read_text())
    runtime = find(wanted["target"])
    import_module(runtime.library)
    import_module(runtime.session.partition(":")[0])
    baseline_bytes = _begin()
    try:
        session = open_session(Path(wanted["path"]), threads=1)
        session.run(np.full((1, *session.input_shape), MID_GREY, np.uint8))
    except DarkroomError:
        return  # the comparison says what is wrong with the file
    use = MemoryUse(baseline_bytes=baseline_bytes, peak_bytes=max(baseline_bytes, _peak()))
    atomic.write_text(request.with_name("memory.json"), use.model_dump_json())


def _begin() -> int:
    """Returns the resident memory now, and where the system allows it forgets the peak so far."""
    if not STATUS.is_file():
        return _peak()
    try:
        FORGET_PEAK.write_text(
            "5"
        )  # Source: proc(5): 5 resets the peak resident set size to the current one
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    """Returns the largest resident memory of this process.

    Linux keeps the largest of the parent as well in ru_maxrss, so the process's own status is asked there.
    """
    if STATUS.is_file():
        return _status("VmHWM")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # bytes on macOS, KiB elsewhere


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024  # "VmHWM:   123456 kB", of 1024 bytes


if __name__ == "__main__":
    run(Path(sys.argv[1]))
