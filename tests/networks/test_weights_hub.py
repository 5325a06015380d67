"""Published weights are fetched by timm's name from a hub, here one on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkroom.networks import build

NAME = "test_efficientnet.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

ASK = """
import json, sys
from pathlib import Path
from darkroom.errors import DarkroomError
from darkroom.networks.weights import find_weights
try:
    facts = find_weights(sys.argv[1], ())
    print(facts.model_dump_json())
except DarkroomError as error:
    print(json.dumps(error.as_dict()))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """A hub that has one file."""
    torch.manual_seed(0)
    network = build("timm/test_efficientnet", channels=3, size=(64, 64), classes=2)
    save_file(network.body.state_dict(), tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_content=False)

        def do_GET(self) -> None:
            self.answer(with_content=True)

        def answer(self, *, with_content: bool) -> None:
            there = self.path == f"/timm/{NAME}/resolve/main/model.safetensors"
            self.send_response(200 if there or self.path == "/" else 404)
            if there:
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            if with_content and there:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(name: str, cache: Path, **environment: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    run = subprocess.run(
        [sys.executable, "-c", ASK, name],
        env={**kept, "HF_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_weights_are_fetched_once_and_then_need_no_network(hub: str, tmp_path: Path) -> None:
    found = ask(NAME, tmp_path / "cache", HF_ENDPOINT=hub)
    assert found["network"] == "timm/test_efficientnet"
    assert found["input_px"] == 160
    assert found["licence"] == "apache-2.0"
    sha256 = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert found["sha256"] == sha256
    again = ask(NAME, tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert again == found


def test_without_a_network_it_says_so_soon(tmp_path: Path) -> None:
    began = time.perf_counter()
    found = ask(NAME, tmp_path / "cache", HF_ENDPOINT="http://127.0.0.1:9")
    assert time.perf_counter() - began < 30
    assert found["id"] == "weights.unreachable"
    assert "Connection refused" in found["error"]
    assert "DARKROOM_WEIGHTS" in found["hint"]


def test_the_setting_of_the_hub_that_forbids_connections_is_honoured(hub: str, tmp_path: Path) -> None:
    found = ask(NAME, tmp_path / "cache", HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert found["id"] == "weights.unreachable"
    assert "HF_HUB_OFFLINE is set" in found["error"]


def test_what_the_hub_does_not_have_is_refused(hub: str, tmp_path: Path) -> None:
    found = ask("mobilenetv3_small_100.lamb_in1k", tmp_path / "cache", HF_ENDPOINT=hub)
    assert found["id"] == "weights.unreachable"
    assert "404" in found["error"]
