"""Which of OKX's answers mean for certain that there is no order, and which that too much was asked."""

from __future__ import annotations

import asyncio

import ccxt
import pytest

from parley.budget import Budget
from parley.errors import ConfigError
from venues.limits import Request
from venues.okx_client import make_client
from venues.okx_limits import OkxLimits
from venues.okx_orders import order_event, verdict
from venues.okx_words import OkxMarket, OkxOrders
from venues.port import Ambiguous, Rejected
from venues.words import Account


def whole(code: int, kind: type[Exception] = ccxt.ExchangeError) -> Exception:
    return kind(f'okx {{"code":"{code}","data":[],"msg":"words"}}')


def row(code: int, kind: type[Exception] = ccxt.InvalidOrder) -> Exception:
    data = f'[{{"clOrdId":"a","ordId":"","sCode":"{code}","sMsg":"words","tag":""}}]'
    return kind(f'okx {{"code":"1","data":{data},"msg":"Operation failed."}}')


@pytest.mark.parametrize("error", [whole(50102), whole(50113), whole(51000), row(51008), row(51020)])
def test_refusal_is_definitive_by_its_code(error: Exception) -> None:
    found = verdict(error)
    assert isinstance(found, Rejected)
    assert str(error).count(found.code.removeprefix("venue:")) == 1


# ccxt raises the same classes for some of these as for refusals.
@pytest.mark.parametrize("code", [50001, 50004, 50011, 50013, 50026, 50061, 51054, 51149, 1, 987654])
def test_time_out_failure_limit_or_unknown_code_leaves_the_order_in_doubt(code: int) -> None:
    assert isinstance(verdict(whole(code)), Ambiguous)
    assert isinstance(verdict(row(code)), Ambiguous)


@pytest.mark.parametrize(
    "error", [ccxt.RequestTimeout("okx POST"), ValueError("?"), ccxt.InvalidOrder("51008")]
)
def test_what_says_no_code_is_in_doubt(error: Exception) -> None:
    assert isinstance(verdict(error), Ambiguous)


@pytest.mark.parametrize("code", [51011, 51016])
def test_duplicate_says_that_some_send_arrived(code: int) -> None:
    found = verdict(row(code))
    assert isinstance(found, Ambiguous)
    assert found.cause.startswith("duplicate: ")


@pytest.mark.parametrize(
    ("state", "source", "status"),
    [
        ("live", "", "open"),
        ("partially_filled", "", "open"),
        ("filled", "", "closed"),
        ("canceled", "1", "canceled"),
        ("canceled", "0", "canceled"),
        ("canceled", "14", "expired"),
        ("canceled", "31", "expired"),
        ("mmp_canceled", "", "canceled"),
        ("something_new", "", "something_new"),
    ],
)
def test_states_are_read(state: str, source: str, status: str) -> None:
    raw = {"ordId": "7", "state": state, "cancelSource": source, "accFillSz": "0", "avgPx": "", "uTime": "5"}
    found = order_event(b"i", "BTC/USDT", raw)
    assert (found.status, found.cum_qty, found.t) == (status, 0, 5_000_000)


@pytest.mark.parametrize(("state", "ended"), [("filled", True), ("partially_filled", False)])
def test_the_message_of_a_trade_says_that_its_order_ended(state: str, ended: bool) -> None:
    # ccxt keeps one state of an order, the last that came; with what was told twice that is an older one
    words = OkxOrders(None, Account(name="main", venue="okx", symbols=()))
    raw = {"ordId": "7", "state": state, "accFillSz": "2", "avgPx": "5", "uTime": "5"}
    found = words.end(b"i", "BTC/USDT", raw)
    assert (found is not None) == ended
    assert found is None or (found.status, found.cum_qty) == ("closed", 2)


@pytest.mark.parametrize("error", [whole(50011, ccxt.RateLimitExceeded), row(50061), whole(50040)])
@pytest.mark.parametrize("request_kind", [Request.SEND, Request.LOOK_UP])
def test_too_much_closes_the_limits_of_that_request(error: Exception, request_kind: Request) -> None:
    found = OkxLimits().shut(request_kind, error, {}, 0)
    assert found is not None
    assert set(found.limits) == set(OkxLimits().costs(request_kind, ()))
    assert found.for_ns is None
    assert OkxLimits().shut(request_kind, row(51008), {}, 0) is None


def test_every_request_can_be_paid_and_more_can_be_granted() -> None:
    limits = OkxLimits()
    budget = Budget(limits.limits)
    for request in Request:
        assert set(limits.costs(request, limits.limits)) <= set(budget.limits)
    assert {each.most for each in OkxLimits(1000).limits} == {1000}


def test_candles_that_open_at_another_midnight_are_refused() -> None:
    client = make_client("http://127.0.0.1:1", "ws://127.0.0.1:1")
    market = OkxMarket()
    with pytest.raises(ConfigError, match=r"expected at most 4h at OKX, was '1d'"):
        asyncio.run(market.stands(client, ["candle"], ["BTC/USDT"], "1d"))
    assert asyncio.run(market.stands(client, ["candle"], ["BTC/USDT"], "4h")) is False  # nobody is there
    assert asyncio.run(market.stands(client, ["book"], ["BTC/USDT"], "1d")) is False
