"""MediaPipe, in an environment of its own, reads the names in a .tflite file and answers as LiteRT does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.export.conversion import convert
from darkroom.images import prepare
from darkroom.serving import open_session
from tests.export import models
from tests.export.models import Trained

MEDIAPIPE = "mediapipe==1.2.2"

KEPT = os.environ.get("TEST_MEDIAPIPE_PYTHON", "")
"""The Python of an environment that holds MediaPipe, so that none is made anew."""

ASKS = """
import json, sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python
from mediapipe.tasks.python import vision

model, pictures, answers = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=python.BaseOptions(model_asset_path=model))
found = []
with vision.ImageClassifier.create_from_options(options) as classifier:
    for pixels in np.load(pictures, allow_pickle=False):
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        [answer] = classifier.classify(image).classifications
        found.append([[one.category_name, one.score] for one in answer.categories])
with open(answers, "w") as file:
    json.dump({"version": mp.__version__, "answers": found}, file)
"""


@pytest.fixture(scope="session")
def python_with_mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment with MediaPipe from the package index, removed at the end."""
    if KEPT:
        yield Path(KEPT)
        return
    place = tmp_path_factory.mktemp("mediapipe") / "env"
    # Tests refuse the network to their children; what fetches a package needs it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", str(place)], env=environment, check=True)
    python = place / "bin" / "python"
    run = subprocess.run(
        [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", MEDIAPIPE],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"{MEDIAPIPE} could not be had from the package index: {run.stderr[-600:]}"
    yield python
    shutil.rmtree(place)  # half a gigabyte, which pytest would keep for three runs


def asked(python: Path, model: Path, pictures: np.ndarray, folder: Path) -> list[list[Any]]:
    """Returns MediaPipe's answers, each a list of names with scores, the best first."""
    np.save(folder / "pictures.npy", pictures)
    (folder / "asks.py").write_text(ASKS)
    words = [str(python), "asks.py", str(model), "pictures.npy", "answers.json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads((folder / "answers.json").read_text())["answers"]


@pytest.mark.slow
def test_mediapipe_reads_the_labels_and_answers_the_contract_s_tensors_as_litert(
    python_with_mediapipe: Path, tmp_path: Path, record_property: Any
) -> None:
    trained: Trained = models.colours()
    [file] = convert(trained.network, trained.card, tmp_path, targets=["litert"]).files
    session, tensors = open_session(file.path), trained.images[:240]
    expected = session.run(tensors).probabilities
    found = asked(python_with_mediapipe, file.path, tensors, tmp_path)
    labels = trained.card.labels
    assert {name for answer in found for name, _ in answer} == set(labels)
    best = [labels.index(answer[0][0]) for answer in found]
    assert best == expected.argmax(axis=1).tolist()
    scores = np.array([[dict(answer)[name] for name in labels] for answer in found])
    assert np.abs(scores - expected).max() < 1e-5

    raw = larger(tensors[:100])
    mine = session.run(np.stack([prepare(one, trained.card.contract) for one in encoded(raw)]))
    theirs = asked(python_with_mediapipe, file.path, raw, tmp_path)
    same = [
        labels.index(answer[0][0]) == row.argmax()
        for answer, row in zip(theirs, mine.probabilities, strict=True)
    ]
    # MediaPipe resizes by itself: reported, and nothing is promised.
    record_property("agreement on raw pictures", float(np.mean(same)))


def larger(tensors: np.ndarray) -> np.ndarray:
    """Returns the pictures at three times the size and other proportions, as a camera would give them."""
    height, width = tensors.shape[1:3]
    size = (width * 3, height * 4)
    return np.stack([np.asarray(Image.fromarray(one).resize(size)) for one in tensors])


def encoded(pictures: np.ndarray) -> list[bytes]:
    from io import BytesIO

    found = []
    for pixels in pictures:
        file = BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        found.append(file.getvalue())
    return found
