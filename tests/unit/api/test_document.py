"""The committed OpenAPI document is what the application gives, and says all it must of each operation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.app import create_app
from api.document import FILE, text
from api.problems import KINDS, MEDIA_TYPE

APP = create_app(None)
DOCUMENT: dict[str, Any] = APP.openapi()
OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def test_committed_document_is_that_of_the_application() -> None:
    committed = FILE.read_text(encoding="utf-8")

    assert committed == text(APP), "run 'python -m tools.write_openapi' and read the difference"


def test_issue_lists_these_paths() -> None:
    base = "/api/v1"
    resources = {"agents", "rounds", "rounds/{id}", "orders", "fills", "positions", "equity", "system"}

    assert {f"{base}/{name}" for name in resources} | {"/livez", "/readyz", "/metrics"} <= DOCUMENT[
        "paths"
    ].keys()
    assert DOCUMENT["openapi"].startswith("3.1")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_says_all_it_must(name: str) -> None:
    operation = OPERATIONS[name]

    assert operation["summary"]
    assert operation["tags"]
    assert operation["operationId"]
    assert ("x-permission" in operation) != operation.get("x-public", False)
    assert operation["x-rate-class"]
    assert {"500", "503", "421", "413"} <= operation["responses"].keys()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_error_of_an_operation_is_a_problem(name: str) -> None:
    for status, response in OPERATIONS[name]["responses"].items():
        if status.startswith(("4", "5")):
            assert response["content"] == {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert "X-Request-Id" in response["headers"]


def test_every_reference_is_defined_and_none_is_of_the_framework() -> None:
    raw = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in raw.split("#/components/schemas/")[1:]}

    assert named <= DOCUMENT["components"]["schemas"].keys()
    assert "HTTPValidationError" not in raw


def test_stream_messages_are_in_the_document() -> None:
    assert {"stream-client", "stream-server"} <= DOCUMENT["webhooks"].keys()
    assert {"Subscribe", "Subscribed", "Event", "Events", "Hello"} <= DOCUMENT["components"]["schemas"].keys()


def test_operation_ids_differ() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]

    assert len(names) == len(set(names))


def test_every_problem_is_one_of_a_status_that_errors_have() -> None:
    assert {code for code, (status, _, _) in KINDS.items() if not 400 <= status <= 599} == set()
