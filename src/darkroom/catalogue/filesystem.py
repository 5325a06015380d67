"""Say whether a folder lies on a network file system, where locks and shared memory cannot be trusted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["network_file_system"]

MOUNTS = Path("/proc/self/mounts")

# Source: "How To Corrupt An SQLite Database File", section 2.1, and the file systems in Linux's and
# macOS's mount tables that keep their files on another machine. 9p is a virtual machine's view of its
# host (WSL's /mnt/c), which has no shared memory.
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb3|afpfs|webdav|davfs|9p|drvfs|afs|ceph|lustre|gpfs|beegfs|glusterfs"
    r"|orangefs|ocfs2|gfs2|ncpfs|panfs|wekafs|vboxsf|prl_fs|vmhgfs"
    r"|fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph.*|davfs.*|goofys|juicefs|vmhgfs-fuse|blobfuse.*)"
)


def network_file_system(folder: Path) -> str | None:
    """Returns the kind of network file system that a folder lies on, or None for a local one."""
    kind = _kind_of(folder, _mounts())
    return kind if kind is not None and _NETWORK.fullmatch(kind) else None


def _mounts() -> list[tuple[Path, str]]:
    """Returns (where, kind) of every mounted file system, in the order of mounting."""
    if sys.platform == "darwin":
        said = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
        found = re.findall(r"^.*? on (.*) \(([^,)]+)[,)].*$", said, flags=re.MULTILINE)
        return [(Path(where), kind) for where, kind in found]
    if not MOUNTS.is_file():
        return []
    lines = [line.split(" ") for line in MOUNTS.read_text("utf-8", "surrogateescape").splitlines()]
    return [(Path(_unescaped(line[1])), line[2]) for line in lines if len(line) >= 3]


def _kind_of(folder: Path, mounts: list[tuple[Path, str]]) -> str | None:
    resolved = folder.resolve()
    kind, depth = None, -1
    for where, found in mounts:
        # A later mount on the same place hides the earlier one.
        if resolved.is_relative_to(where) and len(where.parts) >= depth:
            kind, depth = found, len(where.parts)
    return kind


def _unescaped(text: str) -> str:
    """Turns the mount table's octal escapes, backslash 040 for a space, back into characters."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
