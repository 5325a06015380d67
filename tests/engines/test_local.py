"""The local engine's processes: they end when they should, and are started only when it pays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from darkroom.engines import make_engine, worker
from darkroom.settings import Settings
from tests.conformance.test_engines import alive, gone
from tests.engines import work

ROOT = Path(__file__).parents[2]

BUSY = """
    import signal, sys
    from pathlib import Path
    from darkroom.engines import make_engine
    from darkroom.settings import Settings
    from tests.engines import work

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits "ignore"
    engine = make_engine(Settings(workers=3))
    try:
        list(engine.map(work.notes_and_sleeps, [sys.argv[1]] * 100, chunk=1))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise SystemExit(130)
"""


def start_busy(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Starts a program whose three workers are busy for a minute; returns it and their processes."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUSY), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [int(path.name) for path in folder.iterdir()]
    assert len(workers) == 3
    return program, workers


def test_ctrl_c_ends_all_workers_at_once(tmp_path: Path) -> None:
    program, workers = start_busy(tmp_path)
    began = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to the whole group
    out, err = program.communicate(timeout=20)
    assert (program.returncode, out, err) == (130, "interrupted\n", "")
    assert time.monotonic() - began < 3
    assert gone(workers)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_killed_parent(tmp_path: Path, how: signal.Signals) -> None:
    program, workers = start_busy(tmp_path)
    program.send_signal(how)
    program.communicate(timeout=20)
    assert gone(workers)


def test_workers_stay_warm_between_maps_and_end_with_their_engine() -> None:
    engine = make_engine(Settings(workers=2))
    first = set(engine.map(work.where, range(400), chunk=5))
    assert set(engine.map(work.where, range(400), chunk=5)) == first
    assert all(alive(process) for process in first)
    del engine
    assert gone(list(first))


def test_a_program_ends_though_its_workers_are_idle() -> None:
    code = (
        "from darkroom.engines import make_engine\n"
        "from darkroom.settings import Settings\n"
        "from tests.engines import work\n"
        "print(len(set(make_engine(Settings(workers=2)).map(work.where, range(400)))))\n"
        "engine = make_engine(Settings(workers=2)); list(engine.map(work.where, range(400)))\n"
    )
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert time.monotonic() - began < 15


def test_a_script_without_a_main_guard_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\n"
        "from darkroom.engines import make_engine\n"
        "from darkroom.settings import Settings\n"
        "import json\n"
        "print(len(list(make_engine(Settings(workers=2)).map(json.loads, ['1'] * 100))))\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["once", "100"]


def test_a_worker_that_went_home_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker.IDLE_S > 5
    engine = make_engine(Settings(workers=2))
    before = set(engine.map(work.where, range(200)))
    for process in before:
        os.kill(process, signal.SIGKILL)
    assert gone(list(before))
    after = set(engine.map(work.where, range(200)))
    assert after.isdisjoint(before)


def test_ctrl_c_is_the_parents_to_answer() -> None:
    engine = make_engine(Settings(workers=2))
    workers = set(engine.map(work.where, range(400), chunk=5))
    for process in workers:
        os.kill(process, signal.SIGINT)
    assert not gone(list(workers), within_s=0.3)
    assert set(engine.map(work.where, range(400), chunk=5)) == workers


def test_an_idle_worker_ends_by_itself() -> None:
    # The worker's own loop, with a shorter wait, in a process of its own.
    code = (
        "import os, subprocess, sys\n"
        "from multiprocessing import Pipe\n"
        "here, there = Pipe()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'from darkroom.engines import worker;"
        " import sys; worker.IDLE_S = 0.2; sys.exit(worker.serve(int(sys.argv[1])))',"
        " str(there.fileno())], pass_fds=[there.fileno()], stdin=subprocess.PIPE)\n"
        "print(child.wait(timeout=20))\n"
        "child.stdin.close()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == str(worker.RETIRED), run.stderr


def test_short_lists_start_no_process() -> None:
    engine = make_engine(Settings(workers=2))
    assert set(engine.map(work.where, range(63))) == {os.getpid()}


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, darkroom.engines\n"
        "heavy = {'multiprocessing', 'numpy', 'concurrent.futures', 'subprocess'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
