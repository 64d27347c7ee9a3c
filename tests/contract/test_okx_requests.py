"""Whatever is sent, the sandbox's OKX answers with a code and goes on.

Requests are generated from a fixed seed: each one is a correct request with some of its parts broken.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess, sandbox

ROUNDS = 500
NUMBERS = "0 -1 +1 1 0.01 1e9 1e-8 1E400 NaN Infinity -Infinity 0x10 1,5 1. .5 ٣ １ 0.000000001 60000"
WORDS = """
null [] {} BTC-USDT btc-usdt BTC/USDT NO-PE buy sell BUY true ä % %zz a&b=c limit market post_only fok ioc
trigger SPOT MARGIN SWAP OPTION spot cash cross 1m 1H 1Dutc 6H base_ccy quote_ccy 18446744073709551616
"""
TEXTS = [
    *NUMBERS.split(),
    *WORDS.split(),
    *("", " ", "\x00", "\ud800", "'; DROP TABLE", "9" * 19, "9" * 400, "0." + "0" * 40 + "1", "x" * 33),
]
VALUES: list[Any] = [None, True, 7, -7, 1.5, 10**400, [], {}, [["deep"]], {"a": {"b": []}}]
NAMES = """
instType instId tdMode side ordType sz px clOrdId ordId limit after before begin end bar tgtCcy ccy tag
attachAlgoOrds reduceOnly algoId algoClOrdId slTriggerPx slOrdPx slTriggerPxType state
"""
GET_PATHS = """
public/time public/instruments market/candles market/history-candles market/trades market/ticker
market/tickers market/books trade/order trade/orders-pending trade/orders-history trade/fills
trade/fills-history trade/order-algo trade/orders-algo-pending trade/orders-algo-history account/balance
account/config account/trade-fee asset/currencies nothing
"""
POST_PATHS = """
trade/order trade/order trade/batch-orders trade/cancel-order trade/cancel-batch-orders trade/order-algo
trade/order-algo trade/cancel-algos trade/orders-history nothing
"""
STOP = {"ordType": "conditional", "slTriggerPx": "45000", "slOrdPx": "44000", "side": "sell"}
ORDER = {
    "instId": "BTC-USDT",
    "tdMode": "cash",
    "side": "buy",
    "ordType": "limit",
    "sz": "0.01",
    "px": "50000",
}


def stamped(seconds: float = 0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sealed(method: str, address: str, body: bytes = b"", **over: str) -> dict[str, str]:
    stamp = over.get("stamp", stamped())
    signed = hmac.new(SECRET.encode(), f"{stamp}{method}{address}".encode() + body, hashlib.sha256)
    return {
        "OK-ACCESS-KEY": KEY,
        "OK-ACCESS-PASSPHRASE": PASSPHRASE,
        "OK-ACCESS-TIMESTAMP": stamp,
        "OK-ACCESS-SIGN": base64.b64encode(signed.digest()).decode(),
    }


async def send(
    session: aiohttp.ClientSession,
    venue: SandboxProcess,
    method: str,
    address: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    address = "/api/v5/" + address
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
        async with sandbox(protocol="okx") as venue, aiohttp.ClientSession() as session:
            for _ in range(ROUNDS):
                params: dict[str, Any] = dict(ORDER) if dice.random() < 0.7 else {}
                params |= STOP if dice.random() < 0.3 else {}
                for _ in range(dice.randrange(4)):
                    params[dice.choice(names)] = dice.choice(TEXTS)
                for _ in range(dice.randrange(2)):
                    params.pop(dice.choice(names), None)
                method, paths = dice.choice([("GET", GET_PATHS), ("POST", POST_PATHS)])
                address, body = dice.choice(paths.split()), b""
                if method == "GET":
                    address += "?" + query_of(params)
                else:
                    if dice.random() < 0.8:
                        params[dice.choice(names)] = dice.choice(VALUES)
                    body = json.dumps(
                        [params] * dice.randrange(4) if dice.random() < 0.4 else params
                    ).encode()
                    if dice.random() < 0.1:
                        body = body[: dice.randrange(len(body))]
                status, answer = await send(session, venue, method, address, body)
                assert status < 500, (method, address, body)
                assert set(answer) == {"code", "msg", "data"}
                assert isinstance(answer["data"], list)
                assert (answer["code"] == "0") == (answer["msg"] == "")
            # It still works, and nothing was booked that should not have been.
            details = (await send(session, venue, "GET", "account/balance"))[1]["data"][0]["details"]
            assert {each["ccy"] for each in details} == {"USDT", "BTC", "ETH"}
            assert all(0 <= float(each["frozenBal"]) <= float(each["cashBal"]) for each in details)

    asyncio.run(run())


# What an order is refused with; the first ones as a whole request, the others as an order of it.
UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"instId": "NO-PE"}, "51001"),
    ({"instId": None}, "50014"),
    ({"tdMode": None}, "50014"),
    ({"side": "HOLD"}, "51000"),
    ({"ordType": "guess"}, "51000"),
    ({"tgtCcy": "EUR"}, "51000"),
    ({"sz": "NaN"}, "51000"),
    ({"sz": 0.01}, "51000"),
    ({"sz": "0"}, "51000"),
    ({"px": "0"}, "51000"),
    ({"px": None}, "50014"),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tdMode": "cross"}, "51010"),
    ({"attachAlgoOrds": [{"slTriggerPx": "1"}]}, "51010"),
    ({"sz": "0.000001"}, "51020"),
    ({"sz": "0.0100001"}, "51121"),
    ({"sz": "0.0000000001"}, "51121"),
    ({"sz": "99999999999"}, "51005"),
    ({"sz": "9000"}, "51008"),
    ({"px": "50000.001"}, "51000"),
    ({"px": "99999999"}, "51116"),
    ({"px": "1"}, "51138"),
    ({"px": "600000"}, "51137"),
    ({"clOrdId": "with-dash"}, "51000"),
    ({"clOrdId": "x" * 33}, "51000"),
]
QUERIES = [
    ("trade/orders-pending?limit=x", "51000"),
    ("trade/orders-pending?instType=spot", "51000"),
    ("trade/orders-history", "50014"),
    ("trade/order?instId=BTC-USDT", "51003"),
    ("trade/order?instId=BTC-USDT&clOrdId=nobody", "51603"),
    ("account/trade-fee?instType=SPOT&instId=NO-PE", "51001"),
    ("market/candles?instId=BTC-USDT&bar=7m", "51000"),
    ("market/candles?instId=BTC-USDT&bar=1D", "51000"),
    ("market/books?instId=NO-PE", "51001"),
    ("public/instruments", "50014"),
    ("public/instruments?instType=SWAP", "0"),
]


def test_codes_of_orders_and_lists() -> None:
    async def run() -> None:
        async with sandbox(protocol="okx") as venue, aiohttp.ClientSession() as session:

            async def order(change: dict[str, Any]) -> tuple[int, Any]:
                params = {name: value for name, value in (ORDER | change).items() if value is not None}
                return await send(session, venue, "POST", "trade/order", json.dumps(params).encode())

            for change, code in UNREADABLE:
                status, answer = await order(change)
                assert (status, answer["code"]) == (200 if code == "51001" else 400, code), (change, answer)
            for change, code in REFUSED:
                status, answer = await order(change)
                assert (status, answer["code"]) == (200, "1"), (change, answer)
                assert [row["sCode"] for row in answer["data"]] == [code], (change, answer)
            for address, code in QUERIES:
                assert (await send(session, venue, "GET", address))[1]["code"] == code, address
            assert venue.truth("trade") == []
            assert {line["status"] for line in venue.truth("order")} == {"REJECTED"}

            # of a batch each order has its own answer
            batch = [ORDER | {"clOrdId": "good"}, ORDER | {"sz": "9000"}, {}]
            answer = (await send(session, venue, "POST", "trade/batch-orders", json.dumps(batch).encode()))[1]
            assert answer["code"] == "2"
            assert [row["sCode"] for row in answer["data"]] == ["0", "51008", "50014"]

    asyncio.run(run())


def test_codes_of_authentication() -> None:
    address = "/api/v5/account/config"
    good = sealed("GET", address)
    body = json.dumps(ORDER).encode()
    cases: list[tuple[dict[str, str], int, str]] = [
        (good, 200, "0"),
        (good | {"OK-ACCESS-SIGN": "0" * 44}, 401, "50113"),
        (good | {"OK-ACCESS-SIGN": "ä"}, 401, "50113"),
        (good | {"OK-ACCESS-KEY": "stranger"}, 401, "50111"),
        (good | {"OK-ACCESS-PASSPHRASE": "guess"}, 401, "50105"),
        (good | {"OK-ACCESS-KEY": ""}, 401, "50103"),
        (good | {"OK-ACCESS-PASSPHRASE": ""}, 401, "50104"),
        (good | {"OK-ACCESS-SIGN": ""}, 401, "50106"),
        ({}, 401, "50103"),
        (sealed("GET", address, stamp=stamped(-31)), 401, "50102"),
        (sealed("GET", address, stamp=stamped(600)), 401, "50102"),
        (sealed("GET", address, stamp="yesterday"), 401, "50112"),
        (sealed("GET", address, stamp="2026-02-31T00:00:00.000Z"), 401, "50112"),
        (sealed("GET", "/api/v5/account/balance"), 401, "50113"),
        (sealed("POST", address), 401, "50113"),
    ]

    async def run() -> None:
        async with sandbox(protocol="okx") as venue, aiohttp.ClientSession() as session:
            for headers, status, code in cases:
                found = await send(session, venue, "GET", "account/config", headers=headers)
                assert (found[0], found[1]["code"]) == (status, code), (headers, found)
            headers = sealed("POST", "/api/v5/trade/order", body) | {"expTime": "soon"}
            found = await send(session, venue, "POST", "trade/order", body, headers)
            assert (found[0], found[1]["code"]) == (400, "51000")
            assert (await send(session, venue, "GET", "nowhere"))[0] == 404
            assert (await send(session, venue, "DELETE", "trade/order"))[0] == 404
            assert (await send(session, venue, "POST", "trade/order", b"a" * 300_000))[0] == 413

            for path, frames in (
                ("public", PUBLIC_FRAMES),
                ("business", FRAMES),
                ("private", private_frames()),
            ):
                socket = await session.ws_connect(f"{venue.ws}/ws/v5/{path}")
                for text, code in frames:
                    await socket.send_str(text)
                    answer = await socket.receive_json()
                    assert (answer["event"], answer["code"]) == ("error", code), (text[:80], answer)
                    assert answer["msg"]
                await socket.send_bytes(b"\xff\xfe")
                assert (await socket.receive_json())["event"] == "error"
                await socket.send_str("ping")
                assert (await socket.receive()).data == "pong"
                await socket.close()
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(venue.ws + "/ws/v5/secret")

    asyncio.run(run())


def subscribing(**arg: object) -> str:
    return json.dumps({"op": "subscribe", "args": [arg]})


def login(**over: object) -> str:
    arg = {"apiKey": KEY, "passphrase": PASSPHRASE, "timestamp": "9", "sign": "00"} | over
    return json.dumps({"op": "login", "args": [arg]})


FRAMES = [
    *((text, "60012") for text in ("", "{", "[]", "1", '"text"', "null", "{}", "[" * 50_000)),
    ('{"op":7}', "60012"),
    ('{"op":"dance"}', "60012"),
    ('{"op":"subscribe"}', "60012"),
    ('{"op":"subscribe","args":"tickers"}', "60012"),
    ('{"op":"subscribe","args":[]}', "60012"),
]
PUBLIC_FRAMES = [
    *FRAMES,
    ('{"op":"login","args":[]}', "60008"),
    ('{"op":"subscribe","args":[1]}', "60018"),
    (subscribing(channel="tickers", instId="NO-PE"), "60018"),
    (subscribing(channel="tickers"), "60018"),
    (subscribing(channel="candle1m", instId="BTC-USDT"), "60018"),  # it has an address of its own
    (subscribing(channel="books-nope", instId="BTC-USDT"), "60018"),
    (subscribing(channel="orders", instType="SPOT"), "60018"),
    (subscribing(channel={"a": 1}, instId="BTC-USDT"), "60018"),
]


def private_frames() -> list[tuple[str, str]]:
    """Of now: a login that is seconds old has another fault."""
    fresh = str(datetime.now(UTC).timestamp())
    return [
        *FRAMES[:9],
        (subscribing(channel="orders", instType="SPOT"), "60011"),
        ('{"op":"login"}', "60013"),
        ('{"op":"login","args":[1,2]}', "60013"),
        (login(apiKey=1), "60013"),
        (login(timestamp="now"), "60004"),
        (login(), "60006"),
        (login(timestamp=fresh, apiKey="stranger"), "60005"),
        (login(timestamp=fresh, passphrase="guess"), "60024"),
        (login(timestamp=fresh), "60007"),
    ]
