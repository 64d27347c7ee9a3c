"""Whatever is sent, the sandbox's Bybit answers with a return code and goes on.

Requests are generated from a fixed seed: each one is a correct request with some of its parts broken.
"""

from __future__ import annotations

import asyncio
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

from tests.kit.sandbox import KEY, SECRET, SandboxProcess, sandbox

ROUNDS = 600
NUMBERS = "0 -1 +1 1 0.01 1e9 1e-8 1E400 NaN Infinity -Infinity 0x10 1,5 1. .5 ٣ １ 0.000000001 60000"
WORDS = """
null [] {} BTCUSDT btcusdt BTC/USDT NOPE Buy Sell BUY true ä % %zz a&b=c Limit Market GTC IOC FOK PostOnly
spot linear inverse option margin UNIFIED SPOT 1 5 60 D W M 7 baseCoin quoteCoin 18446744073709551616
"""
TEXTS = [
    *NUMBERS.split(),
    *WORDS.split(),
    *("", " ", "\x00", "\ud800", "'; DROP TABLE", "9" * 19, "9" * 400, "0." + "0" * 40 + "1", "x" * 37),
]
VALUES: list[Any] = [None, True, 7, -7, 1.5, 10**400, [], {}, [["deep"]], {"a": {"b": []}}]
NAMES = """
category symbol side orderType timeInForce qty price orderLinkId orderId limit cursor startTime endTime
start end interval openOnly marketUnit accountType coin triggerPrice isLeverage orderFilter
"""
GET_PATHS = """
market/time market/instruments-info market/kline market/recent-trade market/tickers market/orderbook
order/realtime order/history execution/list account/wallet-balance account/info account/fee-rate
user/query-api asset/coin/query-info order/create nothing
"""
POST_PATHS = "order/create order/create order/cancel order/cancel-all order/history nothing"
STOP = {"orderFilter": "tpslOrder", "triggerPrice": "49000"}
ORDER = {
    "category": "spot",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "timeInForce": "GTC",
    "qty": "0.01",
    "price": "50000",
}


def sealed(payload: bytes, **over: str) -> dict[str, str]:
    stamp, window = over.get("stamp", str(time.time_ns() // 1_000_000)), over.get("window", "20000")
    signed = f"{stamp}{KEY}{window}".encode() + payload
    return {
        "X-BAPI-API-KEY": KEY,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(),
    }


async def send(
    session: aiohttp.ClientSession,
    venue: SandboxProcess,
    method: str,
    path: str,
    payload: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    query = "?" + payload.decode() if payload and method == "GET" else ""
    async with session.request(
        method,
        URL(f"{venue.rest}{path}{query}", encoded=True),
        data=None if method == "GET" else payload,
        headers=sealed(payload) if headers is None else headers,
    ) as answer:
        return answer.status, json.loads(await answer.read())


def query_of(params: dict[str, Any]) -> bytes:
    return "&".join(
        f"{name}={quote(str(value), safe='', errors='surrogatepass')}" for name, value in params.items()
    ).encode()


def test_broken_requests_get_a_return_code() -> None:
    dice = random.Random(11)
    names = NAMES.split()

    async def run() -> None:
        async with sandbox(protocol="bybit") as venue, aiohttp.ClientSession() as session:
            for _ in range(ROUNDS):
                params: dict[str, Any] = dict(ORDER) if dice.random() < 0.7 else {}
                params |= STOP if dice.random() < 0.3 else {}
                for _ in range(dice.randrange(4)):
                    params[dice.choice(names)] = dice.choice(TEXTS)
                for _ in range(dice.randrange(2)):
                    params.pop(dice.choice(names), None)
                method, paths = dice.choice([("GET", GET_PATHS), ("POST", POST_PATHS)])
                path = "/v5/" + dice.choice(paths.split())
                if method == "GET":
                    payload = query_of(params)
                else:
                    if dice.random() < 0.8:
                        params[dice.choice(names)] = dice.choice(VALUES)
                    payload = json.dumps(params).encode()
                    if dice.random() < 0.1:
                        payload = payload[: dice.randrange(len(payload))]
                status, answer = await send(session, venue, method, path, payload)
                assert status < 500, (method, path, payload)
                assert set(answer) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
                assert (answer["retCode"] == 0) == (answer["retMsg"] == "OK")
            # It still works, and nothing was booked that should not have been.
            answer = (
                await send(session, venue, "GET", "/v5/account/wallet-balance", b"accountType=UNIFIED")
            )[1]
            coins = answer["result"]["list"][0]["coin"]
            assert {each["coin"] for each in coins} == {"USDT", "BTC", "ETH"}
            assert all(0 <= float(each["locked"]) <= float(each["walletBalance"]) for each in coins)

    asyncio.run(run())


def test_return_codes() -> None:
    orders: list[tuple[dict[str, Any], int]] = [
        ({"category": "margin"}, 181001),
        ({"category": "linear"}, 10001),
        ({"symbol": "NOPE"}, 170121),
        ({"symbol": None}, 170105),
        ({"side": "HOLD"}, 170117),
        ({"orderType": "Guess"}, 170116),
        ({"timeInForce": "GTX"}, 170115),
        ({"qty": "NaN"}, 170130),
        ({"qty": 0.01}, 10001),
        ({"qty": "0"}, 170136),
        ({"qty": "0.000001"}, 170136),
        ({"qty": "0.0100001"}, 170137),
        ({"qty": "0.0000000001"}, 170137),
        ({"qty": "99999999999"}, 170135),
        ({"qty": "9000"}, 170131),
        ({"price": "50000.001"}, 170134),
        ({"price": "0"}, 170133),
        ({"price": "99999999"}, 170132),
        ({"price": "1"}, 170194),
        ({"price": "600000"}, 170193),
        ({"price": None}, 170105),
        ({"price": "50000", "qty": "0.00005"}, 170140),
        ({"orderLinkId": "white space"}, 170130),
        ({"orderLinkId": "x" * 37}, 170130),
        ({"isLeverage": 1}, 170227),
        ({"takeProfit": "70000"}, 170227),
    ]
    lists: list[tuple[str, str, int]] = [
        ("order/realtime", "category=spot&openOnly=9", 10001),
        ("order/realtime", "category=spot&limit=x", 10001),
        ("order/history", "category=spot&cursor=%20", 10001),
        ("order/history", "category=spot&startTime=1&endTime=9999999999", 10001),
        ("order/history", "", 181001),
        ("account/wallet-balance", "accountType=SPOT", 10001),
        ("market/kline", "category=spot&symbol=BTCUSDT&interval=7", 10001),
        ("market/orderbook", "category=spot&symbol=NOPE", 10001),
        ("market/instruments-info", "category=linear", 0),
    ]

    async def run() -> None:
        async with sandbox(protocol="bybit") as venue, aiohttp.ClientSession() as session:
            for change, code in orders:
                params = {name: value for name, value in (ORDER | change).items() if value is not None}
                status, answer = await send(
                    session, venue, "POST", "/v5/order/create", json.dumps(params).encode()
                )
                assert (status, answer["retCode"]) == (200, code), (change, answer)
            for path, query, code in lists:
                answer = (await send(session, venue, "GET", "/v5/" + path, query.encode()))[1]
                assert answer["retCode"] == code, (path, query, answer)
            assert venue.truth("trade") == []
            assert {line["status"] for line in venue.truth("order")} == {"REJECTED"}

    asyncio.run(run())


def test_codes_of_authentication() -> None:
    now = time.time_ns() // 1_000_000
    good = sealed(b"")
    cases: list[tuple[dict[str, str], int, int]] = [
        (good, 200, 0),
        (good | {"X-BAPI-SIGN": "0" * 64}, 200, 10004),
        (good | {"X-BAPI-SIGN": "ä"}, 200, 10004),
        (good | {"X-BAPI-API-KEY": "stranger"}, 200, 10003),
        ({}, 401, 10003),
        (sealed(b"", stamp=str(now - 60_000), window="5000"), 200, 10002),
        (sealed(b"", stamp=str(now + 600_000)), 200, 10002),
        (sealed(b"", stamp="yesterday"), 200, 10001),
        (sealed(b"other=payload"), 200, 10004),
    ]

    async def run() -> None:
        async with sandbox(protocol="bybit") as venue, aiohttp.ClientSession() as session:
            for headers, status, code in cases:
                found = await send(session, venue, "GET", "/v5/account/info", headers=headers)
                assert (found[0], found[1]["retCode"]) == (status, code), (headers, found)
            assert (await send(session, venue, "GET", "/nowhere"))[0] == 404
            assert (await send(session, venue, "DELETE", "/v5/order/create"))[1]["retCode"] == 10017
            assert (await send(session, venue, "POST", "/v5/order/create", b"a" * 300_000))[0] == 413

    asyncio.run(run())


PUBLIC_FRAMES = [
    *("", "{", "[]", "1", '"text"', "null", "{}", "[" * 50_000, '{"req_id":' + "9" * 5000 + "}"),
    '{"op":7}',
    '{"op":"dance"}',
    '{"op":"auth","args":[]}',
    '{"op":"subscribe"}',
    '{"op":"subscribe","args":"tickers.BTCUSDT"}',
    '{"op":"subscribe","args":[1]}',
    '{"op":"subscribe","args":["tickers.NOPE"]}',
    '{"op":"subscribe","args":["kline.7.BTCUSDT"]}',
    '{"op":"subscribe","args":["orderbook.7.BTCUSDT"]}',
    '{"op":"subscribe","args":["order"]}',
    json.dumps({"op": "subscribe", "args": ["tickers.BTCUSDT"] * 11}),
]
PRIVATE_FRAMES = [
    *("", "{", "null", "{}"),
    '{"op":"subscribe","args":["order"]}',
    '{"op":"auth"}',
    '{"op":"auth","args":[1,2,3]}',
    '{"op":"auth","args":["stranger",99999999999999,"00"]}',
    f'{{"op":"auth","args":["{KEY}",99999999999999,"00"]}}',
    f'{{"op":"auth","args":["{KEY}",1,"00"]}}',
    f'{{"op":"auth","args":["{KEY}",{{}},[]]}}',
]


@pytest.mark.parametrize(
    ("path", "frames"), [("/v5/public/spot", PUBLIC_FRAMES), ("/v5/private", PRIVATE_FRAMES)]
)
def test_broken_frames_are_answered(path: str, frames: list[str]) -> None:
    async def run() -> None:
        async with sandbox(protocol="bybit") as venue, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(venue.ws + path)
            for text in frames:
                await socket.send_str(text)
                answer = await socket.receive_json()
                assert answer["success"] is False, (text[:80], answer)
                assert answer["ret_msg"]
            await socket.send_bytes(b"\xff\xfe")
            assert (await socket.receive_json())["success"] is False
            await socket.send_json({"op": "ping", "req_id": "p"})
            pong = await socket.receive_json()
            assert (pong["req_id"], "pong" in (pong["op"], pong.get("ret_msg"))) == ("p", True)
            await socket.close()
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(venue.ws + "/v5/public/linear")

    asyncio.run(run())
