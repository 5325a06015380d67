"""What the pages of the guide tell a person to type works, on one project that the first page makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tree import ROOT
from tests.walkthrough import commands, put_photos, run_in_order

GUIDE = ROOT / "docs" / "guide"
FIRST = GUIDE / "first-project.md"
IN_AN_APP = GUIDE / "in-an-app.md"
OTHERS = sorted(path for path in GUIDE.glob("*.md") if path != FIRST)
EVERY_TIME = {
    "from-digits", "in-an-app", "jobs", "limits", "python", "server", "when-something-is-wrong",
}  # fmt: skip
"""Pages worked through by every run of the tests. The others train more, and are left to the full tests."""
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
GOLDEN = ROOT / "tests" / "data" / "golden"
ANSWERED_BY_JAVA = ("crop", "squash-grey")
"""Golden vectors of the resize modes that the page's Java speaks."""


def typed(page: Path) -> list[str]:
    return commands(page.read_text(encoding="utf-8"))


def test_everything_typed_is_found() -> None:
    page = "```console\n$ a \\\n  b\nsaid\n$ c <<'E'\n$ in it\nE\n$ d\n```\n"
    page += "```python\nx = 1\n```\n```toml\n$ no\n```\n"
    assert commands(page) == [
        "a \\\n  b",
        "c <<'E'\n$ in it\nE",
        "d",
        "python - <<'END-OF-PYTHON'\nx = 1\nEND-OF-PYTHON",
    ]


@pytest.fixture(scope="module")
def first_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder in which a person worked through the first page, and what it said."""
    desk = tmp_path_factory.mktemp("desk")
    put_photos(desk / "photos", per_class=30)
    return desk, run_in_order(typed(FIRST), desk)


def test_the_first_page_ends_with_a_bundle(
    first_page: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    desk, run = first_page
    assert run.returncode == 0, run.stdout[-4000:]
    assert (desk / "shoes" / "deliverables" / "09-mobile" / "bundle" / "bundle.json").is_file()


def shared_out(pages: list[Path]) -> list[object]:
    """Returns the pages as parameters; those not in `EVERY_TIME` are marked slow."""
    return [
        pytest.param(page, id=page.stem, marks=() if page.stem in EVERY_TIME else pytest.mark.slow)
        for page in pages
    ]


def test_every_page_named_for_every_run_exists() -> None:
    assert {page.stem for page in OTHERS} >= EVERY_TIME


@pytest.mark.parametrize("page", shared_out(OTHERS))
def test_everything_on_the_other_pages_works_in_that_project(
    page: Path, first_page: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    desk, first = first_page
    assert first.returncode == 0, "the first page failed"
    run = run_in_order(typed(page), desk / "shoes")
    assert run.returncode == 0, run.stdout[-4000:]


@pytest.mark.parametrize("page", [FIRST, *OTHERS], ids=lambda page: page.stem)
def test_every_page_that_the_guide_links_to_exists(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_java_of_the_guide_makes_the_golden_tensors(tmp_path: Path) -> None:
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("there is no Java compiler here")
    [source] = re.findall(r"^```java\n(.*?)^```", IN_AN_APP.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "Preprocessing.java").write_text(source, encoding="utf-8")
    (tmp_path / "Golden.java").write_text(COMPARES, encoding="utf-8")
    subprocess.run(["javac", "-d", ".", "Preprocessing.java", "Golden.java"], cwd=tmp_path, check=True)
    cases = [line for name in ANSWERED_BY_JAVA for line in golden_cases(GOLDEN / name)]
    assert len(cases) > 15
    run = subprocess.run(
        ["java", "-Djava.awt.headless=true", "-cp", ".", "Golden", *cases],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout.split()) == (0, ["equal"] * len(cases)), run.stdout + run.stderr


def golden_cases(folder: Path) -> list[str]:
    """Returns upright golden pictures as words for the Java below."""
    index = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    contract = index["contract"]
    assert not contract["enhance"]
    words = [contract["width_px"], contract["height_px"], contract["colour"], contract["resize"]]
    words += contract["alpha_colour"]
    return [
        ";".join(map(str, [folder / one["image"], folder / one["tensor"], *words]))
        for one in index["vectors"]
        if one["orientation"] == 1
    ]


COMPARES = """
import java.awt.image.BufferedImage;
import java.io.File;
import java.nio.file.Files;
import java.util.Arrays;
import javax.imageio.ImageIO;

final class Golden {
    public static void main(String[] cases) throws Exception {
        for (String line : cases) {
            String[] word = line.split(";");
            BufferedImage image = ImageIO.read(new File(word[0]));
            int width = image.getWidth(), height = image.getHeight();
            int[] argb = image.getRGB(0, 0, width, height, null, 0, width);
            if (image.getColorModel().getNumColorComponents() == 1) { // getRGB bends greys by a profile
                for (int at = 0; at < argb.length; at++) {
                    int grey = image.getRaster().getSample(at % width, at / width, 0);
                    if (image.getColorModel().getPixelSize() == 1) grey *= 255;
                    boolean clear = image.getRaster().getNumBands() == 2;
                    int alpha = clear ? image.getRaster().getSample(at % width, at / width, 1) : 255;
                    argb[at] = alpha << 24 | grey << 16 | grey << 8 | grey;
                }
            }
            int[] alphaColour = new int[3];
            for (int place = 0; place < 3; place++) alphaColour[place] = Integer.parseInt(word[6 + place]);
            byte[] tensor = Preprocessing.tensor(
                argb, width, height, Integer.parseInt(word[2]), Integer.parseInt(word[3]),
                word[4].equals("grey"), word[5].equals("crop"), alphaColour);
            byte[] expected = Files.readAllBytes(new File(word[1]).toPath());
            System.out.println(Arrays.equals(tensor, expected) ? "equal" : "differs:" + word[0]);
        }
    }
}
"""
"""Decodes each picture and compares its tensor with the one that must come out."""
