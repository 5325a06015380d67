"""Requests made from the OpenAPI page, right ones and wrong ones, never bring the server to its knees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from darkroom.server.app import Desk, make_app
from tests.server.apps import client, desk, project, shape

HONEST = {501, 507}
"""Statuses from 500 on that say what is missing or full, and are no defect."""

FIXED = frozenset({"Host", "Authorization", "Content-Length", "Transfer-Encoding", "Origin", "Connection"})


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(project(tmp_path_factory.mktemp("p")), upload_bytes=200_000) as found:
        yield found


@pytest.fixture(scope="module")
def ask(opened: Desk) -> TestClient:
    return client(opened)


def routes(desk: Desk) -> list[Any]:
    schema = schemathesis.openapi.from_asgi(
        "/api/openapi.json", make_app(desk), headers={"Host": "127.0.0.1"}
    )
    return [found.ok() for found in schema.get_all_operations()]


def look(ask: TestClient, case: Any) -> None:
    """Asks what a case asks and looks at the answer."""
    kind = dict(case.as_transport_kwargs(base_url="http://127.0.0.1:8400"))
    headers = {
        name: value
        for name, value in (kind.get("headers") or {}).items()
        if name.title() not in FIXED and value.isprintable() and value.isascii()
    }
    params = {name: value for name, value in (kind.get("params") or {}).items() if name != "wait_s"}
    answer = ask.request(
        kind["method"], kind["url"], params=params, headers=headers, json=kind.get("json"),
        content=kind.get("data"),
    )  # fmt: skip
    asked = f"{kind['method']} {kind['url']} {kind.get('params')} {kind.get('json')} {kind.get('data')}"
    if answer.status_code >= 400:
        assert shape(answer)["id"] != "server.defect", asked
        assert answer.status_code < 500 or answer.status_code in HONEST, (asked, answer.text)
    elif answer.headers.get("content-type") == "application/json":
        json.loads(answer.content)


def ask_everything(opened: Desk, examples: int) -> int:
    """Asks each route what its schema allows, and what it does not; returns how many routes there are."""
    ask = client(opened)
    found = [route for route in routes(opened) if not route.path.endswith("/events")]
    for route in found:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = route.as_strategy(generation_mode=mode)

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=cases)
            def send(case: Any) -> None:
                look(ask, case)

            with suppress(Unsatisfiable):  # a route that takes nothing can be asked nothing wrong
                send()
    return len(found)


def test_no_request_brings_an_answer_from_500_on(opened: Desk) -> None:
    assert ask_everything(opened, 4) > 20


@pytest.mark.slow
def test_many_requests_bring_no_answer_from_500_on(tmp_path: Path) -> None:
    with desk(project(tmp_path), upload_bytes=2_000_000) as found:
        ask_everything(found, 60)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["status", "predict", "model/train", "dataset/show", "run"]), body=JSON)
def test_any_json_is_answered_in_words(ask: TestClient, path: str, body: Any) -> None:
    answer = ask.post(
        f"/api/{path}", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code < 500
    if answer.status_code >= 400:
        shape(answer)
