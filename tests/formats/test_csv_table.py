"""Tables beside pictures: every encoding and separator people have, and errors with line numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.errors import Invalid
from darkroom.formats.csv_table import read_csv, write_csv
from darkroom.formats.format import Entry, Export, Picture
from darkroom.records import ClassesLabel, ClassLabel
from tests.formats.pictures import png, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put(tmp_path, "a.png", "b.png", "sub/c.png")


def table(folder: Path, text: str | bytes, name: str = "annotations.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def entries(folder: Path) -> list[Entry]:
    return list(read_csv(folder).entries)


def cat(path: str = "a.png", **more: object) -> Entry:
    return Entry(path, ClassLabel(label="cat"), **more)  # type: ignore[arg-type]


def test_each_line_is_a_picture(folder: Path) -> None:
    table(folder, "image,label,split,group,city\na.png,cat,val,g1,Ulm\nsub/c.png,,,,\n")
    assert entries(folder) == [
        cat(split="val", group="g1", metadata={"city": "Ulm"}),
        Entry("sub/c.png", None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfimage,label\r\na.png,cat\r\n",
        "image;label\na.png;cat\n",
        "image\tlabel\na.png\tcat\n",
        "image, label\na.png, cat\n",
        "Filename,Class\na.png,cat\n",
        '"image","label"\n"a.png","cat"\n',
        "\nimage,label\n\na.png,cat\n\n",
        "image,label\na.png,cat",
        "image,label\ra.png,cat\r",
        "image;label\na.png;cat\n".encode("utf-16"),
    ],
    ids=[
        "bom",
        "semicolon",
        "tab",
        "spaces",
        "other words",
        "quotes",
        "blank lines",
        "no end",
        "cr",
        "utf-16",
    ],
)
def test_a_table_is_read_however_it_was_saved(folder: Path, text: str | bytes) -> None:
    assert entries(table(folder, text)) == [cat()]


def test_several_classes_stand_in_one_cell(folder: Path) -> None:
    table(folder, "image,labels\na.png,dog|cat\nb.png,|\nsub/c.png,\n")
    assert [entry.value for entry in entries(folder)] == [
        ClassesLabel(labels=("cat", "dog")),
        ClassesLabel(labels=()),
        None,
    ]


def test_escaped_formulas_are_taken_back(folder: Path) -> None:
    assert entries(table(folder, "image,label\na.png,'=cat\n"))[0].value == ClassLabel(label="=cat")


def test_backslashes_in_paths_are_understood(folder: Path) -> None:
    assert entries(table(folder, "image,label\nsub\\c.png,cat\n")) == [cat("sub/c.png")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gone.png,cat,", "annotations.csv, line 3: there is no file gone.png"),
        ("../x.png,cat,", "line 3: expected the path of a picture inside the folder"),
        ("/etc/passwd,cat,", "line 3: expected the path of a picture inside the folder"),
        (",cat,", "line 3: expected the path of a picture inside the folder"),
        (".,cat,", "line 3: expected the path of a picture inside the folder"),
        ("./,cat,", "line 3: expected the path of a picture inside the folder"),
        ("a.png,cat", "line 3: expected 3 cells of text. Received: 2."),
        ("a.png,cat,val,x", "line 3: expected 3 cells of text. Received: 4."),
        ("a.png,cat,trian", "line 3: no split 'trian'. Did you mean \"train\"?"),
        ("a.png,c\0at,", "line 3: expected 3 cells of text"),
        (f"{'x' * 5000}.png,cat,", "line 3: there is no file"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_rest_goes_on(
    folder: Path, line: str, said: str
) -> None:
    reading = read_csv(table(folder, f"image,label,split\na.png,cat,\n{line}\nb.png,cat,\n"))
    assert list(reading.entries) == [cat(), cat("b.png")]
    (problem,) = reading.problems
    assert problem.path == "annotations.csv:3"
    assert said in str(problem.error)


def test_a_table_without_an_image_column_is_refused_with_its_columns(folder: Path) -> None:
    with pytest.raises(Invalid, match="no column image.*picture, label"):
        read_csv(table(folder, "picture,label\na.png,cat\n"))


def test_two_columns_for_one_thing_are_refused(folder: Path) -> None:
    with pytest.raises(Invalid, match="more than one column says the image"):
        read_csv(table(folder, "image,path,label\na.png,a.png,cat\n"))


def test_a_table_that_is_not_utf8_is_refused_with_the_line(folder: Path) -> None:
    with pytest.raises(Invalid, match="line 2: this is not UTF-8"):
        read_csv(table(folder, b"image,label\na.png,caf\xe9\n"))


def test_a_folder_without_a_table_is_refused(folder: Path) -> None:
    with pytest.raises(Invalid, match="No table in .*expected annotations.csv"):
        read_csv(folder)


def test_tables_called_like_splits_say_the_split(folder: Path) -> None:
    table(folder, "image,label\na.png,cat\n", "train.csv")
    table(folder, "image,label\nb.png,cat\n", "test.csv")
    table(folder, "name,age\nx,3\n", "people.csv")
    assert entries(folder) == [cat("b.png", split="test"), cat(split="train")]


def test_pictures_that_no_line_names_are_skipped(folder: Path) -> None:
    reading = read_csv(table(folder, "image,label\na.png,cat\n"))
    assert list(reading.entries) == [cat()]
    assert reading.skipped == ["b.png", "sub/c.png"]


def test_a_cell_that_is_too_long_ends_the_table_with_its_line(folder: Path) -> None:
    reading = read_csv(table(folder, f'image,label\na.png,cat\nb.png,"{"x" * 200_000}"\n'))
    assert list(reading.entries) == [cat()]
    assert [problem.path for problem in reading.problems] == ["annotations.csv:3"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300) | st.text(st.sampled_from("imagelb,;\t\n\r\"'|\0 .pn\ufeff"), max_size=300))
def test_no_bytes_crash_the_reader(folder: Path, text: str | bytes) -> None:
    prefixed = text if isinstance(text, bytes) else f"image,label\n{text}"
    try:
        reading = read_csv(table(folder, prefixed))
        found = list(reading.entries)
    except Invalid:
        return
    assert all((folder / entry.path).is_file() for entry in found)


def test_headings_that_mean_something_else_are_refused(tmp_path: Path) -> None:
    picture = Picture("a.png", png(), ClassLabel(label="cat"), metadata={"Split": "x"})
    with pytest.raises(Invalid, match="heading 'Split'"):
        write_csv(tmp_path / "out", Export(("cat",), "classification", [picture]))
    assert list(tmp_path.iterdir()) == []


def test_a_written_table_holds_no_formula(tmp_path: Path) -> None:
    picture = Picture("a.png", png(), ClassLabel(label="=cmd()"), metadata={"note": "@x"})
    write_csv(tmp_path / "out", Export(("=cmd()",), "classification", [picture]))
    text = (tmp_path / "out" / "annotations.csv").read_text()
    assert ",'=cmd()," in text
    assert ",'@x" in text
