"""Memory of this process and of the machine, as the system counts it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

import torch

from darkroom.settings import memory_bytes

__all__ = ["available_bytes", "device_peak_bytes", "forget_peak", "peak_bytes"]

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Source: proc_pid_clear_refs(5): 5 sets the peak resident size back to the present one."""

CGROUP = Path("/sys/fs/cgroup")


def peak_bytes() -> int:
    """Returns the most memory that this process had since `forget_peak`, or since it began.

    Pages of files that are mapped count, as rendered pictures are while they are read.
    """
    if STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text("ascii", "replace"))
        if found:
            return int(found[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget_peak(device: torch.device) -> None:
    """Lets the count of the most memory begin anew, where the system can."""
    with suppress(OSError):
        CLEAR.write_text(RESET_PEAK, "ascii")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def device_peak_bytes(device: torch.device) -> int:
    """Returns the most memory that torch took on a cuda device; 0 on others."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def available_bytes() -> int:
    """Returns how much more memory can be had without taking it from others: the machine's, or the group's.

    Source: cgroup v2, memory.max and memory.current.
    """
    there = memory_bytes()
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
        there = int(found[1]) * 1024 if found else there
    with suppress(OSError, ValueError):
        most, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        there = min(there, most - used)
    return max(0, there)
