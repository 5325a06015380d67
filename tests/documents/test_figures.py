"""Figures: well-formed, in the page's colours, with names as text, and without pyplot."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from darkroom.documents.figures import PALETTE, Curve, confusion, contact_sheet, curves, histogram

HOSTILE = '<script>alert(1)</script>-->$\\frac{x$ & "q" 漢字😀'


def png(size=(8, 8), colour=90):
    file = io.BytesIO()
    Image.new("L", size, colour).save(file, "PNG")
    return file.getvalue()


def figures(form="svg"):
    return {
        "curves": curves(
            [
                Curve(HOSTILE, [1, 2, 3], [0.9, None, 0.5], "accent", mark=3),
                Curve(HOSTILE, [1, 2], [0.8, 0.6], "accent"),
                Curve("train", [1, 2, 3], [0.7, 0.5, 0.4], "soft"),
            ],
            title=HOSTILE,
            x_title="epoch",
            y_title="loss",
            form=form,
        ),
        "histogram": histogram(
            {"train": {HOSTILE: 3, "b": 1}, "test": {"b": 2}}, [HOSTILE, "b"], title="t", form=form
        ),
        "confusion": confusion([[3, 1], [0, 2]], [HOSTILE[:15], "</text>"], title=HOSTILE, form=form),
    }


@pytest.mark.parametrize("name", ["curves", "histogram", "confusion"])
def test_a_drawing_is_well_formed_and_holds_no_foreign_element(name):
    drawing = figures()[name].decode()
    root = ElementTree.fromstring(drawing)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "path", "text", "tspan", "use", "defs", "clipPath", "rect", "image"}
    assert not any("on" in key[:2] for element in root.iter() for key in element.attrib)


@pytest.mark.parametrize("name", ["curves", "histogram", "confusion"])
def test_a_drawing_takes_its_colours_and_letters_from_the_page(name):
    drawing = figures()[name].decode()
    assert "var(--ink)" in drawing
    assert not [colour for colour in PALETTE.values() if colour in drawing]
    assert "font-family" not in drawing


def test_names_stay_text_and_are_never_formulas():
    root = ElementTree.fromstring(figures()["curves"])
    assert HOSTILE in [element.text for element in root.iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("name", ["curves", "confusion"])
def test_ids_of_two_drawings_on_one_page_do_not_meet(name):
    again = {
        "curves": curves([Curve("a", [1], [1.0])], title="other", x_title="x", y_title="y"),
        "confusion": confusion([[1]], ["a"], title="other"),
    }
    ids = [
        {element.get("id") for element in ElementTree.fromstring(drawing).iter() if element.get("id")}
        for drawing in (figures()[name], again[name])
    ]
    assert not ids[0] & ids[1]


def test_the_same_facts_give_the_same_bytes():
    assert figures() == figures()


@pytest.mark.parametrize("name", ["curves", "histogram"])
def test_a_figure_can_be_a_picture_on_transparent_ground(name):
    simple = {
        "curves": curves([Curve("a", [1, 2], [1.0, 0.5])], title="t", x_title="x", y_title="y", form="png"),
        "histogram": histogram({"train": {"a": 1}}, ["a"], title="t", form="png"),
    }
    with Image.open(io.BytesIO(simple[name])) as picture:
        assert picture.mode == "RGBA"
        assert picture.getpixel((0, 0))[3] == 0
        assert max(alpha for alpha in picture.getchannel("A").tobytes()) > 200


def test_curves_of_nothing_are_an_empty_figure():
    ElementTree.fromstring(curves([], title="t", x_title="x", y_title="y"))
    ElementTree.fromstring(curves([Curve("a", [1], [None])], title="t", x_title="x", y_title="y"))


def test_a_contact_sheet_shows_every_picture_and_a_gap_for_what_is_none():
    sheet = contact_sheet([png(), b"no picture", png((30, 10), 200)], columns=2, side_px=32)
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.size == (2 * 34 + 2, 2 * 34 + 2)
        assert picture.getpixel((10, 10))[0] == 90
        assert picture.getpixel((50, 10))[3] == 0
        assert picture.getpixel((10, 50))[0] == 200


def test_drawing_leaves_pyplot_alone():
    code = (
        "import sys\n"
        "from darkroom.documents.figures import confusion\n"
        "assert 'matplotlib' not in sys.modules\n"
        "confusion([[1]], ['a'], title='t')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
