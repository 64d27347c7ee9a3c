"""Broken requests and sockets at an exchange that speaks Kraken: each gets the venue's own error.

Not here: what good ones do (`test_adapter_on_venues`, `test_gateway_on_venues`, `test_hub_on_venues`).
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt
import ccxt.pro
import pytest

from tests.kit.kraken import ACCOUNTS, kraken_client
from tests.kit.sandbox import SandboxProcess, sandbox

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
Ask = Callable[[Any, dict[str, str]], Awaitable[Any]]


@asynccontextmanager
async def client(**config: Any) -> AsyncIterator[tuple[SandboxProcess, ccxt.pro.kraken]]:
    exchange_runs = sandbox(protocol="kraken", accounts=ACCOUNTS, **config)
    async with exchange_runs as venue, kraken_client(venue) as exchange:
        await exchange.load_markets()
        yield venue, exchange


def test_a_broken_order_gets_the_venues_error_and_leaves_no_order() -> None:
    good = {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": "0.1", "price": "40000"}

    async def run() -> None:
        async with client() as (venue, exchange):
            now = exchange.milliseconds()
            broken = [
                (good | {"pair": "NONE"}, "EQuery:Unknown asset pair"),
                (good | {"type": "hold"}, "EGeneral:Invalid arguments:type"),
                (good | {"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
                (good | {"price": "1e5"}, "EGeneral:Invalid arguments:price"),
                (good | {"leverage": "5"}, "EGeneral:Invalid arguments:leverage"),
                (good | {"oflags": "viqc"}, "EGeneral:Invalid arguments:oflags"),
                (good | {"timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
                (good | {"cl_ord_id": "x" * 19}, "EGeneral:Invalid arguments:cl_ord_id"),
                (good | {"deadline": "soon"}, "EGeneral:Invalid arguments:deadline"),
                # at least two seconds ahead, at most sixty
                (good | {"deadline": exchange.iso8601(now + 1000)}, "EGeneral:Invalid arguments:deadline"),
                (good | {"deadline": exchange.iso8601(now + 90_000)}, "EGeneral:Invalid arguments:deadline"),
                (good | {"deadline": exchange.iso8601(now - 1000)}, "EService:Deadline elapsed"),
            ]
            for request, error in broken:
                with pytest.raises(ccxt.BaseError) as refused:
                    await exchange.privatePostAddOrder(request)
                assert json.loads(str(refused.value).removeprefix("kraken "))["error"] == [error]
            assert venue.truth("order") == [
                line for line in venue.truth("order") if line["status"] == "REJECTED"
            ]
            placed = await exchange.privatePostAddOrder(good | {"deadline": exchange.iso8601(now + 20_000)})
            assert len(placed["result"]["txid"]) == 1

    asyncio.run(run())


def test_only_who_signs_with_a_growing_number_is_answered() -> None:
    async def run() -> None:
        async with client() as (venue, exchange):
            await exchange.privatePostBalance()
            exchange.options["lastNonce"] -= 1_000_000
            exchange.nonce = lambda: exchange.options["lastNonce"] + 1
            with pytest.raises(ccxt.InvalidNonce, match="EAPI:Invalid nonce"):
                await exchange.privatePostBalance()
            async with kraken_client(venue, key="nobody") as stranger:
                with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
                    await stranger.privatePostBalance()
            async with kraken_client(venue, secret="d3Jvbmc=") as liar:
                with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
                    await liar.privatePostBalance()
            with pytest.raises(ccxt.ExchangeError, match="EGeneral:Unknown method"):
                await exchange.privatePostLedgers()

    asyncio.run(run())


async def say(socket: aiohttp.ClientWebSocketResponse, message: object) -> dict[str, Any]:
    """Send a message and return the next one that is no status and no data."""
    await socket.send_str(message if isinstance(message, str) else json.dumps(message))
    while True:
        found: dict[str, Any] = json.loads((await socket.receive()).data)
        if "channel" not in found:
            return found


def test_sockets_answer_what_is_wrong_and_a_book_carries_its_checksum() -> None:
    async def run() -> None:
        async with client() as (venue, _), aiohttp.ClientSession() as session:
            params = {"channel": "book", "symbol": ["A/B"]}
            nowhere = {"method": "subscribe", "params": params, "req_id": 9}
            async with session.ws_connect(f"{venue.ws}/v2") as public:
                for message, error in [
                    ("no json", "Malformed request"),
                    ({"method": "sing"}, "Event(s) not found"),
                    ({"method": "subscribe", "params": {"channel": "book"}}, "Pair field must be an array"),
                    (nowhere, "Currency pair not supported A/B"),
                ]:
                    answer = await say(public, message)
                    assert (answer["error"], answer["success"]) == (error, False)
                assert answer["req_id"] == 9
                assert (await say(public, {"method": "ping", "req_id": 3}))["method"] == "pong"
                book = {"channel": "book", "symbol": [BTC]}
                assert (await say(public, {"method": "subscribe", "params": book}))["success"] is True
                text = (await public.receive()).data
                levels = json.loads(text, parse_float=str, parse_int=str)["data"][0]
                assert json.loads(text)["type"] == "snapshot"
                # the pair has two decimals of price and five of quantity; leading zeros do not count
                parts = [
                    digits(each["price"], 2) + digits(each["qty"], 5)
                    for side in ("asks", "bids")
                    for each in levels[side][:10]
                ]
                assert int(levels["checksum"]) == zlib.crc32("".join(parts).encode())
            async with session.ws_connect(f"{venue.ws}/auth/v2") as private:
                mine = {"channel": "executions", "token": "made up"}
                answer = await say(private, {"method": "subscribe", "params": mine})
                assert answer["error"] == "ESession:Invalid session"

    asyncio.run(run())


def digits(number: str, places: int) -> str:
    whole, _, part = number.partition(".")
    return (whole + part.ljust(places, "0")).lstrip("0")
