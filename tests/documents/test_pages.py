"""Pages: safe with hostile names, self-contained, accessible, and true to their facts."""

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest

from darkroom.documents import evaluation_page, evaluation_paper, report_page, training_page, wording
from darkroom.documents.page import html
from darkroom.evaluation import summarise
from tests.documents import pages

VOID = {"meta", "img", "br", "link", "input", "hr"}
TAGS = {
    "em",
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "h1", "h2", "h3"),
    *(
        "p",
        "b",
        "i",
        "br",
        "small",
        "span",
        "strong",
        "code",
        "pre",
        "a",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
    ),
    *(
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "img",
    ),
    *(
        "details",
        "summary",
        "svg",
        "g",
        "path",
        "text",
        "tspan",
        "use",
        "defs",
        "clippath",
        "rect",
        "image",
    ),
}


class Page(HTMLParser):
    """Collects the elements and texts of a page and checks that they close in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    def of(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]

    @property
    def words(self):
        return re.sub(r"[ \n\t]+", " ", "".join(self.texts))


@cache
def built():
    return pages.all_pages()


NAMES = (
    *("evaluation", "evaluation, one run", "evaluation, many classes", "dataset", "dataset, many classes"),
    *(
        "training",
        "training, one epoch",
        "model",
        "model, not trained",
        "parity",
        "problem",
        "problem, empty",
    ),
    *("report", "report, empty"),
)
every_page = pytest.mark.parametrize("name", NAMES)


def test_all_pages_are_looked_at():
    assert set(NAMES) == set(built())


@every_page
def test_hostile_names_stay_text(name):
    text = built()[name].decode()
    page = Page(text)
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= TAGS
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert "<script" not in text.lower()
    assert pages.HOSTILE in page.words


@every_page
def test_a_page_needs_nothing_beside_it(name):
    page = Page(built()[name].decode())
    for tag, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "srcset", "data"):
            if attributes.get(key) and tag != "a":
                assert attributes[key].startswith(("data:image/png;base64,", "#"))
        assert "url(http" not in str(attributes.get("style"))
    assert "@import" not in built()[name].decode()
    policy = page.of("meta")[1]["content"]
    assert "default-src 'none'" in policy


@every_page
def test_a_page_can_be_read_by_a_screen_reader(name):
    page = Page(built()[name].decode())
    assert page.of("html")[0]["lang"] == "en"
    assert len(page.of("h1")) == 1
    assert all("alt" in attributes and attributes["alt"] for attributes in page.of("img"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.of("th"))
    assert all(attributes.get("aria-label") for attributes in page.of("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [
        attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes
    ]
    assert set(labels) <= set(ids)
    for _, attributes in page.elements:
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"


@every_page
def test_the_same_facts_give_the_same_page(name):
    if name in ("evaluation", "training", "report"):
        assert pages.all_pages()[name] == built()[name]
    assert built()[name].decode("utf-8").startswith("<!doctype html>")


def luminance(colour):
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1, 2], ids=["light", "dark", "print"])
def test_every_ink_can_be_read_on_its_paper(mode):
    blocks = re.findall(r":root \{([^}]*)\}", built()["problem"].decode())
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})", blocks[mode]))
    full = {
        name: "#" + "".join(c * 2 for c in value[1:]) if len(value) == 4 else value
        for name, value in colours.items()
    }
    for ground in ("paper", "sheet"):
        for ink in ("strong", "ink", "accent", "cool", "soft", "good", "warn"):
            if ground == "sheet" and ink not in ("strong", "ink"):
                continue
            pair = sorted((luminance(full[ground]), luminance(full[ink])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ground, ink)


def test_undefined_figures_are_a_dash_and_never_zero():
    classes = ("ant", "bee", "cat")
    (one, answers), *_ = pages.evaluations(classes, 60, 1)
    from darkroom.evaluation import judge

    probabilities = answers.probabilities.copy()
    probabilities[:, 2] = 0
    never = judge(answers.labels % 2, probabilities, answers.image_ids, classes=classes, draws=50)
    text = evaluation_page(project="p", evaluations=[never]).decode()
    row = next(row for row in text.split("<tr>") if 'scope="row">cat' in row and "<td" in row)
    assert row.count("—") == 3
    assert "No image of “cat”" in text
    assert one.figures.classes[2].precision is not None


def test_figures_of_clones_show_interval_and_spread():
    found = pages.evaluations(("ant", "bee"), 80, 3)
    judged = [one for one, _ in found]
    clones = summarise(judged, [answers for _, answers in found])
    words = Page(evaluation_page(project="p", evaluations=judged, clones=clones).decode()).words
    for one in judged:
        accuracy = one.figures.accuracy
        assert f"{wording.share(accuracy.value)}{wording.ends(accuracy)}" in words
        assert accuracy.value < 1
    assert f"± {clones.accuracy.sd * 100:.2f}\u202f%" in words
    assert "No clone is picked" in words


def test_runs_of_several_recipes_are_not_called_clones_and_nothing_is_put_down_to_chance():
    found = pages.evaluations(("ant", "bee"), 80, 2)
    judged = [one for one, _ in found]
    apart = summarise(judged, [answers for _, answers in found]).model_copy(update={"alike": False})
    words = Page(evaluation_page(project="p", evaluations=judged, clones=apart).decode()).words
    paper = evaluation_paper(project="p", evaluations=judged, clones=apart)
    assert paper.lead in words
    for said in (words, paper.lead):
        assert "2 runs of several recipes" in said
    for lie in ("clone", "seeds", "chance"):
        assert lie not in words.lower()


def test_worst_mistakes_come_with_their_pictures_and_those_of_several_clones_first():
    found = [one for one, _ in pages.evaluations(("ant", "bee"), 80, 3)]
    pictures = {wrong.image_id: pages.png(40) for one in found for wrong in one.worst}
    page = Page(evaluation_page(project="p", evaluations=found, pictures=pictures).decode())
    assert len(page.of("img")) == len(pictures)
    runs = {}
    for one in found:
        for wrong in one.worst:
            runs[wrong.image_id] = runs.get(wrong.image_id, 0) + 1
    shown = [code["title"] for code in page.of("code") if "title" in code]
    assert len(set(runs.values())) > 1
    assert [runs[image_id] for image_id in shown] == sorted(runs.values(), reverse=True)


def test_a_page_says_so_when_nothing_is_wrong():
    from darkroom.evaluation import judge

    labels = np.arange(20) % 2
    perfect = judge(
        labels, np.eye(2)[labels], [f"{n:064x}" for n in range(20)], classes=("a", "b"), draws=20
    )
    words = Page(evaluation_page(project="p", evaluations=[perfect]).decode()).words
    assert "Not one answer was wrong" in words


def test_pages_show_each_limit_of_the_brief_with_its_verdict():
    found = [one for one, _ in pages.evaluations(("ant", "bee"), 80, 1)]
    gates = pages.gates()
    for page in (
        evaluation_page(project="p", evaluations=found, gates=gates),
        training_page(project="p", clones=pages.clones(), recipe={}, gates=gates),
        report_page(
            project="p", evaluations=found, gates=gates, looks="test of p@1 was looked at 4 times."
        ),
    ):
        words = Page(page.decode()).words
        assert "fail" in words
        assert "missed by 0.05" in words
        assert "about 350 more val pictures would settle it (an estimate)" in words
    assert "looked at 4 times" in words


def test_a_training_whose_best_epoch_is_its_last_is_named():
    clone = pages.clones(4, 1)[0]
    early = training_page(project="p", clones=[clone], recipe={}).decode()
    late = training_page(project="p", clones=[clone._replace(best_epoch=4)], recipe={}).decode()
    assert "best in its last epoch" not in early
    assert "best in its last epoch" in late


def test_several_clones_whose_best_epoch_is_their_last_are_named_together():
    clones = [clone._replace(best_epoch=4) for clone in pages.clones(4, 2)]
    words = Page(training_page(project="p", clones=clones, recipe={}).decode()).words
    assert f"{clones[0].run}, {clones[1].run} were best in their last epoch" in words


@pytest.mark.parametrize(
    ("trained", "said"), [("last", "drawn once for each view"), ("all", "new in every epoch")]
)
def test_the_page_says_how_often_the_changes_of_augmentation_are_drawn(trained, said):
    recipe = {"train_layers": trained}
    seen = training_page(project="p", clones=pages.clones(4, 1), recipe=recipe, preview=pages.png())
    assert said in Page(seen.decode()).words


def test_a_fact_that_a_template_misses_is_an_error_and_not_a_blank():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        html("problem", project="p")


def test_importing_the_room_is_light():
    code = (
        "import sys, darkroom.documents\n"
        "assert not {'jinja2', 'matplotlib', 'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pages_are_made_without_torch():
    code = (
        "import sys\n"
        "from tests.documents import pages\n"
        "pages.all_pages()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=pages.__file__.rsplit("/tests/", 1)[0])
