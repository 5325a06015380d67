"""Run .tflite files as a 32-bit ARM phone would: Debian for armhf in a folder, its programs under QEMU.

The folder is only unpacked, never started: QEMU runs single programs of it, so nothing has to be registered
with the kernel, mounted or made a device, and a container is enough.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from darkroom import atomic
from darkroom.bundle.attached import SCRIPT
from darkroom.errors import DarkroomError, NotFound, Unsupported
from darkroom.records import Record
from darkroom.serving.litert_runtime import MISSING_OPERATION

__all__ = ["RUNTIME", "Armv7Root", "find_root", "relink", "run_there", "script_of", "set_up"]

RUNTIME = "tflite-runtime==2.14.0"
"""The last one of which a wheel for 32-bit ARM was published."""

SUITE, PYTHON = "bookworm", "3.11"
"""The Debian whose Python the newest of these wheels is for."""

DEBIAN = Path("/etc/debian_version")

PLATFORMS = ("manylinux_2_34_armv7l", "manylinux2014_armv7l", "linux_armv7l")
TOOLS = {"debootstrap": "debootstrap", "qemu-arm-static": "qemu-user-static", "dpkg-deb": "dpkg"}
"""Programs, and the packages of Debian that hold them."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""What Debian signs with; its children, as Ubuntu, have it in a package."""

MERGED = ("bin", "lib", "sbin")
"""Folders that a Debian of today keeps below usr/, and to which its older packages unpack nevertheless."""

UNPACK = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner'
"""Not `dpkg-deb --extract`: that gives files to owners whom some containers do not know."""

PATIENCE = "tries = 3\ntimeout = 30\n"
"""For wget, with which debootstrap fetches: by itself it would try for hours."""

FACTS = "darkroom-armv7.json"
PACKAGES = "opt/darkroom"
LIBRARIES = "usr/lib/arm-linux-gnueabihf"


class Armv7Root(Record):
    """What was set up, as it stands in the folder."""

    suite: str
    """Release of Debian."""
    runtime: str
    """What runs .tflite files there, with its version."""
    size_bytes: int = 0
    """What the folder takes."""


def set_up(root: Path, *, mirror: str = "") -> Armv7Root:
    """Builds the folder anew; what lies there is replaced once the new one is whole.

    Args:
        root: where it goes.
        mirror: where Debian's packages come from; empty means where this machine's own come from.

    Raises:
        Unsupported: this is no Debian, or nobody with the rights of root asks.
        DarkroomError: a package could not be had, or a tool failed; its last words are told.
    """
    _require_debian()
    _require_tools()
    with atomic.write_folder(root, lasting=False) as aside:
        with atomic.scratch_folder(aside) as packed:
            packages = _fetched(packed, mirror)
            for name in MERGED:
                (aside / "usr" / name).mkdir(parents=True)
                (aside / name).symlink_to(f"usr/{name}")
            for package in packages:
                _said(["sh", "-c", UNPACK, "sh", str(package), str(aside)], f"Unpacking {package.name}")
        relink(aside)
        _add_runtime(aside)
        facts = Armv7Root(suite=SUITE, runtime=RUNTIME.replace("==", " "), size_bytes=_size_of(aside))
        _said(
            _command(aside, ["-c", "import numpy, tflite_runtime.interpreter"]),
            "Trying Python for 32-bit ARM",
        )
        (aside / FACTS).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return facts


def find_root(root: Path) -> Armv7Root:
    """Returns what was set up in a folder.

    Raises:
        NotFound: nothing was.
    """
    qemu = shutil.which("qemu-arm-static")
    try:
        found = Armv7Root.model_validate_json((root / FACTS).read_bytes())
    except (OSError, ValueError):
        found = None
    if found is None or qemu is None:
        raise NotFound(
            "armv7.not-set-up",
            "There is no Debian for 32-bit ARM in {root}, or no QEMU to run it.",
            do="On Debian, as root: darkroom export armv7-setup. It needs about 300 MB and a network.",
            root=root,
        )
    return found


def run_there(root: Path, script: Path, model: Path, tensors: np.ndarray) -> np.ndarray:
    """Returns what a .tflite file answers on 32-bit ARM, (N, classes) or (N, height, width, classes).

    Args:
        root: the folder that `set_up` made.
        script: `bench.py` of the bundle.
        model: the file.
        tensors: (N, height, width, channels) uint8.

    Raises:
        Unsupported: the file holds an operation that the runtime there lacks.
        DarkroomError: it stopped; its last words are told.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "tensors.npy"), Path(folder, "answers.npy")
        np.save(asked, np.ascontiguousarray(tensors))
        words = [str(script), str(model), "--tensors", str(asked), "--answers", str(answered)]
        ended = _ran(_command(root, words))
        if ended.returncode == 0 and answered.is_file():
            return np.load(answered)
    said = ended.stdout.decode(errors="replace")
    found = MISSING_OPERATION.search(said)
    if found is not None:
        raise Unsupported(
            "armv7.operation-unknown",
            "{runtime} on 32-bit ARM cannot run {path}: it does not know the operation {operation}.",
            do="Convert the model without this operation, or leave 32-bit phones out.",
            runtime=RUNTIME,
            path=model,
            operation=next(group for group in found.groups() if group),
        )
    raise DarkroomError(
        "armv7.stopped",
        "{file} stopped on 32-bit ARM. The last words: {words}",
        do="See whether the bundle is whole: darkroom export inspect FOLDER",
        file=model.name,
        words=_last(said),
    )


def _command(root: Path, words: Sequence[str]) -> list[str]:
    """Returns the command that runs the Python of a root."""
    places = [root / PACKAGES, root / "usr/lib/python3/dist-packages"]
    # What would link these two into place is run by the second stage, which needs a kernel that knows ARM.
    linear = [root / LIBRARIES / name for name in ("blas", "lapack")]
    told = {
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, linear)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    passed = [word for name, value in told.items() for word in ("-E", f"{name}={value}")]
    python = str(root / f"usr/bin/python{PYTHON}")
    return ["qemu-arm-static", "-L", str(root), *passed, python, "-s", *words]


def _require_debian() -> None:
    if not DEBIAN.is_file() or shutil.which("apt-get") is None:
        raise Unsupported(
            "armv7.no-debian",
            "The folder for 32-bit ARM is built from Debian's packages, and this machine is no Debian.",
            do="Run it on Debian or in a container of it.",
        )
    if os.geteuid() != 0:
        raise Unsupported(
            "armv7.not-root",
            "Building the folder for 32-bit ARM needs the rights of root.",
            do="Run it as root: sudo darkroom export armv7-setup",
        )


def _require_tools() -> None:
    lacking = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    lacking += [] if KEYRING.is_file() else ["debian-archive-keyring"]
    if lacking:
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        _said(["apt-get", "update"], "Asking for the list of Debian's packages", quiet)
        _said(
            ["apt-get", "install", "-y", "--no-install-recommends", *lacking],
            f"Installing {', '.join(lacking)}",
            quiet,
        )


def _fetched(folder: Path, mirror: str) -> list[Path]:
    """Fetches Debian's packages for 32-bit ARM, with the signatures checked; returns them."""
    patience = folder / "wgetrc"
    own = Path(os.environ.get("WGETRC") or "~/.wgetrc").expanduser()
    told = own.read_bytes() + b"\n" if own.is_file() else b""
    patience.write_bytes(told + PATIENCE.encode())
    place = folder / "packages"
    # Its own stages make devices and start ARM programs, which containers refuse: it only fetches.
    _said(
        [
            "debootstrap", "--download-only", "--force-check-gpg", "--arch=armhf", "--variant=minbase",
            "--include=python3,python3-numpy", SUITE, str(place), *_mirror(mirror),
        ],
        "Fetching Debian for 32-bit ARM",
        {"WGETRC": str(patience)},
    )  # fmt: skip
    return sorted((place / "var/cache/apt/archives").glob("*.deb"))


def _mirror(wished: str) -> list[str]:
    """Returns the mirror that was wished, or that of this machine's packages; none means Debian's own."""
    if wished:
        return [wished]
    listed = _ran(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Identifier: Packages"])
    for line in listed.stdout.decode(errors="replace").splitlines():
        site, _, release = line.strip().partition(" ")
        if release == SUITE and "security" not in site:
            return [site]
    return []


def relink(root: Path) -> None:
    """Makes links that begin at the root of the system begin at that of the folder."""
    for path in root.rglob("*"):
        target = str(path.readlink()) if path.is_symlink() else ""
        if target.startswith("/"):
            inside = root / target.lstrip("/")
            path.unlink()
            path.symlink_to(os.path.relpath(inside, path.parent))


def _add_runtime(root: Path) -> None:
    """Fetches the wheel as pip is set up on this machine, and unpacks it."""
    with tempfile.TemporaryDirectory() as folder:
        platforms = [word for one in PLATFORMS for word in ("--platform", one)]
        number = PYTHON.replace(".", "")
        _said(
            [
                sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps",
                "--only-binary=:all:", *platforms, "--python-version", PYTHON, "--implementation", "cp",
                "--abi", f"cp{number}", "--dest", folder, RUNTIME,
            ],
            f"Fetching {RUNTIME}",
        )  # fmt: skip
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(root / PACKAGES)


def _said(command: Sequence[str], what: str, more: Mapping[str, str] | None = None) -> str:
    ended = _ran(command, more)
    words = ended.stdout.decode(errors="replace")
    if ended.returncode != 0:
        raise _failed(what, words)
    return words


def _ran(
    command: Sequence[str], more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    # What points our own Python to its modules is not meant for another one.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, **(more or {})},
            check=False,
        )
    except OSError as error:
        raise _failed(f"Starting {command[0]}", error.strerror or str(error)) from error


def _failed(what: str, words: str) -> DarkroomError:
    return DarkroomError(
        "armv7.failed",
        "{what} failed. The last words: {words}",
        do="It needs a network, about 300 MB of space and Debian's packages. Another mirror: "
        "darkroom export armv7-setup --mirror ADDRESS",
        what=what,
        words=_last(words),
    )


def _last(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return " | ".join(lines[-3:]) or "none"


def _size_of(folder: Path) -> int:
    return sum(
        path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )


def script_of(bundle: Path) -> Path:
    """Returns the script of a bundle that asks a file; that of an older bundle is the one of today."""
    from darkroom.bundle import attached

    own = bundle / SCRIPT
    return own if own.is_file() else Path(attached.__file__).with_name(SCRIPT)
