"""The report on masks: figures with intervals, a legend, the worst pictures; safe with hostile names."""

from __future__ import annotations

import html
import io
import re

import docx as word
import numpy as np
import pytest
from PIL import Image

from darkroom.documents import (
    ShownMask,
    docx,
    mask_summary,
    report_page,
    segmentation_page,
    segmentation_paper,
)
from darkroom.documents.blocks import texts_of
from darkroom.evaluation import EvaluationSource, MaskEvaluation, WorstMask, summarise_masks
from darkroom.images import class_colours
from darkroom.tasks.segmentation import count_pixels, measure
from tests.documents.pages import HOSTILE, NAMES, gates, png

SIZE = (20, 24)


def evaluation(seed: int, absent: bool = False) -> MaskEvaluation:
    draw = np.random.default_rng(seed)
    masks = np.kron(draw.integers(0, 2 if absent else 3, (12, 5, 6)), np.ones((4, 4), int)).astype(np.uint8)
    wrong = draw.random(masks.shape) < 0.15
    answers = np.where(wrong, draw.integers(0, 3, masks.shape), masks).astype(np.uint8)
    counts, confusion = count_pixels(masks, answers, 3, 1)
    figures = measure(counts, confusion, NAMES, size_px=SIZE, tolerance_px=1, draws=50)
    return MaskEvaluation(
        source=EvaluationSource(run=f"r-{seed}", network="lraspp/x", seed=seed, dataset="d@1"),
        labels=NAMES,
        figures=figures,
        worst=(WorstMask(image_id="a" * 64, miou=0.25, wrong_pixels=9, pixels=480),),
        notes=(f"A note about {HOSTILE}.",),
        draws=50,
        images_per_second=12.5,
        device="cpu",
    )


def shown() -> ShownMask:
    return ShownMask("a" * 64, f"Mean IoU 25%: {HOSTILE} taken for plain (9).", *(png(n) for n in range(4)))


def facts(*evaluations: MaskEvaluation, **more: object):
    return {
        "project": HOSTILE,
        "evaluations": evaluations,
        "clones": summarise_masks(evaluations),
        "shown": [shown()],
        "gates": gates(),
        "looks_in_all": "test of d@1 was looked at 3 times, by 2 runs.",
        **more,
    }


@pytest.fixture(scope="module")
def one():
    return segmentation_page(**facts(evaluation(1))).decode()


@pytest.fixture(scope="module")
def several():
    return segmentation_page(**facts(evaluation(1), evaluation(2))).decode()


def test_hostile_names_stay_text(one, several):
    for page in (one, several):
        assert "<script" not in page
        assert "onerror=alert(1)>" not in page.replace("&gt;", "")
        assert html.escape(HOSTILE, quote=False)[:20] in page or "&lt;script&gt;" in page
        assert "49&amp;amp;" not in page


def test_each_figure_stands_there_with_its_interval(one):
    figures, words = evaluation(1).figures, re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", one)))
    for figure in (figures.miou, figures.pixel_accuracy, figures.boundary_f1):
        assert f"{figure.value * 100:.1f}" in words
        assert f"{figure.low * 100:.1f} – {figure.high * 100:.1f}" in words
    for row in figures.classes:
        assert f"{row.iou.value * 100:.1f}" in words
    assert "up to 1 px away" in words
    assert "looked at 3 times" in words


def test_the_legend_names_each_class_with_its_colour(one):
    colours = class_colours(3).tolist()
    for place in (1, 2):
        assert f"background:rgb({', '.join(map(str, colours[place]))})" in one
    assert 'class="bare"' in one
    assert "nothing is said" in one


def test_four_pictures_are_shown_for_each_of_the_worst(one):
    assert one.count('class="four"') == 1
    assert len(re.findall(r'<img src="data:image/png', one)) == 4
    for name in ("picture", "right", "answered", "where they differ"):
        assert f"<span>{name}</span>" in one


def test_the_page_loads_nothing(one):
    assert not re.findall(r'(?:src|href)="(?!data:|#)', one)
    assert "<script" not in one


def test_clones_are_summed_up_and_folded(several):
    words = html.unescape(re.sub("<[^>]*>", " ", several))
    assert "2 clones of lraspp/x" in words
    assert "Mean over 2 clones" in words
    assert several.count("<details>") == 2


def test_runs_of_several_recipes_are_not_called_clones():
    both = (evaluation(1), evaluation(2))
    apart = summarise_masks(both).model_copy(update={"alike": False})
    page = segmentation_page(**facts(*both, clones=apart)).decode()
    words = html.unescape(re.sub("<[^>]*>", " ", page))
    assert "2 runs of several recipes" in words
    assert segmentation_paper(**facts(*both, clones=apart)).lead in words
    assert not re.search("clone|seeds|chance", words, re.IGNORECASE)


def test_what_is_not_defined_is_a_dash_and_no_0():
    page = segmentation_page(**facts(evaluation(1, absent=True))).decode()
    row = re.search(r"漢字 😀</th>(.*?)</tr>", page, re.S)
    assert row is not None
    assert row[1].count("—") >= 2


def test_nothing_wrong_is_said():
    page = segmentation_page(**facts(evaluation(1), shown=[])).decode()
    assert "Not one pixel was answered wrongly" in page


def test_the_paper_says_what_the_page_says(one):
    paper = segmentation_paper(**facts(evaluation(1)))
    page = re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", one)))
    numbers = {
        found
        for section in paper.sections
        for text in texts_of(section.blocks)
        for found in re.findall(r"\d+\.\d+", text)
    }
    assert len(numbers) > 30
    assert {number for number in numbers if number not in page} == set()
    document = word.Document(io.BytesIO(docx(paper)))
    assert len(document.inline_shapes) >= 5  # the confusion and four pictures


def test_the_report_sums_masks_up():
    both = (evaluation(1), evaluation(2))
    summary = mask_summary(both, summarise_masks(both))
    page = report_page(project="p", masks=summary, gates=gates(), looks="looked at once.").decode()
    words = html.unescape(re.sub("<[^>]*>", " ", page))
    assert "2 clones of lraspp/x" in words
    assert "Mean IoU on test" in words
    assert "Weakest class" in words
    assert "Accuracy on" not in words
    apart = mask_summary(both, summarise_masks(both).model_copy(update={"alike": False}))
    assert "2 runs of several recipes reach a mean IoU from" in apart.lead
    assert apart.spread.endswith("over 2 runs")


def test_colours_of_classes_are_told_apart_by_eyes_that_mix_red_and_green():
    """Source of the simulation: Viénot, Brettel and Mollon, Digital video colourmaps, 1999."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.02996, 0.18431, 1.46709]]
    )
    seen = to_lms.copy()
    seen[1] = 0.494207 * to_lms[0] + 1.24827 * to_lms[2]
    rgb = (class_colours(8)[1:8] / 255.0) ** 2.2
    as_seen = np.clip(np.linalg.solve(to_lms, (seen @ rgb.T)).T, 0, 1) ** (1 / 2.2)
    apart = np.abs(as_seen[:, None] - as_seen[None]).sum(-1) + 9 * np.eye(7)
    assert apart.min() > 0.15


def test_pictures_are_real():
    with Image.open(io.BytesIO(shown().photo)) as image:
        assert image.size == (12, 9)
