"""A file or folder is there whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom import atomic
from darkroom.errors import StorageFailed


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    atomic.write_text(path, "old")
    atomic.write_text(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed, match="no room left for .*3 bytes"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "folder"
    for text in ("old", "new"):
        with atomic.write_folder(path) as aside:
            (aside / text).write_text(text)
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["folder"]


def test_an_error_inside_leaves_the_old_folder(tmp_path):
    path = tmp_path / "folder"
    with atomic.write_folder(path) as aside:
        (aside / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic.write_folder(path) as aside:
        (aside / "new").write_text("new")
        raise ZeroDivisionError
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_killed_writer_leaves_nothing_that_can_be_taken_for_the_folder(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from darkroom import atomic\n"
        "with atomic.write_folder(Path(sys.argv[1])) as aside:\n"
        "    (aside / 'half').write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    path = tmp_path / "folder"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    assert atomic.sweep(tmp_path) == 1
    assert os.listdir(tmp_path) == []


def test_what_a_living_process_writes_is_not_swept_away(tmp_path):
    with atomic.write_folder(tmp_path / "folder") as aside:
        assert atomic.sweep(tmp_path) == 0
        assert aside.is_dir()


def test_what_is_held_is_not_taken_away(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "a").write_text("a")
    hold, second = atomic.Hold(folder), atomic.Hold(folder)
    assert atomic.is_held(folder)
    assert not atomic.remove(folder)
    del hold
    assert not atomic.remove(folder)
    del second
    assert not atomic.is_held(folder)
    assert atomic.remove(folder)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        atomic.Hold(folder)


def test_a_hold_goes_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from darkroom import atomic\n"
        "hold = atomic.Hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    folder = tmp_path / "cache"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert not atomic.remove(folder)
        child.kill()
        child.wait()
    assert atomic.remove(folder)


def test_of_a_link_the_link_alone_is_taken_away(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a").write_text("a")
    (tmp_path / "near").mkdir()
    for place in ("link", "near/inside"):
        (tmp_path / place).symlink_to(tmp_path / "far")
    assert atomic.remove(tmp_path / "link")
    assert atomic.remove(tmp_path / "near")
    assert atomic.remove(tmp_path / "nothing")
    assert (tmp_path / "far" / "a").read_text() == "a"
    assert os.listdir(tmp_path) == ["far"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one_there(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    with atomic.write_folder(path) as aside:
        (aside / "old").write_text("old")
    rename, asked = Path.rename, []

    def refusing(self, target):
        asked.append(target)
        if len(asked) == 2:  # the first takes the old one away, the second puts the new one there
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(StorageFailed, match="no room left"), atomic.write_folder(path) as aside:
        (aside / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]
