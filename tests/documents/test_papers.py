"""Reports as .docx and PDF: the same facts as the page, safe with hostile names, readable again."""

import io
import re
import zipfile

import docx as word
import pytest

from darkroom.documents import docx, evaluation_page, evaluation_paper, pdf
from darkroom.documents.blocks import Cell, Drawing, Fold, Paper, Section, Table, Text, texts_of
from darkroom.documents.docx_file import WHEN
from tests.documents import pages


@pytest.fixture(scope="module")
def facts():
    found = pages.evaluations()
    pictures = {f"{place:064x}": pages.png() for place in range(60)}
    return {
        "project": pages.HOSTILE,
        "evaluations": [one for one, _ in found],
        "pictures": pictures,
        "gates": pages.gates(),
        "human": 0.98,
    }


@pytest.fixture(scope="module")
def paper(facts):
    return evaluation_paper(**facts)


def words_of(text):
    return re.sub(r"\s+", " ", text)


def test_every_figure_of_the_paper_stands_on_the_page(facts, paper):
    import html

    page = words_of(html.unescape(re.sub("<[^>]*>", " ", evaluation_page(**facts).decode())))
    figures = {
        one for section in paper.sections for text in texts_of(section.blocks)
        for one in re.findall(r"\d+\.\d+", text)
    }  # fmt: skip
    assert len(figures) > 100
    assert {one for one in figures if one not in page} == set()


def test_the_docx_holds_every_text_of_the_paper(paper):
    document = word.Document(io.BytesIO(docx(paper)))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    written = words_of(" ".join([*(one.text for one in document.paragraphs), *cells]))
    for section in paper.sections:
        assert section.title in written
        for text in texts_of(section.blocks):
            assert words_of(text).strip() in written
    assert document.core_properties.created.replace(tzinfo=None) == WHEN.replace(tzinfo=None)
    assert len(document.inline_shapes) >= 4


def test_a_docx_says_what_its_figures_show(paper):
    with zipfile.ZipFile(io.BytesIO(docx(paper))) as file:
        xml = file.read("word/document.xml").decode()
    assert 'descr="ROC, mean of classes"' in xml


def test_names_that_xml_or_typst_could_read_as_code_stay_text():
    evil = "\x00\x1b#panic(1) $x$ *b* @ref <w:p/> ]] \\ ` ~ --- "
    blocks = (
        Text(evil),
        Text(evil, "note"),
        Table((evil, "n"), ((Cell(evil, evil, tone="fail"), Cell("1")),), evil),
        Fold(evil, (Text(evil, "head"), Text(evil, "quiet"))),
    )
    paper = Paper(evil, evil, evil, (Section("a", evil, blocks),))
    assert pdf(paper).startswith(b"%PDF")
    document = word.Document(io.BytesIO(docx(paper)))
    assert "#panic(1)" in document.paragraphs[0].text


def test_a_pdf_is_the_same_for_the_same_facts_and_can_be_looked_at(paper):
    assert pdf(paper)[:5] == b"%PDF-"
    assert pdf(paper, "png").startswith(b"\x89PNG")


def test_a_figure_is_drawn_once_for_all_files(paper):
    drawings = [
        block for section in paper.sections for block in section.blocks if isinstance(block, Drawing)
    ]
    assert drawings
    assert all(one.draw("png") is one.draw("png") for one in drawings)


def test_many_classes_fit_too():
    found = [one for one, _ in pages.evaluations(tuple(f"class {n}" for n in range(40)), 400, 1)]
    paper = evaluation_paper(project="p", evaluations=found)
    assert pdf(paper).startswith(b"%PDF")
    assert docx(paper)[:2] == b"PK"
