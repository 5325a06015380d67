"""What is drawn fits a terminal, and says each thing once."""

import io
import re

import pytest
from rich.console import Console

from darkroom.cli import main
from darkroom.cli.drawing import ProgressDrawing, draw_result
from darkroom.records import Result, Table
from darkroom.workspace import Progress


class Wide(Result):
    def display(self):
        yield Table(
            ("stage", "in deliverables/", "because"),
            (("evaluate", "07-evaluation/test.html", "a reason in many words " * 5),),
        )


def test_a_wide_table_folds_its_last_column_and_no_other(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    draw_result(Wide())
    lines = capsys.readouterr().out.splitlines()
    assert "07-evaluation/test.html" in lines[1]
    assert max(map(len, lines)) <= 80


def test_a_narrow_terminal_still_shows_everything(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    draw_result(Wide())
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 40
    assert "many" in shown


def test_away_from_a_terminal_each_piece_of_work_is_one_line(capsys):
    with ProgressDrawing(enabled=True) as drawing:
        for done in (1, 2, 2):
            drawing(Progress("training r-1", done, 2, "batches", {}))
        drawing(Progress("handing over", 1000, None, "images", {}))
        drawing(Progress("handing over", 1076, None, "images", {}))
    assert capsys.readouterr().err.splitlines() == [
        "training r-1: 2 batches",
        "handing over: 1,076 images",
    ]


def test_nothing_is_said_where_nothing_was_done(capsys):
    with ProgressDrawing(enabled=True):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("figures", [{}, {"epoch": 3, "train_loss": 0.1, "val_accuracy": 0.98}])
def test_a_bar_with_rate_and_time_left_fits_80_columns(figures):
    drawing = ProgressDrawing(enabled=True)
    screen = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    drawing._draw_bar(Progress("training r-1", 50, 100, "batches", figures))
    screen.print(drawing._bars.get_renderable())
    (line,) = screen.file.getvalue().splitlines()
    assert re.search(r"training r-1 .*50/100.* -?-?[\d:-]+", line)
    assert len(line.rstrip()) <= 80


def test_the_networks_are_readable_on_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    assert main(["model", "networks"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    last = heading.index("good for")
    assert 80 - last >= 20  # the longest name, of a network for masks, takes 29
    assert all(len(line) <= 80 for line in lines if line.startswith(" "))
    assert {"61.7 k", "3.50 M", "30.9 G"} <= set(re.findall(r"[\d.]+ [kMG]\b", "\n".join(lines)))
    assert "BSD-3-Clause for alexnet, vgg16, googlenet" in lines[-1]
