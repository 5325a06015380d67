"""Makes tests hermetic, finds the real pictures, and in CI turns a wrong skip into a failure."""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = ROOT / "tests" / "offline"

MAY_SKIP_IN_CI = (
    r"\bGPU\b",  # a machine without one cannot run it, and says so
    r"\bmacOS\b",
)
"""Reasons, as patterns, for which a test may skip in CI too."""

TEST_DATA = os.environ.get("DARKROOM_TEST_DATA")

# Before any test file is imported: what a user set for Darkroom or for a terminal must not change a test.
for name in list(os.environ):
    if name.startswith("DARKROOM_") or name in {
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "FORCE_COLOR",
        "PYTHONPATH",
    }:
        del os.environ[name]
# Children refuse the network as well, and run the code that is tested, wherever it is installed from.
os.environ["PYTHONPATH"] = os.pathsep.join([str(OFFLINE), str(ROOT / "src")])
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of children would compile every module anew
runpy.run_path(str(OFFLINE / "sitecustomize.py"))


LONG = {
    "test_clones_stopped.py",
    "test_diagnosis.py",
    "test_exporters.py",
    "test_full_disk.py",
    "test_guide.py",
    "test_kill.py",
    "test_lessons.py",
    "test_main_job.py",
    "test_networks.py",
    "test_photos.py",
    "test_readme.py",
    "test_remote.py",
}
"""Files that begin first, so that at the end no worker waits for another one's long file."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures: DARKROOM_TEST_DATA, else shared/data beside the repository."""
    folder = Path(TEST_DATA) if TEST_DATA else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder of real pictures at {folder}; DARKROOM_TEST_DATA names another")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _refuse_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _refuse_skip(report)


def _refuse_skip(report: Report) -> Report:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(re.search(pattern, reason) for pattern in MAY_SKIP_IN_CI):
        report.outcome = "failed"
        report.longrepr = f"In CI nothing may be absent, but a test skipped: {reason}"
    return report
