"""Whatever is sent, the sandbox answers with the venue's error and goes on.

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
BROKEN_ENDS = ["&&&", "=", "%", "&signature=", "\\"]
NUMBERS = "0 -1 +1 1 0.01 1e9 1e-8 1E400 NaN Infinity -Infinity 0x10 1,5 1. .5 ٣ １ 0.000000001 60000"
WORDS = """
null [] {} ["BTCUSDT"] ["BTCUSDT","NOPE"] BTCUSDT btcusdt BTC/USDT NOPE BUY SELL true ä % %zz a&b=c
LIMIT MARKET STOP_LOSS STOP_LOSS_LIMIT TAKE_PROFIT LIMIT_MAKER GTC IOC FOK GTX FULL ACK RESULT
1m 5m 1M 0m 7s 18446744073709551616
"""
TEXTS = [
    *NUMBERS.split(),
    *WORDS.split(),
    *("", " ", "\x00", "\ud800", "'; DROP TABLE", "9" * 19, "9" * 20, "9" * 400, "0." + "0" * 40 + "1"),
    *("[" * 9999, "x" * 36, "x" * 37),
]
NAMES = """
symbol symbols side type timeInForce quantity quoteOrderQty price stopPrice limit newClientOrderId
origClientOrderId orderId fromId startTime endTime interval newOrderRespType icebergQty recvWindow
timestamp listenKey omitZeroBalances
"""
PATHS = """
exchangeInfo depth klines trades aggTrades avgPrice ticker/24hr ticker/price ticker/bookTicker account
account/commission order order/test openOrders allOrders myTrades historicalTrades userDataStream nothing
"""
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "50000",
}


def encode(params: dict[str, str]) -> str:
    return "&".join(
        f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in params.items()
    )


def signed(params: dict[str, str]) -> str:
    text = encode({"timestamp": str(time.time_ns() // 1_000_000), **params})
    return f"{text}&signature={hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}"


async def send(
    session: aiohttp.ClientSession,
    venue: SandboxProcess,
    method: str,
    path: str,
    query: str = "",
    body: Any = None,
    key: str | None = KEY,
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if key is not None:
        headers["X-MBX-APIKEY"] = key
    url = URL(f"{venue.rest}{path}{'?' + query if query else ''}", encoded=True)
    async with session.request(method, url, data=body, headers=headers) as answer:
        return answer.status, json.loads(await answer.read())


def test_broken_requests_get_the_venues_error() -> None:
    dice = random.Random(11)
    names = NAMES.split()

    async def run() -> None:
        async with sandbox() as venue, aiohttp.ClientSession() as session:
            for _ in range(ROUNDS):
                params = dict(ORDER) if dice.random() < 0.6 else {}
                for _ in range(dice.randrange(4)):
                    params[dice.choice(names)] = dice.choice(TEXTS)
                for _ in range(dice.randrange(2)):
                    params.pop(dice.choice(names), None)
                method = dice.choice(["GET", "POST", "DELETE", "PUT"])
                text = signed(params)
                if dice.random() < 0.1:
                    text = text[: dice.randrange(len(text))] + dice.choice(BROKEN_ENDS)
                query, body = (text, None) if method in ("GET", "DELETE") else ("", text)
                path = "/api/v3/" + dice.choice(PATHS.split())
                status, answer = await send(session, venue, method, path, query, body)
                assert status < 500, (method, text)
                if status >= 400:
                    assert set(answer) == {"code", "msg"}, answer
                    assert answer["code"] < 0
            # It still works, and nothing was booked that should not have been.
            status, balance = await send(session, venue, "GET", "/api/v3/account", signed({}))
            assert status == 200
            assert all(float(one["free"]) >= 0 and float(one["locked"]) >= 0 for one in balance["balances"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "NOPE"}, -1121),
        ({"symbol": "BTC/USDT"}, -1100),
        ({"side": "HOLD"}, -1117),
        ({"type": "GUESS"}, -1116),
        ({"timeInForce": "GTX"}, -1115),
        ({"quantity": "1e3"}, -1100),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "0"}, -1013),
        ({"quantity": "0.000001"}, -1013),
        ({"quantity": "0.000000001"}, -1111),
        ({"price": "50000.001"}, -1013),
        ({"price": "1"}, -1013),
        ({"price": None}, -1102),
        ({"timeInForce": None}, -1102),
        ({"stopPrice": "49000"}, -1106),
        ({"newClientOrderId": "white space"}, -1100),
        ({"recvWindow": "60001"}, -1131),
        ({"timestamp": "1"}, -1021),
        ({"timestamp": "99999999999999"}, -1021),
        ({"timestamp": "yesterday"}, -1100),
        ({"newOrderRespType": "LOUD"}, -1136),
        ({"quantity": "9000"}, -2010),
    ],
)
def test_error_codes_of_orders(shared_venue: Any, change: dict[str, str | None], code: int) -> None:
    params = {name: value for name, value in (ORDER | change).items() if value is not None}
    status, answer = shared_venue("POST", "/api/v3/order", body=signed(params))

    assert (status, answer["code"]) == (400, code)


def test_error_codes_of_authentication(shared_venue: Any) -> None:
    good = signed({})
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")

    assert shared_venue("GET", "/api/v3/account", good)[0] == 200
    assert shared_venue("GET", "/api/v3/account", forged)[1]["code"] == -1022
    assert shared_venue("GET", "/api/v3/account", good.partition("&signature")[0])[1]["code"] == -1102
    assert shared_venue("GET", "/api/v3/account", good, key="stranger") == (
        401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})  # fmt: skip
    assert shared_venue("GET", "/api/v3/account", good, key=None)[1]["code"] == -2014
    assert shared_venue("GET", "/nowhere", key=None) == (
        404, {"code": -1000, "msg": "Path /nowhere is not part of the sandbox."})  # fmt: skip
    assert shared_venue("PUT", "/api/v3/order", body=good)[0] == 405
    assert shared_venue("POST", "/api/v3/order", body="a" * 300_000)[0] == 413
    assert shared_venue("GET", "/api/v3/depth", "symbol=BTCUSDT&symbol=ETHUSDT")[1]["code"] == -1101


@pytest.fixture(scope="module")
def shared_venue() -> Any:
    """One venue for all tests of single answers; a call sends one request."""
    with asyncio.Runner() as runner:
        context = sandbox()
        venue = runner.get_loop().run_until_complete(context.__aenter__())

        async def one(*arguments: Any, **named: Any) -> tuple[int, Any]:
            async with aiohttp.ClientSession() as session:
                return await send(session, venue, *arguments, **named)

        yield lambda *arguments, **named: runner.run(one(*arguments, **named))
        runner.get_loop().run_until_complete(context.__aexit__(None, None, None))


STREAM_FRAMES = [
    *("", "{", "[]", "1", '"text"', "null", "{}", "[" * 50_000, '{"id":' + "9" * 5000 + "}"),
    '{"method":1}',
    '{"method":"SUBSCRIBE"}',
    '{"method":"DANCE","id":1}',
    '{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}',
    '{"method":"SUBSCRIBE","params":[1],"id":1}',
    '{"method":"SUBSCRIBE","params":["nope@trade"],"id":1}',
    '{"method":"SUBSCRIBE","params":["btcusdt@kline_7m"]}',
    '{"method":"SUBSCRIBE","params":["' + "é" * 1000 + '@trade"],"id":1}',
    '{"method":"SET_PROPERTY","params":["combined",7],"id":1}',
    '{"id":{"a":1},"method":"LIST_SUBSCRIPTIONS"}',
]
API_FRAMES = [
    *(
        "",
        "{",
        "[]",
        "null",
        "{}",
        "[" * 50_000,
        '{"id":1}',
        '{"id":1,"method":7}',
        '{"id":1,"method":"dance"}',
    ),
    '{"id":"a","method":"order.place"}',
    '{"id":"a","method":"order.place","params":[]}',
    '{"id":"a","method":"order.place","params":{"apiKey":7,"signature":[]}}',
    '{"id":true,"method":"account.status"}',
    '{"id":"a","method":"userDataStream.subscribe.signature","params":{"apiKey":"' + KEY + '"}}',
    '{"id":"a","method":"klines","params":{"symbol":"BTCUSDT","interval":1e400}}',
    '{"id":"a","method":"userDataStream.unsubscribe","params":{"subscriptionId":-5}}',
    '{"id":"a","method":"depth","params":{"symbol":{"deep":[[[]]]}}}',
]


@pytest.mark.parametrize(
    ("path", "frames", "probe"),
    [
        ("/stream/ws/0", STREAM_FRAMES, {"method": "LIST_SUBSCRIPTIONS", "id": 5}),
        ("/ws-api/v3", API_FRAMES, {"method": "ping", "id": 5}),
    ],
)
def test_broken_frames_get_an_error_object(path: str, frames: list[str], probe: dict[str, Any]) -> None:
    async def run() -> None:
        async with sandbox() as venue, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(venue.ws + path)
            for text in frames:
                await socket.send_str(text)
                answer = await socket.receive_json()
                assert answer["error"]["code"] != 0, (text[:80], answer)
                assert answer["error"]["msg"]
            await socket.send_bytes(b"\xff\xfe")
            assert (await socket.receive_json())["error"]
            await socket.send_json(probe)
            assert (await socket.receive_json())["result"] in ([], {})
            await socket.close()

    asyncio.run(run())


def test_a_socket_elsewhere_is_refused() -> None:
    async def run() -> None:
        async with sandbox() as venue, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(venue.ws + "/elsewhere")

    asyncio.run(run())
