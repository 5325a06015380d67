"""Nothing passes without the right name, origin, token and size, and every answer carries its headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.server.access import Access, Caller, is_loopback
from darkroom.server.app import Desk
from darkroom.settings import Settings
from tests.server.apps import HERE, client, desk, project, shape

TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=80)
"""What a header's value may hold, as Latin-1."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(project(tmp_path_factory.mktemp("p"))) as found:
        yield found


@pytest.fixture(scope="module")
def ask(opened: Desk) -> TestClient:
    return client(opened)


@pytest.mark.parametrize("host", ["127.0.0.1:8400", "localhost", "LOCALHOST:1", "[::1]:8400", "[::1]"])
def test_the_server_answers_to_its_own_names(ask: TestClient, host: str) -> None:
    assert ask.post("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8400", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.0.7",
     "", "localhost@evil.example", "[::1",
     "127.0.0.1:8400,evil.example", "::1.evil.example", "0.0.0.0:8400"],
)  # fmt: skip
def test_a_name_that_was_rebound_to_this_machine_is_refused(ask: TestClient, host: str) -> None:
    for address in ("/", "/api/openapi.json", "/api/status"):
        answer = ask.get(address, headers={"Host": host})
        assert answer.status_code == 421
        assert shape(answer)["id"] == "request.host"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:3000", "http://127.0.0.1:84000",
     "http://127.0.0.1:8400.evil.example", "file://", ""],
)  # fmt: skip
def test_a_page_of_another_place_is_refused_even_with_the_token(ask: TestClient, origin: str) -> None:
    answer = ask.post("/api/status", headers={"Origin": origin})
    assert (answer.status_code, shape(answer)["id"]) == (403, "request.origin")
    asked_before = ask.options(
        "/api/status", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert asked_before.status_code == 403
    assert not [name for name in asked_before.headers if name.startswith("access-control")]


def test_its_own_page_may_ask(ask: TestClient) -> None:
    answer = ask.post("/api/status", headers={"Origin": HERE})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "token",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic {token}", "{token}", "Bearer {token}x", "Bearer\t{token}"],
)
def test_without_the_token_nothing_of_the_project_is_said(opened: Desk, token: str) -> None:
    given_token = token.format(token=opened.access.token)
    ask = client(opened, Authorization=given_token)
    for address in ("/api/status", "/api/jobs", "/api/uploads", "/api/nothing", "/api/jobs/j-1/events"):
        for answer in (ask.get(address), ask.post(address)):
            assert (answer.status_code, shape(answer)["id"]) == (401, "request.token")
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_page_and_its_description_need_no_token_and_hold_nothing_of_the_project(opened: Desk) -> None:
    ask = client(opened, Authorization="")
    for address in ("/", "/api/openapi.json"):
        answer = ask.get(address)
        assert answer.status_code == 200
        for secret in (
            str(opened.workspace.root),
            "nutcrackers",
            opened.access.token,
            opened.access.shell_token,
        ):
            assert secret not in answer.text


def test_two_tokens_are_known_and_differ_from_start_to_start(opened: Desk) -> None:
    again = Access.of(opened.workspace.root, Settings())
    assert opened.access.caller(opened.access.token) is Caller.PROGRAM
    assert opened.access.caller(opened.access.shell_token) is Caller.SHELL
    assert opened.access.caller(again.token) is None
    assert len({again.token, again.shell_token, opened.access.token, opened.access.shell_token}) == 4
    assert min(map(len, (again.token, again.shell_token))) >= 43
    assert again.token not in repr(again)


@settings(max_examples=150, deadline=None)
@given(host=TEXTS, origin=st.none() | TEXTS, token=TEXTS)
def test_no_made_up_header_is_let_through_or_breaks_anything(
    opened: Desk, ask: TestClient, host: str, origin: str | None, token: str
) -> None:
    headers = {"Host": host.encode("latin-1"), "Authorization": f"Bearer {token}".encode("latin-1")}
    if origin is not None:
        headers["Origin"] = origin.encode("latin-1")
    answer = ask.post("/api/status", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code in (401, 403, 421)
    shape(answer)


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(ask: TestClient) -> None:
    body = b'{"dataset": "' + b"x" * 1_000_000 + b'"}'
    kind = {"Content-Type": "application/json"}
    for content in (body, iter([body[:500_000], body[500_000:]])):
        answer = ask.post("/api/dataset/show", content=content, headers=kind)
        assert (answer.status_code, shape(answer)["id"]) == (413, "request.too-large")


def test_a_file_that_is_too_large_is_refused_with_the_setting_that_raises_the_limit(
    ask: TestClient,
) -> None:
    for content in (bytes(100_001), iter([bytes(60_000), bytes(60_000)])):
        answer = ask.post("/api/uploads?name=a.jpg", content=content)
        assert (answer.status_code, shape(answer)["id"]) == (413, "request.upload-too-large")
        assert "DARKROOM_MAX_FILE_BYTES" in shape(answer)["hint"]


@pytest.mark.parametrize("length", ["-1", "x", "²", ""])
def test_a_length_that_is_no_number_is_refused(ask: TestClient, length: str) -> None:
    answer = ask.post("/api/status", headers=[(b"Content-Length", length.encode("latin-1"))])
    assert answer.status_code == 413
    shape(answer)


@pytest.mark.parametrize("address", ["/", "/api/openapi.json", "/api/status", "/api/nothing"])
def test_every_answer_carries_the_headers_of_a_careful_server(ask: TestClient, address: str) -> None:
    headers = ask.get(address).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


def test_more_names_are_let_in_by_a_setting(tmp_path: Path) -> None:
    with desk(project(tmp_path), server_names="models.example, other.example") as found:
        ask = client(found)
        assert ask.post("/api/status", headers={"Host": "Models.example"}).status_code == 200
        assert ask.post("/api/status", headers={"Host": "evil.example"}).status_code == 421


def test_a_server_for_other_machines_answers_to_addresses_but_not_to_names(tmp_path: Path) -> None:
    access = Access.of(tmp_path, Settings(), host="0.0.0.0")
    assert access.is_called("192.168.0.7:8400")
    assert access.is_called("[fe80::1]:8400")
    assert not access.is_called("evil.example")


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))
