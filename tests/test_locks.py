"""A lock is held by a living process or by nobody, and looking at it disturbs no one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from darkroom.errors import Locked
from darkroom.locks import hold, is_held

HOLDER = (
    "import sys, time; from pathlib import Path; from darkroom.errors import Locked\n"
    "from darkroom.locks import hold\n"
    "with hold(Path(sys.argv[1]), lambda: Locked('test.lock', 'held')):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def refused() -> Locked:
    return Locked("test.lock", "It is held.")


def test_a_lock_is_held_while_its_holder_lives_and_not_a_moment_longer(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "one.lock"
    assert not is_held(file)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_held(file)
        with pytest.raises(Locked, match="It is held"), hold(file, refused, patience_s=0.1):
            pass
        holder.kill()
        holder.wait()
    assert not is_held(file)
    with hold(file, refused, patience_s=0):
        assert is_held(file)


def test_who_only_looks_keeps_nobody_out(tmp_path: Path) -> None:
    file, over = tmp_path / "one.lock", threading.Event()
    file.touch()

    def look() -> None:
        while not over.is_set():
            is_held(file)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            with hold(file, refused):
                time.sleep(0.001)
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_file_that_may_only_be_read_says_whether_it_is_held(tmp_path: Path) -> None:
    file = tmp_path / "one.lock"
    with hold(file, refused):
        file.chmod(0o444)
        tmp_path.chmod(0o555)
        try:
            assert is_held(file)
        finally:
            tmp_path.chmod(0o755)
    assert not is_held(file)


def test_a_file_that_cannot_be_looked_at_counts_as_held(tmp_path: Path) -> None:
    file = tmp_path / "one.lock"
    file.symlink_to(file)
    assert is_held(file)
