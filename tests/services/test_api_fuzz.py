"""Requests and frames of random shape never break the API: no 5xx, and refusals are problems with an id."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.kit import small_journal as small
from tests.kit.api_frames import FRAMES, Frame, exchange
from tests.kit.api_process import ApiProcess, check_form, read_answer
from tests.kit.api_requests import Drawn, requests
from tests.kit.database import fresh_database
from tests.kit.sandbox import ROOT
from tests.kit.shipping import ShipperProcess

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
SHORT, LONG = 200, 1000


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
        connection.putrequest(drawn.method, drawn.path, skip_host="Host" in drawn.headers)
        for name, value in drawn.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        if drawn.body and not {"Content-Length", "Transfer-Encoding"} & drawn.headers.keys():
            connection.putheader("Content-Length", str(len(drawn.body)))
        connection.endheaders()
        with contextlib.suppress(ConnectionError):  # it may have refused the headers already
            connection.send(drawn.body)
        answer = connection.getresponse()
        if drawn.method == "HEAD" or "gzip" in (answer.getheader("content-encoding") or ""):
            answer.read()
            return answer.status
        found = read_answer(answer)
    finally:
        connection.close()
    check_form(found)
    return found.status


def pages_of(api: ApiProcess) -> dict[str, str]:
    """Return cursors of all lists, by the query each was given for."""
    lists = ("rounds", "orders", "fills", "equity", "positions", "agents")
    asked = [f"/api/v1/{name}?limit=1" for name in lists]
    asked += ["/api/v1/rounds?limit=2&sort=created_at", "/api/v1/orders?limit=1&side=buy"]
    found = {path: api.get(path).body["next_cursor"] for path in asked}
    return {path: cursor for path, cursor in found.items() if cursor}


def shapes(api: ApiProcess, count: int) -> tuple[Counter[int], Counter[str]]:
    """Send `count` requests; count the statuses of their answers and what was in the requests."""
    statuses: Counter[int] = Counter()
    sent: Counter[str] = Counter()
    pages = pages_of(api)
    assert len(pages) >= 4
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=checks
    )
    @given(requests(DOCUMENT, pages))
    def each(drawn: Drawn) -> None:
        status = send(api, drawn)
        statuses[status] += 1
        sent[drawn.method] += 1
        sent.update(list(drawn.headers))
        sent["cursor"] += "cursor=" in drawn.path
        sent["cursor as given"] += status == 200 and "cursor=" in drawn.path
        assert status < 500, (status, drawn)

    each()
    return statuses, sent


def test_requests_of_random_shape_are_answered(api: ApiProcess) -> None:
    statuses, sent = shapes(api, SHORT)

    assert statuses.total() >= SHORT
    # A generator that only ever met refusals would prove nothing.
    assert {200, 400, 404, 405, 421, 422} <= statuses.keys()
    assert sent["cursor"] > 3
    assert defects(api) == []


@pytest.mark.long
def test_a_thousand_requests_of_random_shape_are_answered(api: ApiProcess) -> None:
    statuses, sent = shapes(api, LONG)

    assert statuses.total() >= LONG
    assert sent["cursor as given"] > 3
    assert defects(api) == []
    print(dict(sorted(statuses.items())), dict(sent.most_common()))


def defects(api: ApiProcess) -> list[str]:
    """Return lines of the API's log that tell of a defect."""
    words = ("request_failed", "stream_failed", "Traceback", '"level": "error"')
    return [line for line in api.log.read_text().splitlines() if any(word in line for word in words)]


def streams(api: ApiProcess, count: int) -> Counter[str]:
    """Open `count` streams, send frames of random shape on each, and count how they ended."""
    ends: Counter[str] = Counter()

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(FRAMES)
    def each(frames: list[Frame]) -> None:
        told = exchange(api.port, frames)
        head, _, said = told.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b'"t":"hello"' in said
        ends[close_code(said)] += 1

    each()
    return ends


def close_code(said: bytes) -> str:
    """Return the code of the last frame, if it is one that closes."""
    for size in range(2, 127):
        place = len(said) - size - 2
        if place >= 0 and said[place] == 0x88 and said[place + 1] == size:
            return str(int.from_bytes(said[place + 2 : place + 4], "big"))
    return "closed" if said.endswith(b"\x88\x00") else "hung up"


def test_frames_of_random_shape_end_one_stream_and_no_other(api: ApiProcess) -> None:
    ends = streams(api, SHORT)

    assert ends.total() >= SHORT
    assert {"4400", "4404"} <= ends.keys(), ends
    assert "1011" not in ends
    assert defects(api) == []
    assert api.get("/livez").status == 200
    exchange(api.port, [Frame(0x81, b'{"t":"sub","id":1,"ch":"rounds"}')], until=b'"t":"subbed"')


@pytest.mark.long
def test_a_thousand_streams_of_random_frames_end_alone(api: ApiProcess) -> None:
    ends = streams(api, LONG)

    assert ends.total() >= LONG
    assert "1011" not in ends
    assert defects(api) == []
    assert api.get("/livez").status == 200
    print(dict(ends.most_common()))


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


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("GET", ""),
        ("GET", "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
        ("GET", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"),
        ("POST", "Content-Length: 4\r\n"),
        ("GET", "Transfer-Encoding: chunked\r\n"),
    ],
)
def test_handshake_that_is_none_is_answered_as_any_request(api: ApiProcess, method: str, more: str) -> None:
    hello = f"{method} /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"

    told = api.raw(f"{hello}Connection: Upgrade\r\n{more}\r\nnull".encode())

    head, _, body = told.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in (404, 405)
    assert json.loads(body.split(b"HTTP/1.1")[0])["trace_id"].encode() in head
