"""What a native library writes to the error stream is left out, by one thread at a time."""

from __future__ import annotations

import os
import threading

import pytest

from darkroom.serving.native_words import LeftOut


def test_lines_that_are_chatter_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    with LeftOut(lambda line: line.startswith(b"INFO")):
        os.write(2, b"INFO: hello\nWARNING: look here\n")
    assert capfd.readouterr().err == "WARNING: look here\n"


def test_two_threads_that_leave_words_out_leave_the_stream_as_it_was(
    capfd: pytest.CaptureFixture[str],
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def second() -> None:
        with LeftOut(lambda line: False):
            inside.set()
            go_on.wait(10)

    other = threading.Thread(target=second)
    with LeftOut(lambda line: False):
        other.start()
        assert not inside.wait(0.2), "the stream was turned by two at once"
    go_on.set()
    other.join()
    os.write(2, b"still heard\n")
    assert "still heard" in capfd.readouterr().err
