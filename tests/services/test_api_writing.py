"""POST /kill and /release, GET and PUT /limits: what they refuse, and that they do what the commands do.

A real gateway at a real exchange; the API needs no database for them. Not here: the commands themselves
(test_kill.py, test_limits_changed.py), reading (test_api_reading.py).
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import httpx

from api.app import create_app
from api.metrics import Metrics
from api.services import Services
from api.writing import TOKEN
from parley.messages import LimitChange
from runtime.limit_word import Confirmed
from runtime.operators import Operators
from tests.contract.test_limits_changed import LIMITS, refused, taken
from tests.kit.kills import Home, home_with_gateway

SECRET = "t" * 40
D = Decimal


class Client:
    """Asks the application as its edge would be asked, with what every writing call must bring."""

    def __init__(self, home: Home) -> None:
        self.home = home
        # of the services only these are touched by what writes
        parts = Services(
            version="1", tenant_name="local", tenant=cast("Any", None), pool=cast("Any", None),
            cursors=cast("Any", None), live=cast("Any", None), metrics=Metrics("1"), broker=cast("Any", None),
            home=home.home,
        )  # fmt: skip
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(parts)), base_url="http://localhost", timeout=60
        )

    async def ask(self, method: str, path: str, body: object = None, **headers: str | None) -> httpx.Response:
        given: dict[str, str | None] = {"authorization": f"Bearer {SECRET}", "idempotency-key": "k1"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given.setdefault("content-type", "application/json")
        content = None if body is None else json.dumps(body)
        sent = {name: value for name, value in given.items() if value is not None}
        answer = await self.http.request(method, f"/api/v1{path}", content=content, headers=sent)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer


@asynccontextmanager
async def api(**over: object) -> AsyncIterator[Client]:
    async with home_with_gateway(limits=LIMITS, **over) as home:
        file = home.home / TOKEN
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET + "\n")
        file.chmod(0o600)
        client = Client(home)
        try:
            yield client
        finally:
            await client.http.aclose()


def test_nothing_is_changed_without_all_a_writing_call_must_bring() -> None:
    async def scenario() -> None:
        async with api() as client:
            wish = {"reason": "test"}
            cases: list[tuple[dict[str, Any], int, str]] = [
                ({"authorization": None}, 401, "unauthenticated"),
                ({"authorization": "Bearer " + "x" * 40}, 401, "unauthenticated"),
                ({"authorization": f"Basic {SECRET}"}, 401, "unauthenticated"),
                ({"origin": "http://evil.example"}, 403, "foreign-origin"),
                ({"sec_fetch_site": "cross-site"}, 403, "foreign-origin"),
                ({"content_type": "text/plain"}, 415, "unsupported-media-type"),
                ({"idempotency_key": None}, 400, "idempotency-key-missing"),
                ({"host": "evil.example"}, 421, "wrong-host"),
            ]
            for headers, status, code in cases:
                for path in ("/kill", "/release"):
                    answer = await client.ask("POST", path, wish, **headers)
                    assert (answer.status_code, answer.json()["code"]) == (status, code), headers
            answer = await client.ask("PUT", "/limits/max_gross", {"value": "0.1"}, authorization=None)
            assert answer.status_code == 401
            for body in ({"mode": "all"}, {"scopes": []}, {"sope": ["firm"]}):
                assert (await client.ask("POST", "/kill", body)).status_code == 422
            assert (await client.ask("POST", "/kill", {"scopes": ["frim"]})).status_code == 409
            token = client.home.home / TOKEN
            for spoil, says in (
                (lambda: token.chmod(0o644), "mode 0600"),
                (lambda: (token.chmod(0o600), token.write_text("short")), "must have 24 characters"),
                (token.unlink, "there is no token"),
            ):
                spoil()
                answer = await client.ask("POST", "/kill", wish)
                assert (answer.status_code, answer.json()["code"]) == (403, "writing-off")
                assert says in answer.json()["detail"]
            assert not client.home.kill_file.exists()
            await taken(client.home, 1)

    asyncio.run(scenario())


def test_kill_and_release_do_what_the_commands_do_once_for_each_key() -> None:
    async def scenario() -> None:
        async with api() as client:
            resting = await client.home.rest(3)
            first = await client.ask("POST", "/kill", {"reason": "odd"})
            assert first.status_code == 200, first.text
            (account,) = first.json()["accounts"]
            assert (account["cancels_sent"], account["confirmed"], account["error"]) == (3, 3, None)
            assert client.home.cancelled(resting) == {each.cid for each in resting}
            assert [(k["scope"], k["reason"], k["by"]) for k in first.json()["killed"]] == [
                ("firm", "odd", "API token")
            ]
            assert await refused(client.home, 100) == "last_look:halted"
            again = await client.ask("POST", "/kill", {"reason": "odd"})
            assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
            assert len(client.home.kill_file.read_text().splitlines()) == 1
            other = await client.ask("POST", "/kill", {"reason": "odder"})
            assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")

            answer = await client.ask("POST", "/release", {"reason": " "})
            assert (answer.status_code, "must say why" in answer.json()["detail"]) == (409, True)
            answer = await client.ask("POST", "/release", {"reason": "fine"})
            assert (answer.status_code, answer.json()["killed"]) == (200, [])
            await taken(client.home, 101)

    asyncio.run(scenario())


def test_release_over_the_api_takes_two_operators_too() -> None:
    async def scenario() -> None:
        async with api() as client:
            operators = Operators(client.home.home / "keys" / "operators")
            ann, bob = operators.enrol("ann"), operators.enrol("bob")
            await client.ask("POST", "/kill", {})
            assert (await client.ask("POST", "/release", {"reason": "x"})).status_code == 409
            by_ann = {"reason": "x", "operator": "ann", "operator_key": ann}
            asked = await client.ask("POST", "/release", by_ann, idempotency_key="k2")
            assert asked.json()["killed"][0]["scope"] == "firm"
            token = {"confirm": asked.json()["asked"]}
            assert (
                await client.ask("POST", "/release", by_ann | token, idempotency_key="k3")
            ).status_code == 409
            by_bob = {"operator": "bob", "operator_key": bob} | token
            done = await client.ask("POST", "/release", by_bob, idempotency_key="k4")
            assert (done.status_code, done.json()["killed"]) == (200, [])

    asyncio.run(scenario())


def test_limits_are_read_and_set_against_the_version_that_was_read() -> None:
    async def scenario() -> None:
        async with api() as client:
            table = await client.ask("GET", "/limits")
            assert (table.status_code, table.headers["etag"]) == (200, '"v0"')
            assert {
                "key": "max_gross",
                "value": "0.80",
                "start": "0.80",
                "pending": False,
                "changed": None,
            } in (table.json()["limits"])
            path, wish = (
                "/limits/tree.symbol:BTC/USDT.max_order_notional",
                {"value": "0.0001", "reason": "odd"},
            )
            assert (await client.ask("PUT", path, wish)).status_code == 428
            assert (await client.ask("PUT", path, wish, if_match='"v7"')).status_code == 412
            asking = asyncio.ensure_future(client.ask("PUT", path, wish, if_match='"v0"'))
            change = await client.home.desk.hear(LimitChange)
            client.home.desk.say(Confirmed(n=1, values={change.key: change.new}).text())
            done = await asking
            assert (done.status_code, done.json()["confirmed"]) == (200, True), done.text
            assert await refused(client.home, 1, qty=D("0.1")) == "last_look:max_notional"
            assert (await client.ask("GET", "/limits")).headers["etag"] == '"v1"'
            bad = await client.ask("PUT", "/limits/max_gros", {"value": "1", "reason": "x"}, if_match='"v1"')
            assert (bad.status_code, "did you mean 'max_gross'" in bad.json()["detail"]) == (409, True)

    asyncio.run(scenario())


def test_gateway_that_hangs_is_ended_by_the_command_and_not_with_a_key_in_here() -> None:
    async def scenario() -> None:
        async with api() as client:
            resting = await client.home.rest(2)
            client.home.gateway.process.send_signal(signal.SIGSTOP)
            answer = await client.ask("POST", "/kill", {})
            (account,) = answer.json()["accounts"]
            assert (account["taken_over"], account["confirmed"], account["error"]) == (True, 2, None)
            assert client.home.cancelled(resting) == {each.cid for each in resting}

    asyncio.run(scenario())
