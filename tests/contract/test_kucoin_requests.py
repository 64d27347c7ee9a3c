"""Whatever is sent, the sandbox's KuCoin answers with a code and goes on.

Requests are generated from a fixed seed: each one is a correct request with some of its parts broken.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess, sandbox

pytestmark = pytest.mark.timeout(60)
ROUNDS = 400
NUMBERS = "0 -1 +1 1 0.01 1e9 1e-8 1E400 NaN Infinity 0x10 1,5 1. .5 ٣ １ 0.000000001 60000"
WORDS = """
null [] {} BTC-USDT btc-usdt BTC/USDT NO-PE buy sell BUY true false ä % %zz a&b=c limit market IOC FOK GTC GTT
1min 5min 7min TRADE trade_hf 18446744073709551616
"""
TEXTS = [
    *NUMBERS.split(),
    *WORDS.split(),
    *("", " ", "\x00", "\ud800", "'; DROP TABLE", "9" * 19, "9" * 400, "0." + "0" * 40 + "1", "x" * 41),
]
VALUES: list[Any] = [None, True, 7, -7, 1.5, 10**400, [], {}, [["deep"]], {"a": {"b": []}}]
NAMES = """
symbol symbols side type size price funds clientOid timeInForce postOnly orderId lastId limit startAt endAt
clientTimestamp allowMaxTimeWindow hidden stop
"""
PATHS = """
v1/timestamp v2/symbols v3/currencies v1/market/candles v1/market/histories v1/market/stats
v1/market/orderbook/level2_100 v1/hf/accounts/opened ua/v1/account/mode v3/margin/symbols v1/isolated/symbols
v1/accounts v1/trade-fees v1/user/api-key v1/hf/orders/client-order/x v1/hf/orders/client-order/
v1/hf/orders/active v1/hf/orders/done v1/hf/fills nothing v1/hf/orders/sync/client-order/%2F
"""
ORDER = {
    "symbol": "BTC-USDT", "side": "buy", "type": "limit", "size": "0.01", "price": "50000",
    "clientOid": "one",
}  # fmt: skip


def signed(text: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def sealed(method: str, address: str, body: bytes = b"", late_s: float = 0) -> dict[str, str]:
    stamp = str(int((time.time() - late_s) * 1000))
    return {
        "KC-API-KEY": KEY,
        "KC-API-KEY-VERSION": "2",
        "KC-API-PASSPHRASE": signed(PASSPHRASE.encode()),
        "KC-API-TIMESTAMP": stamp,
        "KC-API-SIGN": signed(f"{stamp}{method}{address}".encode() + body),
    }


async def send(
    session: aiohttp.ClientSession,
    venue: SandboxProcess,
    method: str,
    address: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    address = "/api/" + address
    async with session.request(
        method,
        URL(venue.rest + address, encoded=True),
        data=body or None,
        headers=sealed(method, address, body) if headers is None else headers,
    ) as answer:
        return answer.status, json.loads(await answer.read())


def query_of(params: dict[str, Any]) -> str:
    return "&".join(
        f"{name}={quote(str(value), safe='', errors='surrogatepass')}" for name, value in params.items()
    )


def test_broken_requests_get_a_code() -> None:
    dice = random.Random(11)
    names = NAMES.split()

    async def run() -> None:
        async with sandbox(protocol="kucoin") as venue, aiohttp.ClientSession() as session:
            for _ in range(ROUNDS):
                params: dict[str, Any] = dict(ORDER) if dice.random() < 0.7 else {}
                for _ in range(dice.randrange(4)):
                    params[dice.choice(names)] = dice.choice(TEXTS)
                for _ in range(dice.randrange(2)):
                    params.pop(dice.choice(names), None)
                method, body = dice.choice(["GET", "GET", "DELETE", "POST", "POST"]), b""
                address = dice.choice(PATHS.split())
                if method == "POST":
                    address = dice.choice(["v1/hf/orders", "v1/hf/orders/sync", "v1/bullet-private", address])
                    if dice.random() < 0.6:
                        params[dice.choice(names)] = dice.choice(VALUES)
                    body = json.dumps(params if dice.random() < 0.9 else [params]).encode()
                    if dice.random() < 0.1:
                        body = body[: dice.randrange(len(body))]
                else:
                    address += "?" + query_of(params)
                status, answer = await send(session, venue, method, address, body)
                assert status < 500, (method, address, body)
                if answer["code"] == "200000":
                    assert (status, set(answer)) == (200, {"code", "data"})
                else:
                    assert set(answer) == {"code", "msg"}
                    assert answer["msg"]
            # It still works, and nothing was booked that should not have been.
            rows = (await send(session, venue, "GET", "v1/accounts"))[1]["data"]
            assert {each["currency"] for each in rows} == {"USDT", "BTC", "ETH"}
            assert all(0 <= float(each["holds"]) <= float(each["balance"]) for each in rows)
            assert any(line["order_id"] for line in venue.truth("order"))  # some got through

    asyncio.run(run())


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"symbol": "NO-PE"}, "900001"),
    ({"symbol": None}, "400100"),
    ({"side": "HOLD"}, "400100"),
    ({"type": "guess"}, "400100"),
    ({"timeInForce": "GTT"}, "400100"),
    ({"size": "NaN"}, "400100"),
    ({"size": "0"}, "400100"),
    ({"price": "0"}, "400100"),
    ({"price": None}, "400100"),
    ({"stop": "loss"}, "400200"),
    ({"hidden": True}, "400200"),
    ({"clientOid": None}, "400100"),
    ({"clientOid": "x" * 41}, "400100"),
    ({"clientOid": "with space"}, "400100"),
    ({"size": "0.000001"}, "400100"),
    ({"size": "0.0100001"}, "600100"),
    ({"size": "0.0000000001"}, "600100"),
    ({"size": "99999999999"}, "400100"),
    ({"size": "9000"}, "200004"),
    ({"price": "50000.001"}, "400100"),
    ({"price": "1"}, "400760"),
    ({"price": "600000"}, "400370"),
    ({"allowMaxTimeWindow": 1000}, "400100"),
    ({"allowMaxTimeWindow": 1000, "clientTimestamp": 1}, "400100"),
]
QUERIES = [
    ("v1/hf/orders/done", "400100"),
    ("v1/hf/orders/done?symbol=BTC-USDT&limit=x", "400100"),
    ("v1/hf/orders/done?symbol=BTC-USDT&limit=0", "400100"),
    ("v1/hf/orders/client-order/nobody?symbol=BTC-USDT", "400100"),
    ("v1/hf/orders/client-order/nobody", "400100"),
    ("v1/hf/fills?symbol=NO-PE", "900001"),
    ("v1/trade-fees?symbols=BTC-USDT,NO-PE", "900001"),
    ("v1/trade-fees?symbols=" + ",".join(["BTC-USDT"] * 11), "400100"),
    ("v1/market/candles?symbol=BTC-USDT&type=7min", "400100"),
    ("v1/market/stats?symbol=NO-PE", "900001"),
    ("v1/accounts?type=main", "200000"),
]


def test_codes_of_orders_and_lists() -> None:
    async def run() -> None:
        async with sandbox(protocol="kucoin") as venue, aiohttp.ClientSession() as session:
            for change, code in REFUSED:
                params = {name: value for name, value in (ORDER | change).items() if value is not None}
                answer = (await send(session, venue, "POST", "v1/hf/orders", json.dumps(params).encode()))[1]
                assert answer["code"] == code, (change, answer)
            for address, code in QUERIES:
                assert (await send(session, venue, "GET", address))[1]["code"] == code, address
            assert venue.truth("trade") == []
            assert {line["status"] for line in venue.truth("order")} == {"REJECTED"}

    asyncio.run(run())


def test_codes_of_authentication() -> None:
    address = "/api/v1/accounts"
    good = sealed("GET", address)
    cases: list[tuple[dict[str, str], int, str]] = [
        (good, 200, "200000"),
        (good | {"KC-API-SIGN": "0" * 44}, 401, "400005"),
        (good | {"KC-API-SIGN": "ä"}, 401, "400005"),
        (good | {"KC-API-KEY": "stranger"}, 401, "400003"),
        (good | {"KC-API-PASSPHRASE": PASSPHRASE}, 401, "400004"),
        (good | {"KC-API-PASSPHRASE": signed(b"guess")}, 401, "400004"),
        (good | {"KC-API-KEY-VERSION": "1"}, 401, "400004"),
        (good | {"KC-API-KEY": ""}, 401, "400001"),
        ({}, 401, "400001"),
        (sealed("GET", address, late_s=6), 400, "400002"),
        (sealed("GET", address, late_s=-60), 400, "400002"),
        (good | {"KC-API-TIMESTAMP": "now"}, 400, "400002"),
        (sealed("GET", "/api/v1/hf/fills"), 401, "400005"),
        (sealed("POST", address), 401, "400005"),
    ]

    async def run() -> None:
        async with sandbox(protocol="kucoin") as venue, aiohttp.ClientSession() as session:
            for headers, status, code in cases:
                found = await send(session, venue, "GET", "v1/accounts", headers=headers)
                assert (found[0], found[1]["code"]) == (status, code), (headers, found)
            assert (await send(session, venue, "GET", "nowhere"))[0] == 404
            assert (await send(session, venue, "PUT", "v1/hf/orders"))[0] == 404
            assert (await send(session, venue, "POST", "v1/hf/orders", b"a" * 300_000))[0] == 413
            assert (await send(session, venue, "POST", "v1/bullet-private", headers={}))[1][
                "code"
            ] == "400001"

            for kind, frames in (("public", PUBLIC_FRAMES), ("private", FRAMES)):
                told = (await send(session, venue, "POST", f"v1/bullet-{kind}"))[1]["data"]
                endpoint = told["instanceServers"][0]["endpoint"]
                socket = await session.ws_connect(f"{endpoint}?token={told['token']}")
                assert (await socket.receive_json())["type"] == "welcome"
                for text, expected in frames:
                    await socket.send_str(text)
                    answer = await socket.receive_json()
                    assert (answer["type"], answer["code"]) == ("error", expected), (text[:80], answer)
                await socket.send_bytes(b"\xff\xfe")
                assert (await socket.receive_json())["type"] == "error"
                await socket.send_json({"id": "9", "type": "ping"})
                assert await socket.receive_json() == {"id": "9", "type": "pong"}
                await socket.close()
            stranger = await session.ws_connect(venue.ws + "/endpoint?token=guess")
            assert (await stranger.receive_json())["code"] == 401
            assert (await stranger.receive()).type is aiohttp.WSMsgType.CLOSE
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(venue.ws + "/secret")

    asyncio.run(run())


def subscribing(topic: object) -> str:
    return json.dumps({"type": "subscribe", "topic": topic, "response": True})


FRAMES = [
    *((text, 415) for text in ("", "{", "[]", "1", '"text"', "null", "{}", "[" * 50_000, '{"type":7}')),
    ('{"type":"dance"}', 415),
    ('{"type":"subscribe"}', 404),
    (subscribing({"a": 1}), 404),
    (subscribing(""), 404),
    (subscribing("/market/match:NO-PE"), 404),
    (subscribing("/market/match:BTC-USDT,NO-PE"), 404),
    (subscribing("/market/match:BTC-USDT_1min"), 404),
    (subscribing("/market/candles:BTC-USDT"), 404),
    (subscribing("/market/candles:BTC-USDT_7min"), 404),
    (subscribing("/market/nothing:BTC-USDT"), 404),
    (subscribing("/market/match:" + ",".join(["BTC-USDT"] * 101)), 404),
]
PUBLIC_FRAMES = [*FRAMES, (subscribing("/spotMarket/tradeOrders"), 404)]  # without the token of an account
