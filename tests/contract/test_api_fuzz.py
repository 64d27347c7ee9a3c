"""Requests of random shape never break the API: no 5xx, and every refusal is a problem with a request id."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.kit import small_journal as small
from tests.kit.api_process import ApiProcess, check_form, read_answer
from tests.kit.api_requests import Drawn, requests
from tests.kit.database import fresh_database
from tests.kit.sandbox import ROOT
from tests.kit.shipping import ShipperProcess

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
SHORT, LONG = 150, 1000


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    path = small.write_journal(folder / "desk.journal")
    database = fresh_database()
    shipper = ShipperProcess(folder, database, path).start()
    shipper.wait_shipped(path)
    shipper.stop()
    process = ApiProcess(folder, database)
    try:
        yield process.start()
    finally:
        process.kill()


def send(api: ApiProcess, drawn: Drawn) -> int:
    """Send a request, check the form of its answer and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    try:
        connection.request(drawn.method, drawn.path, body=drawn.body or None, headers=drawn.headers)
        answer = connection.getresponse()
        if drawn.method == "HEAD" or "gzip" in (answer.getheader("content-encoding") or ""):
            answer.read()
            return answer.status
        found = read_answer(answer)
    finally:
        connection.close()
    check_form(found)
    return found.status


def shapes(api: ApiProcess, count: int) -> Counter[int]:
    """Send `count` requests and count the statuses of their answers."""
    statuses: Counter[int] = Counter()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=checks
    )
    @given(requests(DOCUMENT))
    def each(drawn: Drawn) -> None:
        status = send(api, drawn)
        statuses[status] += 1
        assert status < 500, (status, drawn)

    each()
    return statuses


def test_requests_of_random_shape_are_answered(api: ApiProcess) -> None:
    statuses = shapes(api, SHORT)

    assert statuses.total() >= SHORT
    # A generator that only ever met refusals would prove nothing.
    assert {200, 404, 405, 422} <= statuses.keys()
    assert not [line for line in api.log.read_text().splitlines() if "request_failed" in line]


@pytest.mark.long
def test_a_thousand_requests_of_random_shape_are_answered(api: ApiProcess) -> None:
    statuses = shapes(api, LONG)

    assert statuses.total() >= LONG
    print(dict(sorted(statuses.items())))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\xff\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"A: " + b"x" * 40_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    ],
)
def test_what_is_no_http_is_a_problem_too(api: ApiProcess, raw: bytes) -> None:
    told = api.raw(raw)

    head, _, body = told.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert 400 <= status < 500
    assert b"application/problem+json" in head
    assert json.loads(body)["trace_id"].encode() in head
