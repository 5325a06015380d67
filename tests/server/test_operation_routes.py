"""Every operation answers over HTTP as it does in Python; what is wrong is said in the one error shape."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import darkroom
from darkroom.operation import Operation, operations
from darkroom.server.app import Desk
from darkroom.server.operation_routes import path_of
from tests.jobs.projects import wait_until
from tests.server.apps import client, desk, project, shape

OVER_HTTP = [operation for operation in operations().values() if operation.over_http]
IN_THE_SHELL_ONLY = {"export.armv7_setup", "init", "job.wait", "quickstart", "serve"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(project(tmp_path_factory.mktemp("p"))) as found:
        yield found


@pytest.fixture(scope="module")
def ask(opened: Desk) -> TestClient:
    return client(opened)


@pytest.fixture(scope="module")
def page(ask: TestClient) -> dict[str, Any]:
    return ask.get("/api/openapi.json").json()


def without_nulls(schema: Any) -> Any:
    """Returns a schema as FastAPI writes it: a default of null is left out."""
    if isinstance(schema, dict):
        return {key: without_nulls(value) for key, value in schema.items() if value is not None}
    return [without_nulls(value) for value in schema] if isinstance(schema, list) else schema


def test_only_what_makes_a_project_waits_or_starts_a_server_is_left_to_the_shell() -> None:
    assert set(operations()) - {operation.name for operation in OVER_HTTP} == IN_THE_SHELL_ONLY


@pytest.mark.parametrize("operation", OVER_HTTP, ids=lambda operation: operation.name)
def test_each_operation_has_its_route_with_its_words_and_its_models(
    operation: Operation, page: dict[str, Any]
) -> None:
    route = page["paths"][path_of(operation)]["post"]
    assert (route["operationId"], route["summary"]) == (operation.name, operation.summary)
    body = route["requestBody"]["content"]["application/json"]["schema"]
    named = body.get("$ref") or body["allOf"][0]["$ref"]
    schemas = page["components"]["schemas"]
    expected = operation.request.model_json_schema(ref_template="#/components/schemas/{model}")
    expected.pop("$defs", None)
    assert schemas[named.rpartition("/")[2]] == without_nulls(expected)
    answer = route["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert answer.rpartition("/")[2] == operation.result.__name__
    assert ("202" in route["responses"]) == operation.slow
    for status in ("401", "404", "422", "500"):
        problem = route["responses"][status]["content"]["application/json"]["schema"]["$ref"]
        assert problem == "#/components/schemas/Problem"


def test_every_parameter_is_explained_on_the_page(page: dict[str, Any]) -> None:
    for operation in OVER_HTTP:
        fields = page["components"]["schemas"][operation.request.__name__].get("properties", {})
        for parameter in operation.parameters:
            assert fields[parameter.name].get("description") == parameter.doc, operation.name


def test_the_answer_is_the_one_that_python_gives(opened: Desk, ask: TestClient) -> None:
    with darkroom.open(opened.workspace.root) as own:
        answers = {
            "status": own.status(),
            "model/networks": own.model.networks(),
            "source/list": own.source.list(),
            "dataset/list": own.dataset.list(),
            "model/list": own.model.list(),
        }
    for path, answer in answers.items():
        said = ask.post(f"/api/{path}", json={})
        assert (said.status_code, said.json()) == (200, json.loads(answer.model_dump_json()))
        assert ask.post(f"/api/{path}").json() == said.json()


@pytest.mark.parametrize(
    ("path", "body", "status", "id", "said"),
    [
        ("dataset/show", {"dataset": "nothing"}, 404, "dataset.unknown", "nothing"),
        ("dataset/show", {"datset": "x"}, 422, "config.refused", 'Did you mean "dataset"?'),
        ("dataset/show", {"dataset": ["x"]}, 422, "config.refused", "valid string"),
        ("dataset/show", {"dataset": ["x"]}, 422, "config.refused", "darkroom dataset show --help"),
        ("model/train", {"dataset": "x@1", "recipe": {"epoch": 3}}, 422, "config.refused", "epochs"),
        ("dataset/show", None, 422, "request.no-object", "JSON object"),
        ("dataset/show", [1], 422, "request.no-object", "JSON object"),
        ("stats", {}, 404, "request.no-route", 'Did you mean "/api/status"?'),
        ("init", {"name": "x"}, 404, "request.no-route", "/api/init"),
        ("serve", {}, 404, "request.no-route", "/api/serve"),
    ],
)
def test_what_is_wrong_is_said_in_the_one_shape(
    ask: TestClient, path: str, body: Any, status: int, id: str, said: str
) -> None:
    answer = ask.post(f"/api/{path}", json=body)
    found = shape(answer)
    assert (answer.status_code, found["id"]) == (status, id)
    assert said in found["error"] + found["hint"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"dataset": ', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"dataset": ' + b"9" * 5000 + b"}", "application/json"),
        (b'{"dataset": "\\ud800"}', "application/json"),
        (b'{"dataset": "\\u0000"}', "application/json"),
        (b'{"dataset": "x"}', "text/plain"),
        (b"dataset=x", "application/x-www-form-urlencoded"),
        (b'{"dataset": NaN}', "application/json"),
    ],
)
def test_a_body_that_is_none_is_refused_in_words(ask: TestClient, body: bytes, kind: str) -> None:
    answer = ask.post("/api/dataset/show", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500
    shape(answer)


def test_another_method_is_refused_in_words(ask: TestClient) -> None:
    answer = ask.get("/api/status")
    assert answer.status_code == 405
    assert "POST" in shape(answer)["hint"]
    assert answer.headers["allow"] == "POST"


def test_a_defect_is_told_without_its_traceback_and_logged(
    opened: Desk, ask: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(opened.workspace, "again", broken)
    answer = ask.post("/api/status", json={})
    assert answer.status_code == 500
    assert shape(answer)["id"] == "server.defect"
    assert "secret detail" not in answer.text
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_darkroom_toml_is_read_anew_for_each_request(tmp_path: Path) -> None:
    folder = project(tmp_path)
    with desk(folder) as found:
        ask = client(found)
        assert ask.post("/api/status").json()["project"] == "nutcrackers"
        (folder / "darkroom.toml").write_text('[project]\nname = "renamed"\n')
        assert ask.post("/api/status").json()["project"] == "renamed"
        (folder / "darkroom.toml").write_text("nonsense")
        assert shape(ask.post("/api/status"))["id"] == "project.not-toml"


def test_who_waits_for_a_result_gets_it_as_the_job_kept_it(tmp_path: Path) -> None:
    with desk(project(tmp_path)) as found:
        jobs = found.workspace.catalogue.jobs

        def work() -> None:
            wait_until(lambda: jobs.list("waiting"), "there is a job")
            jobs.move("j-1", "running")
            jobs.move("j-1", "finished", result={"churn": None, "rows": []})  # null: no number came out

        worker = threading.Thread(target=work)
        worker.start()
        asked = {"first": "r-1", "second": "r-2"}
        answer = client(found).post("/api/model/compare?wait_s=30", json=asked)
        worker.join()
        assert (answer.status_code, answer.json()) == (200, {"churn": None, "rows": []})


def test_a_slow_operation_becomes_a_job_with_an_address(opened: Desk, ask: TestClient) -> None:
    first = ask.post("/api/run", json={"explain": True})
    assert first.status_code == 202
    assert first.headers["location"] == f"/api/jobs/{first.json()['id']}"
    assert ask.get(first.headers["location"]).json() == first.json()
    assert (first.json()["state"], first.json()["asked_by"]) == ("waiting", "http")
    second = ask.post("/api/run", params={"waits_for": [first.json()["id"]]}, json={})
    assert second.json()["waits_for"] == [first.json()["id"]]
    refused = ask.post("/api/run", params={"waits_for": ["j-999"]}, json={})
    assert (refused.status_code, shape(refused)["id"]) == (404, "job.unknown")
