"""What venues say of their limits is read, believed, and ends in a wait; nobody comes back too early."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ccxt
import pytest

from parley.budget import Limit, Rank
from tests.kit.virtual_time import VirtualLoop, run
from venues.binance_limits import BinanceLimits
from venues.bybit_limits import BybitLimits
from venues.limits import Headers, NoLimits, Request, Shut, VenueLimits
from venues.meter import Meter, words
from venues.okx_limits import OkxLimits

S = 1_000_000_000
NOW_MS = 1_700_000_000_000
TEAPOT = ccxt.DDoSProtection(
    f'binance 418 I\'m a teapot {{"code":-1003,"msg":"Way too much request weight used; IP banned until '
    f'{NOW_MS + 90_000}. Please use WebSocket Streams for live updates to avoid bans."}}'
)
TOO_MANY = ccxt.DDoSProtection(
    'binance 429 Too Many Requests {"code":-1015,"msg":"Too many new orders; ..."}'
)


class Clock:
    """Monotonic ns that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1000 * S

    def __call__(self) -> int:
        return self.now


def meter(limits: VenueLimits, chance: float = 0.0) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter(limits, clock, lambda: chance), clock


def passes(asked: Meter, request: Request, rank: Rank | None = None) -> int:
    """How many requests may be made at once."""
    return next(n for n in range(10_000) if asked.take(request, rank) is not None)


# ---------------------------------------------------------------------- what is announced and counted


@pytest.mark.parametrize(
    ("request_", "rank", "count"),
    [
        (Request.SEND, None, 80),  # 100 orders in 10 s
        (Request.SEND, Rank.REDUCE, 90),
        (Request.CANCEL, None, 6000),
        (Request.LOOK_UP, None, 72),  # each weighs 50 of 6000, of which it may take 60 %
        (Request.TIME, None, 4800),
        (Request.BALANCES, None, 180),
    ],
)
def test_binance_gives_what_its_documentation_says(request_: Request, rank: Rank | None, count: int) -> None:
    asked, _ = meter(BinanceLimits())
    assert passes(asked, request_, rank) == count


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        (Request.SEND, 16),
        (Request.CANCEL, 20),
        (Request.LOOK_UP, 15),
        (Request.TIME, 480),
        (Request.BALANCES, 30),
    ],
)
def test_bybit_gives_what_its_documentation_says(request_: Request, count: int) -> None:
    asked, _ = meter(BybitLimits())
    assert passes(asked, request_) == count


def test_limits_that_were_granted_are_wide() -> None:
    for limits in (BinanceLimits(1_000_000), BybitLimits(1_000_000)):
        asked, _ = meter(limits)
        assert all(
            asked.take(request) is None for _ in range(1000) for request in (Request.SEND, Request.CANCEL)
        )


def test_limits_that_binance_announces_count_instead() -> None:
    class Client:
        def market_id(self, symbol: str) -> str:
            return symbol.replace("/", "")

        async def publicGetExchangeInfo(self, query: dict[str, str]) -> dict[str, Any]:
            assert query == {"symbol": "BTCUSDT"}
            rows = [
                ("REQUEST_WEIGHT", "MINUTE", 1, 1200),
                ("ORDERS", "SECOND", 10, 50),
                ("ORDERS", "DAY", 1, 160_000),
                ("RAW_REQUESTS", "MINUTE", 5, 6100),
                ("CONNECTIONS", "MINUTE", 5, 300),
            ]
            keys = ("rateLimitType", "interval", "intervalNum", "limit")
            return {"rateLimits": [dict(zip(keys, row, strict=True)) for row in rows]}

    limits = BinanceLimits()
    asked, _ = meter(limits)
    asked.adopt(asyncio.run(limits.announced(Client(), ["BTC/USDT"])))
    assert passes(asked, Request.SEND) == 40
    assert passes(asked, Request.CANCEL) == 1200 - 40


def test_limit_too_small_for_a_look_up_is_refused() -> None:
    asked, _ = meter(BinanceLimits())
    with pytest.raises(ValueError, match="REQUEST_WEIGHT 1M: expected room for 50"):
        asked.adopt((Limit("REQUEST_WEIGHT 1M", 80, 60 * S),))


def test_headers_correct_the_count_upward() -> None:
    asked, _ = meter(BinanceLimits())
    asked.heard(Request.TIME, {"X-MBX-USED-WEIGHT": "5", "x-mbx-used-weight-1m": "5999", "Date": "today"})
    assert passes(asked, Request.CANCEL) == 1
    asked.heard(Request.SEND, {"X-MBX-ORDER-COUNT-10S": "79", "X-MBX-ORDER-COUNT-1D": "many"})
    asked, _ = meter(BinanceLimits())
    asked.heard(Request.SEND, {"X-MBX-ORDER-COUNT-10S": "79", "X-MBX-ORDER-COUNT-1D": "many"})
    assert passes(asked, Request.SEND) == 1
    asked.heard(Request.SEND, None)


def test_bybits_headers_say_how_large_a_limit_is_and_what_is_left() -> None:
    asked, _ = meter(BybitLimits())
    asked.heard(Request.SEND, {"X-Bapi-Limit": "100", "X-Bapi-Limit-Status": "60"})
    assert passes(asked, Request.SEND) == 80 - 40
    asked.heard(Request.CANCEL, {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "-1"})
    asked.heard(Request.CANCEL, {"X-Bapi-Limit": "ten"})
    asked.heard(Request.LOOK_UP, {"X-Bapi-Limit": "1", "X-Bapi-Limit-Status": "0"})
    assert passes(asked, Request.CANCEL) == 20, "what cannot be read changes nothing"


# ---------------------------------------------------------------------- what a refusal says


@pytest.mark.parametrize(
    ("error", "headers", "shut"),
    [
        (TEAPOT, {"retry-after": "80"}, Shut((), 90 * S)),
        (TEAPOT, {"retry-after": "100"}, Shut((), 100 * S)),
        (TEAPOT, {"retry-after": "soon"}, Shut((), 90 * S)),
        (ccxt.RateLimitExceeded("binance GET x 429 y"), {}, Shut((), None)),
        (TOO_MANY, {"retry-after": "7"}, Shut(("ORDERS 10S", "ORDERS 1D"), 7 * S)),
        (ccxt.ExchangeNotAvailable("binance GET x 403 Forbidden"), {}, Shut((), None, 300 * S)),
        (ccxt.ExchangeNotAvailable("binance GET x 503 no"), {"retry-after": "7"}, None),
        (ccxt.InsufficientFunds('binance {"code":-2010,"msg":"IP banned until 1700000000000"}'), {}, None),
        (ccxt.RequestTimeout("binance GET x"), {"retry-after": "7"}, None),
        (ValueError("429"), {}, None),
    ],
)
def test_binance_says_too_much(error: Exception, headers: Headers, shut: Shut | None) -> None:
    assert BinanceLimits().shut(Request.SEND, error, headers, NOW_MS) == shut


VISITS = ccxt.RateLimitExceeded('bybit {"retCode":10006,"retMsg":"Too many visits!"}')
RESET = {"x-bapi-limit-reset-timestamp": str(NOW_MS + 400)}


@pytest.mark.parametrize(
    ("request_", "error", "headers", "shut"),
    [
        (Request.SEND, VISITS, RESET, Shut(("order/create",), S * 2 // 5)),
        (Request.SEND, VISITS, {}, Shut(("order/create",), None)),
        (
            Request.LOOK_UP,
            VISITS,
            {"x-bapi-limit-reset-timestamp": "1"},
            Shut(("order/realtime", "order/history", "execution/list"), None),
        ),
        (Request.TIME, ccxt.RateLimitExceeded('bybit {"retCode":10018}'), {}, Shut((), None, 600 * S)),
        (Request.TIME, ccxt.AuthenticationError('bybit {"retCode":10009}'), {}, Shut((), None, 600 * S)),
        (Request.TIME, ccxt.ExchangeNotAvailable("bybit GET x 403 Forbidden"), {}, Shut((), None, 600 * S)),
        (Request.SEND, ccxt.AuthenticationError('bybit {"retCode":10003}'), {}, None),
        (Request.SEND, ccxt.InvalidOrder('bybit {"retCode":170146}'), RESET, None),
        (Request.SEND, ValueError(" 403 "), {}, None),
    ],
)  # fmt: skip
def test_bybit_says_too_much(
    request_: Request, error: Exception, headers: Headers, shut: Shut | None
) -> None:
    assert BybitLimits().shut(request_, error, headers, NOW_MS) == shut


# ---------------------------------------------------------------------- staying away


def test_banned_asks_for_nothing_until_the_time_the_venue_named() -> None:
    asked, clock = meter(BinanceLimits())
    asked.failed(Request.TIME, ccxt.DDoSProtection("binance 418 x"), {"Retry-After": "120"})
    for request in (Request.SEND, Request.CANCEL, Request.LOOK_UP, Request.TIME, Request.BALANCES):
        lack = asked.lack(request)
        assert lack is not None
        assert (lack.is_closed, lack.wait) == (True, 120 * S)
        assert words(lack)[0] == "venue_rests"
    clock.now += 120 * S - 1
    assert asked.take(Request.CANCEL) is not None
    clock.now += 1
    assert asked.take(Request.CANCEL) is None
    assert asked.take(Request.SEND) is None


def test_too_many_orders_stop_orders_only() -> None:
    asked, clock = meter(BinanceLimits())
    asked.failed(Request.SEND, TOO_MANY, {"Retry-After": "7"})
    assert asked.take(Request.SEND, Rank.REDUCE) is not None
    assert all(asked.take(each) is None for each in (Request.CANCEL, Request.LOOK_UP, Request.TIME))
    clock.now += 7 * S
    assert asked.take(Request.SEND) is None


def test_wait_that_nobody_named_doubles_until_an_answer_comes() -> None:
    asked, clock = meter(BinanceLimits())
    waits = []
    for _ in range(4):
        for _ in range(3):  # what was under way when it was said hears it too, and counts once
            asked.failed(Request.TIME, ccxt.RateLimitExceeded("binance GET x 429 y"), {})
        lack = asked.lack(Request.CANCEL)
        assert lack is not None
        waits.append(lack.wait // S)
        clock.now += lack.wait
    assert waits == [1, 2, 4, 8]
    asked.heard(Request.TIME, {})
    asked.failed(Request.TIME, ccxt.RateLimitExceeded("binance GET x 429 y"), {})
    assert asked.lack(Request.CANCEL) is not None
    assert asked.lack(Request.CANCEL).wait == S  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (
            OkxLimits(),
            ccxt.RateLimitExceeded('okx POST x 429 Too {"code":"50011","msg":"Too Many Requests"}'),
        ),
        (BybitLimits(), ccxt.RateLimitExceeded('bybit {"retCode":10006,"retMsg":"Too many visits!"}')),
    ],
)
def test_answer_about_something_else_ends_no_doubling(limits: VenueLimits, error: Exception) -> None:
    asked, clock = meter(limits)
    waits = []
    for _ in range(3):
        asked.failed(Request.SEND, error, {})
        lack = asked.lack(Request.SEND)
        assert lack is not None
        waits.append(lack.wait)
        asked.heard(Request.TIME, {})  # the clock is asked for every second, and another limit counts it
        clock.now += lack.wait
    assert waits == [waits[0], 2 * waits[0], 4 * waits[0]]
    asked.heard(Request.SEND, {})
    asked.failed(Request.SEND, error, {})
    assert asked.lack(Request.SEND).wait == waits[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        # as ccxt raises them for an answer without JSON: of a proxy, a firewall, a load balancer
        (OkxLimits(), ccxt.ExchangeNotAvailable("okx GET https://x 429 Too Many Requests <html>")),
        (OkxLimits(), ccxt.ExchangeNotAvailable("okx GET https://x 403 Forbidden <html>")),
        (BybitLimits(), ccxt.RateLimitExceeded("bybit GET https://x 429 Too Many Requests <html>")),
        (BybitLimits(), ccxt.RateLimitExceeded("bybit GET https://x 403 Forbidden <html>")),
    ],
)
def test_too_much_without_a_code_shuts_everything(limits: VenueLimits, error: Exception) -> None:
    asked, _ = meter(limits)
    asked.failed(Request.TIME, error, {"Retry-After": "120"})
    for each in (Request.SEND, Request.CANCEL, Request.LOOK_UP, Request.TIME, Request.BALANCES):
        lack = asked.lack(each)
        assert lack is not None
        assert lack.is_closed
        assert lack.wait == 120 * S


def test_chance_makes_a_wait_longer_and_never_shorter() -> None:
    asked, _ = meter(BinanceLimits(), chance=1.0)
    asked.failed(Request.TIME, ccxt.DDoSProtection("binance 418 x"), {"Retry-After": "10"})
    asked.failed(Request.TIME, ccxt.DDoSProtection("binance 418 x"), {"Retry-After": "1"})
    assert asked.lack(Request.SEND).wait == 11 * S  # type: ignore[union-attr]


def test_turn_waits_as_long_as_it_must_and_no_longer_than_it_may() -> None:
    loop = VirtualLoop()
    asked = Meter(BybitLimits(), loop.clock_ns, lambda: 0.0)
    took: list[float] = []

    async def play() -> None:
        assert passes(asked, Request.CANCEL) == 20
        began = loop.time()
        lack = await asked.turn(Request.CANCEL, until=loop.clock_ns() + S)
        assert lack is not None
        assert loop.time() == began, "who cannot get it in time does not wait for it"
        assert await asked.turn(Request.CANCEL) is None
        took.append(loop.time() - began)
        assert await asked.opens(Request.CANCEL, loop.clock_ns() + 5 * S) is None

    run(play(), loop)
    assert 1.5 <= took[0] <= 1.6, "a window, and what a request may be late"


def test_venue_that_counts_nothing_is_never_refused_anything() -> None:
    asked = Meter(NoLimits())
    asked.failed(Request.SEND, TEAPOT, {})
    assert all(asked.take(Request.SEND) is None for _ in range(1000))


def test_turn_does_not_suspend_while_there_is_room() -> None:
    asked, _ = meter(BinanceLimits())
    step = asked.turn(Request.CANCEL)
    with pytest.raises(StopIteration) as done:
        step.send(None)
    assert done.value.value is None


def test_check_of_a_send_is_cheap() -> None:
    """Thirty times what was measured, so that a busy machine does not fail it (see docs/venues.md)."""
    asked = Meter(BinanceLimits(1_000_000))
    began = time.process_time_ns()
    for _ in range(2000):
        assert asked.take(Request.SEND) is None
    assert (time.process_time_ns() - began) / 2000 < 60_000
