"""Unmodified ccxt.pro classes, each pointed at a sandbox that speaks as its venue: what they see and get.

Not here: what one venue alone has, and its private stream (`test_okx_client` and its like), Binance
(`test_sandbox_client`), broken requests (`test_okx_requests` and its like), our adapters
(`test_adapter_on_venues`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.clients import BTC, as_owner, named, still, truth_of, with_client
from tests.kit.sandbox import SandboxProcess

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Speech:
    """How a venue says what is the same at all of them.

    ``words`` are the fields of an order that say how it ended and how much of it traded, ``ends`` the former
    by what it was sent as: fill or kill, one that only rests, IOC that meets nothing, IOC that meets a part.
    ``market_id`` is what it calls BTC/USDT, ``too_many`` the code for too many requests.
    """

    market_id: str
    words: tuple[str, str, str]
    ends: Mapping[str, tuple[object, object]]
    too_many: str

    async def found(self, exchange: Any, sent: Any, client_order_id: str) -> Any:
        """Ask for an order, as ccxt's class wants to be asked."""
        match exchange.id:
            case "kucoin":
                return await exchange.fetch_order(None, BTC, {"clientOid": client_order_id})
            case "bybit":
                return await exchange.fetch_order(sent["id"], BTC, {"acknowledged": True})
        return await exchange.fetch_order(sent["id"], BTC)


CANCELLED = (False, True)
# All three take a maker order that would trade, and cancel it.
SPEECH = {
    "okx": Speech(
        "BTC-USDT", ("state", "cancelSource", "accFillSz"),
        {
            "FOK": ("canceled", "13"), "PostOnly": ("canceled", "31"), "none": ("canceled", "14"),
            "IOC": ("canceled", "14"),
        },
        "50011",
    ),
    "bybit": Speech(
        "BTCUSDT", ("orderStatus", "rejectReason", "cumExecQty"),
        {
            "FOK": ("Cancelled", "EC_NoImmediateQtyToFill"),
            "PostOnly": ("Cancelled", "EC_PostOnlyWillTakeLiquidity"),
            "none": ("Cancelled", "EC_NoImmediateQtyToFill"),
            "IOC": ("PartiallyFilledCanceled", "EC_NoImmediateQtyToFill"),
        },
        "10006",
    ),
    "kucoin": Speech(
        "BTC-USDT", ("active", "cancelExist", "dealSize"),
        dict.fromkeys(("FOK", "PostOnly", "none", "IOC"), CANCELLED), "429000",
    ),
}  # fmt: skip
LATER = [pytest.param(each, marks=pytest.mark.long if each == "kucoin" else ()) for each in SPEECH]


@pytest.fixture(scope="module")
def shared_by_owners(request: pytest.FixtureRequest) -> Iterator[tuple[str, SandboxProcess]]:
    """An exchange whose market stands still, for several tests, and what it speaks."""
    with still(request.param, "fees", "terms") as venue:
        yield request.param, venue


@pytest.mark.parametrize("at", LATER)
def test_market_data_is_consistent(at: str) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        assert set(exchange.markets) == {"BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC", "LTC/BTC"}
        market = exchange.market(BTC)
        assert (market["id"], market["spot"], market["active"]) == (SPEECH[at].market_id, True, True)
        assert market["precision"] == {"price": 0.01, "amount": 0.00001}
        first = done["t"] - 29 * 60_000
        candles = await exchange.fetch_ohlcv(BTC, "1m", since=first, limit=30)
        assert len(candles) == 30
        assert candles[-1][0] == done["t"]  # the placeholder of the candle that opens now
        assert candles[-1][5] == 0
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        if at != "kucoin":  # where ccxt asks for those before now
            assert await exchange.fetch_ohlcv(BTC, "1m", limit=30) == candles
        longer = await exchange.fetch_ohlcv(BTC, "5m", since=first // 300_000 * 300_000 + 300_000, limit=4)
        assert len(longer) == 4
        for t, opened, high, low, close, volume in longer:
            inside = [c for c in candles if t <= c[0] < t + 300_000]
            assert (opened, close) == (inside[0][1], inside[-1][4])
            assert (high, low) == (max(c[2] for c in inside), min(c[3] for c in inside))
            assert volume == pytest.approx(sum(c[5] for c in inside))
        trades = await exchange.fetch_trades(BTC, limit=60)
        closed = [c for c in candles[:-1] if c[0] >= trades[0]["timestamp"] // 60_000 * 60_000 + 60_000]
        assert len(closed) > 5
        for t, _, high, low, close, volume in closed:
            inside = [x for x in trades if t <= x["timestamp"] < t + 60_000]
            assert sum(x["amount"] for x in inside) == pytest.approx(volume, rel=1e-12)
            assert (max(x["price"] for x in inside), min(x["price"] for x in inside)) == (high, low)
            assert inside[-1]["price"] == close
        ticker = await exchange.fetch_ticker(BTC)
        assert ticker["last"] == candles[-2][4]
        book = await exchange.fetch_order_book(BTC, 100)
        assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
        if at != "kucoin":  # all at once: not of the sandbox's KuCoin
            assert set(await exchange.fetch_tickers()) == set(exchange.markets)
        assert (await exchange.fetch_trading_fee(BTC))["taker"] == 0.001

    with_client(at, scenario)


@pytest.mark.parametrize("shared_by_owners", SPEECH, indirect=True)
def test_market_order_pays_the_book_and_the_fee(shared_by_owners: tuple[str, SandboxProcess]) -> None:
    at, running = shared_by_owners

    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        book = await exchange.fetch_order_book(BTC, 100)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))

        sent = await exchange.create_order(BTC, "market", "buy", amount, params=named("twolevels"))
        order = await SPEECH[at].found(exchange, sent, "twolevels")
        assert (order["id"], order["status"], order["filled"]) == (sent["id"], "closed", amount)
        assert order["clientOrderId"] == "twolevels"
        mine = await exchange.fetch_my_trades(BTC)
        assert [fill["price"] for fill in mine] == [first[0], second[0]]
        assert {(fill["order"], fill["takerOrMaker"]) for fill in mine} == {(order["id"], "taker")}
        assert sum(fill["cost"] for fill in mine) == pytest.approx(order["cost"])
        assert sum(fill["fee"]["cost"] for fill in mine) == pytest.approx(order["fee"]["cost"])
        assert order["fee"]["currency"] == "BTC"
        balance = await exchange.fetch_balance()
        assert balance["BTC"]["free"] == pytest.approx(20 + amount * 0.999, abs=2e-8)
        assert balance["USDT"]["free"] == pytest.approx(10_000_000 - order["cost"], abs=1e-8)
        public = {trade["id"] for trade in await exchange.fetch_trades(BTC)}
        assert {fill["id"] for fill in mine} <= public
        truth = truth_of(venue, "fees", "trade")
        assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in mine]

        if at == "kucoin":
            asked = named("bycost", cost=1000)
            by_cost = await exchange.create_order(BTC, "market", "buy", 1, params=asked)
        else:
            by_cost = await exchange.create_market_buy_order_with_cost(BTC, 1000)
        order = await SPEECH[at].found(exchange, by_cost, "bycost")
        cost = order["cost"]
        if at == "okx":
            cost = float(order["info"]["accFillSz"]) * order["average"]
            # ccxt names an order that nobody named, and says by whom
            assert order["info"]["clOrdId"].startswith(order["info"]["tag"])
            assert order["info"]["tag"] == exchange.options["brokerId"]
        assert 1000 - second[0] * 1e-5 * 2 < cost <= 1000

    as_owner(at, "fees", running, scenario)


@pytest.mark.parametrize("shared_by_owners", SPEECH, indirect=True)
def test_orders_end_by_their_own_terms(shared_by_owners: tuple[str, SandboxProcess]) -> None:
    at, running = shared_by_owners

    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        best = (await exchange.fetch_order_book(BTC, 100))["bids"][0]
        wanted = float(exchange.amount_to_precision(BTC, best[1] * 1.5))
        ended = {}
        for kind, price, params in (
            ("FOK", best[0], {"timeInForce": "FOK"}),
            ("PostOnly", best[0], {"postOnly": True}),
            ("none", best[0] * 1.01, {"timeInForce": "IOC"}),
            ("IOC", best[0], {"timeInForce": "IOC"}),
        ):
            sent = await exchange.create_order(BTC, "limit", "sell", wanted, price, named(kind, **params))
            info = (await SPEECH[at].found(exchange, sent, kind))["info"]
            how, why, traded = (info[word] for word in SPEECH[at].words)
            ended[kind] = (how, why, float(traded))

        assert ended == {
            kind: (*end, best[1] if kind == "IOC" else 0) for kind, end in SPEECH[at].ends.items()
        }
        assert await exchange.fetch_open_orders(BTC) == []
        assert (await exchange.fetch_balance())["used"]["BTC"] == 0

    as_owner(at, "terms", running, scenario)


@pytest.mark.parametrize("at", LATER)
def test_rate_limits_are_enforced(at: str) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        async def too_many() -> None:
            for n in range(10):
                await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"n{n}"))

        with pytest.raises(ccxt.RateLimitExceeded, match=SPEECH[at].too_many):
            await too_many()
        accepted = {line["client_order_id"] for line in venue.truth("order")}
        assert {"n0", "n1", "n2"} <= accepted < {f"n{n}" for n in range(10)}

    with_client(at, scenario, order_limit=3)


@pytest.mark.parametrize("at", SPEECH)
def test_ccxt_is_the_installed_class(at: str) -> None:
    assert getattr(ccxt.pro, at).__module__ == f"ccxt.pro.{at}"
