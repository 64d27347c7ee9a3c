"""What an exchange that speaks Hyperliquid makes of actions: who signed is told by the signature alone.

Actions are signed by the unmodified ccxt class and then spoilt. Not here: orders that are well made
(`test_hyperliquid_venue`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tests.kit.hyperliquid import ADDRESS, BTC, SANDBOX, hyperliquid_client
from tests.kit.sandbox import SandboxProcess, sandbox

pytestmark = pytest.mark.timeout(120)
CLOID = "0x" + "12" * 16
ZEROS = {"r": "0x0", "s": "0x0", "v": 27}
Body = dict[str, Any]


class Desk:
    """Somebody with the account's key, who may spoil what he signed."""

    def __init__(self, venue: SandboxProcess, client: Any, http: aiohttp.ClientSession) -> None:
        self._venue = venue
        self._http = http
        self.client = client

    def body(self, action: Body | None = None, **over: Any) -> Body:
        """Sign an order, or another action, with ccxt."""
        client = self.client
        made = action or {"type": "order", "orders": [self.order()], "grouping": "na"}
        nonce = over.get("nonce", client.incrementing_nonce())
        expires = over.get("expires", client.milliseconds() + 5000)
        found = {
            "action": made,
            "nonce": nonce,
            "signature": client.sign_l1_action(made, nonce, None, expires),
        }
        return found | ({"expiresAfter": expires} if expires else {})

    def order(self, **over: Any) -> Body:
        """Make a buy order that rests."""
        params = {"clientOrderId": CLOID, "timeInForce": "GTC"}
        order: Body = self.client.create_order_request(BTC, "limit", "buy", "0.1", "50000", params)
        return order | over

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Post a body; comes with the status and what was said."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._http.post(self._venue.rest + path, data=raw) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text


@contextlib.asynccontextmanager
async def desk(**config: Any) -> AsyncIterator[tuple[SandboxProcess, Desk]]:
    async with (
        sandbox(**(SANDBOX | config)) as venue,
        hyperliquid_client(venue) as client,
        aiohttp.ClientSession() as http,
    ):
        await client.load_markets()
        yield venue, Desk(venue, client, http)


def altered(body: Body, **over: Any) -> Body:
    """Change the order of a signed action."""
    return body | {"action": body["action"] | {"orders": [body["action"]["orders"][0] | over]}}


def test_an_action_is_its_signers_and_nobody_elses() -> None:
    async def run() -> None:
        async with desk() as (venue, ours):
            good = ours.body()
            spoilt: list[Body] = [
                altered(good, s="0.2"),
                altered(good, p="50001"),
                altered(good, b=False),
                altered(good, c="0x" + "34" * 16),
                good | {"nonce": good["nonce"] + 1},
                good | {"expiresAfter": good["expiresAfter"] + 60_000},
                {name: value for name, value in good.items() if name != "expiresAfter"},
                # trailing zeros are not what the venue hashes
                ours.body({"type": "order", "orders": [ours.order(p="50000.0")], "grouping": "na"}),
            ]
            for body in spoilt:
                status, said = await ours.post("/exchange", body)
                assert status in (200, 422)
                if status == 200:
                    assert said["status"] == "err"
                    assert "does not exist" in said["response"]
                    assert ADDRESS not in said["response"]
            assert venue.truth("order") == []
            status, said = await ours.post("/exchange", good)
            assert (status, said["status"]) == (200, "ok")
            assert len(venue.truth("order")) == 1

    asyncio.run(run())


def test_a_nonce_is_used_once_and_belongs_to_these_days() -> None:
    async def run() -> None:
        async with desk() as (venue, ours):
            good = ours.body()
            assert (await ours.post("/exchange", good))[1]["status"] == "ok"
            now = ours.client.milliseconds()
            for body in (good, ours.body(nonce=now - 3 * 86_400_000), ours.body(nonce=now + 2 * 86_400_000)):
                _, said = await ours.post("/exchange", body)
                assert said["status"] == "err"
                assert "nonce" in said["response"]
            _, said = await ours.post("/exchange", ours.body(expires=now - 1))
            assert "expired" in said["response"]
            # without a deadline it is signed otherwise, and good as well
            assert (await ours.post("/exchange", ours.body(expires=None)))[1]["status"] == "ok"
            assert len(venue.truth("order")) == 2

    asyncio.run(run())


BROKEN: list[tuple[str, Callable[[Desk], tuple[str, object]], int]] = [
    ("no JSON", lambda ours: ("/exchange", b"{"), 422),
    ("no object", lambda ours: ("/exchange", []), 422),
    ("a list of levels deep", lambda ours: ("/info", b"[" * 5000), 422),
    ("no question", lambda ours: ("/info", {"type": "secrets"}), 422),
    ("no coin", lambda ours: ("/info", {"type": "l2Book", "coin": "@99"}), 422),
    ("no user", lambda ours: ("/info", {"type": "orderStatus", "user": 5, "oid": CLOID}), 422),
    ("a field nobody knows", lambda ours: ("/exchange", altered(ours.body(), x=1)), 422),
    ("a number as a price", lambda ours: ("/exchange", altered(ours.body(), p=50000)), 422),
    ("no number", lambda ours: ("/exchange", altered(ours.body(), p="1e5")), 422),
    ("fill or kill", lambda ours: ("/exchange", altered(ours.body(), t={"limit": {"tif": "Fok"}})), 422),
    ("a vault", lambda ours: ("/exchange", ours.body() | {"vaultAddress": ADDRESS}), 422),
    ("no signature", lambda ours: ("/exchange", ours.body() | {"signature": {"r": "0x1", "s": "0x1"}}), 422),
    ("a signature of zeros", lambda ours: ("/exchange", ours.body() | {"signature": ZEROS}), 422),
    ("another address", lambda ours: ("/orders", {}), 404),
]  # fmt: skip


def test_what_nobody_can_read_changes_nothing() -> None:
    async def run() -> None:
        async with desk() as (venue, ours):
            for name, made, status in BROKEN:
                path, body = made(ours)
                assert (await ours.post(path, body))[0] == status, name
            assert venue.truth("order") == []
            assert (await ours.post("/exchange", ours.body()))[1]["status"] == "ok"

    asyncio.run(run())


def test_nothing_but_orders_and_cancels_is_ever_signed() -> None:
    """Ccxt approves a builder's fee and a referrer before its first order, unless it believes it did."""

    async def run() -> None:
        async with desk() as (venue, ours):
            said = (await ours.post("/exchange", ours.body({"type": "approveBuilderFee"})))[1]
            assert said == {"status": "err", "response": "Unsupported action: approveBuilderFee"}
            posted: list[Body] = []

            async def noted(request: Body) -> Any:
                posted.append(request["action"])

            async with hyperliquid_client(venue) as fresh:
                fresh.privatePostExchange = noted
                await fresh.load_markets()
                await fresh.initialize_client()
            assert posted == []

    asyncio.run(run())


def test_a_socket_answers_whatever_it_is_sent() -> None:
    async def run() -> None:
        async with (
            desk() as (venue, _),
            aiohttp.ClientSession() as http,
            http.ws_connect(venue.ws + "/ws") as socket,
        ):

            async def asks(message: object) -> Any:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
                return json.loads((await socket.receive(10)).data)

            for broken in ("{", "[]", {"method": "subscribe"}, {"method": "dance", "subscription": {}}):
                assert (await asks(broken))["channel"] == "error"
            for wrong in (
                {"type": "l2Book", "coin": "@99"},
                {"type": "candle", "coin": "@0", "interval": "7m"},
                {"type": "trades"},
                {"type": "orderUpdates"},
            ):
                said = await asks({"method": "subscribe", "subscription": wrong})
                assert said["channel"] == "error"
            trades = {"type": "trades", "coin": "@0"}
            said = await asks({"method": "subscribe", "subscription": trades})
            assert said == {
                "channel": "subscriptionResponse",
                "data": {"method": "subscribe", "subscription": trades},
            }
            said = await asks({"method": "subscribe", "subscription": trades})
            assert "Already subscribed" in said["data"]
            assert await asks({"method": "ping"}) == {"channel": "pong"}
            said = await asks({"method": "unsubscribe", "subscription": trades})
            assert said["channel"] == "subscriptionResponse"

    asyncio.run(run())
