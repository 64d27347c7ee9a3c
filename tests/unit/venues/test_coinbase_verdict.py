"""Which of Coinbase's answers mean for certain that there is no order, and which that too much was asked."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from parley.errors import ConfigError
from tests.kit.units import make_intent
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.coinbase_client import coinbase_instrument, make_client
from venues.coinbase_limits import CoinbaseLimits
from venues.coinbase_lists import executions_of
from venues.coinbase_orders import fill, nanos, order_event, told_event, verdict
from venues.coinbase_words import CoinbaseOrders
from venues.limits import Request
from venues.port import NOT_FOUND, Ambiguous, KeyRights, Rejected, VenueError
from venues.words import Account


def refused(*reasons: str, kind: type[Exception] = ccxt.ExchangeError) -> Exception:
    names = ("error", "preview_failure_reason", "new_order_failure_reason")
    told = ",".join(f'"{name}":"{reason}"' for name, reason in zip(names, reasons, strict=False))
    head = '"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":""'
    return kind(f'coinbase {{{head},"error_response":{{{told},"message":"words"}}}}')


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"), "venue:insufficient_fund"),
        (refused("UNKNOWN_FAILURE_REASON", "PREVIEW_INVALID_LIMIT_PRICE"), "venue:invalid_limit_price"),
        (refused("INVALID_LIMIT_PRICE_POST_ONLY"), "venue:invalid_limit_price_post_only"),
        (refused("INSUFFICIENT_FUND", kind=ccxt.InsufficientFunds), "venue:insufficient_fund"),
        (ccxt.AuthenticationError("coinbase POST https://x 401 Unauthorized "), "venue:401"),
        (ccxt.OrderNotFound("no order"), NOT_FOUND),
        (ccxt.ExchangeError('order 1: {"cancel_failure_reason":"UNKNOWN_CANCEL_ORDER"}'), NOT_FOUND),
        (ccxt.ExchangeError('order 1: {"cancel_failure_reason":"ORDER_IS_FULLY_FILLED"}'), NOT_FOUND),
    ],
)
def test_refusal_is_definitive_by_every_reason_it_gives(error: Exception, code: str) -> None:
    found = verdict(error)
    assert isinstance(found, Rejected)
    assert found.code == code


@pytest.mark.parametrize(
    "error",
    [
        refused("UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON"),
        refused("COMMANDER_REJECTED_NEW_ORDER"),
        refused("A_REASON_OF_TOMORROW"),
        refused("INSUFFICIENT_FUND", "PREVIEW_RISK_PROXY_FAILURE"),
        refused("DUPLICATE_CLIENT_ORDER_ID"),
        ccxt.ExchangeError('coinbase {"error":"INSUFFICIENT_FUND","message":"not of an order"}'),
        ccxt.ExchangeError('coinbase {"error":"INTERNAL","message":"internal server error"}'),
        ccxt.ExchangeError('order 1: {"cancel_failure_reason":"COMMANDER_REJECTED_CANCEL_ORDER"}'),
        ccxt.ExchangeError('order 1: {"cancel_failure_reason":"DUPLICATE_CANCEL_REQUEST"}'),
        ccxt.RateLimitExceeded('coinbase {"errors":[{"id":"rate_limit_exceeded"}]}'),
        ccxt.RequestTimeout("coinbase POST https://x"),
        ccxt.AuthenticationError("coinbase something else"),
        RuntimeError("anything"),
    ],
)
def test_whatever_else_is_said_leaves_the_order_in_doubt(error: Exception) -> None:
    assert isinstance(verdict(error), Ambiguous)


def test_a_second_order_of_an_id_is_told_as_one() -> None:
    found = verdict(refused("DUPLICATE_CLIENT_ORDER_ID"))
    assert isinstance(found, Ambiguous)
    assert found.cause.startswith("duplicate")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("PENDING", "open"), ("QUEUED", "open"), ("OPEN", "open"), ("CANCEL_QUEUED", "open"),
        ("FILLED", "closed"), ("CANCELLED", "canceled"), ("EXPIRED", "expired"), ("FAILED", "rejected"),
        ("SOMETHING", "something"),
    ],
)  # fmt: skip
def test_a_state_is_read_exactly(said: str, status: str) -> None:
    listed = {
        "order_id": "7", "status": said, "filled_size": "0.30", "average_filled_price": "2.5",
        "created_time": "2024-01-01T00:00:00Z", "last_fill_time": "2024-01-01T00:00:01.000000001Z",
    }  # fmt: skip
    told = {
        "order_id": "7", "status": said, "cumulative_quantity": "0.3", "avg_price": "2.50",
        "creation_time": "2024-01-01T00:00:00Z", "last_fill_time": "2024-01-01T00:00:01.000000001Z",
    }  # fmt: skip
    event = order_event(b"i", "BTC/USD", listed)
    assert event == told_event(b"i", "BTC/USD", told)
    assert (event.status, event.cum_qty, event.avg_px) == (status, Decimal("0.3"), Decimal("2.5"))
    assert event.t == 1_704_067_201_000_000_001


@pytest.mark.parametrize("text", ["", "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a time|month must be"):
        nanos(text)


def test_a_fee_is_in_the_currency_of_the_price_on_both_sides() -> None:
    row = {
        "trade_id": "t", "order_id": "7", "side": "BUY", "size": "2", "price": "10", "commission": "0.02",
        "liquidity_indicator": "MAKER", "trade_time": "2024-01-01T00:00:00.5Z",
    }  # fmt: skip
    for side in ("BUY", "SELL"):
        found = fill(b"i", "BTC/USD", row | {"side": side}, "coinbase", "main")
        assert (found.fee, found.fee_asset, found.liquidity) == (Decimal("0.02"), "USD", "maker")


class Listing:
    """Answers to questions for executions, one page after the other."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[Any] = []

    async def v3PrivateGetBrokerageOrdersHistoricalFills(self, query: Any) -> dict[str, Any]:
        self.asked.append(query.get("cursor"))
        return self.pages.pop(0)


def row(number: int, **over: Any) -> dict[str, Any]:
    return {
        "trade_id": str(number),
        "trade_time": f"2024-01-01T00:00:0{number}Z",
        "trade_type": "FILL",
    } | over


def test_executions_are_read_to_the_last_page_or_not_at_all() -> None:
    pages = Listing({"fills": [row(2)], "cursor": "a"}, {"fills": [row(1)], "cursor": ""})
    assert [each["trade_id"] for each in asyncio.run(executions_of(pages, "7"))] == ["1", "2"]
    assert pages.asked == [None, "a"]
    with pytest.raises(VenueError, match="more than 50 pages"):
        asyncio.run(executions_of(Listing(*[{"fills": [], "cursor": "a"}] * 60), "7"))


@pytest.mark.parametrize("over", [{"trade_type": "REVERSAL"}, {"size_in_quote": True}])
def test_an_execution_of_another_kind_is_not_read_as_a_trade(over: dict[str, Any]) -> None:
    with pytest.raises(VenueError, match="expected trades in the base asset"):
        asyncio.run(executions_of(Listing({"fills": [row(1, **over)], "cursor": ""}), "7"))


def test_a_product_that_is_another_name_of_one_is_not_traded() -> None:
    market = {"symbol": "BTC/USDC", "info": {"alias": "BTC-USD"}}
    with pytest.raises(ConfigError, match="BTC/USDC', which is another name of 'BTC-USD'"):
        coinbase_instrument(market, "coinbase", Decimal(0), Decimal(0))


def words(**over: Any) -> CoinbaseOrders:
    client = make_client("http://127.0.0.1:1", "ws://127.0.0.1:1", **over)
    return CoinbaseOrders(client, Account(name="main", venue="coinbase", symbols=("BTC/USD",)))


def test_a_key_that_signs_another_way_is_refused() -> None:
    with pytest.raises(VenueError, match="expected a private key of P-256 as PEM text"):
        asyncio.run(words(api_key="k", secret="c2VjcmV0").connect())


@pytest.mark.parametrize(
    ("said", "rights"),
    [
        ({"can_trade": True, "can_transfer": False}, KeyRights(trades=True, withdraws=False)),
        ({"can_trade": False, "can_transfer": True}, KeyRights(trades=False, withdraws=True)),
    ],
)
def test_what_a_key_may_do_is_read_against_it(
    said: dict[str, bool], rights: KeyRights, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(permitted(said, monkeypatch)) == rights


@pytest.mark.parametrize("said", [{}, {"can_trade": True}, {"can_trade": "yes", "can_transfer": False}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(
    said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((KeyError, TypeError)):
        asyncio.run(permitted(said, monkeypatch))


async def permitted(said: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> KeyRights:
    speaking = words()

    async def answer() -> dict[str, Any]:
        return said

    monkeypatch.setattr(speaking._client.inner, "v3PrivateGetBrokerageKeyPermissions", answer, raising=False)
    return await speaking.key_rights()


@pytest.mark.parametrize(
    "error",
    [
        ccxt.RateLimitExceeded('coinbase {"errors":[{"id":"rate_limit_exceeded","message":"x"}]}'),
        ccxt.RateLimitExceeded("coinbase GET https://x 429 Too Many Requests "),
    ],
)
def test_too_much_shuts_everything_for_a_while(error: Exception) -> None:
    limits = CoinbaseLimits()
    shut = limits.shut(Request.SEND, error, {"retry-after": "7"}, 0)
    assert shut is not None
    assert (shut.limits, shut.for_ns) == ((), 7_000_000_000)
    assert limits.shut(Request.SEND, refused("INSUFFICIENT_FUND"), {}, 0) is None
    allowed = {each.name: each.most for each in limits.limits}
    assert allowed["private"] < 30  # the rest is for executions that the stream tells of
    assert all(cost <= allowed[name] for kind in Request for name, cost in limits.costs(kind, ()).items())


def test_the_row_allows_opening_and_names_the_fence() -> None:
    found = CAPABILITIES["coinbase"]
    assert (found.fence, found.cancel_by_cid) == ("exp", False)
    assert "how exactly it reads a token's expiry" in lacks_for_opening(found)
    assert make_intent(1).cid  # ids of ours fit
