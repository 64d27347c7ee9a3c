"""Which of KuCoin's answers mean for certain that there is no order, and which that too much was asked."""

from __future__ import annotations

import ccxt
import pytest

from parley.budget import Budget
from venues.kucoin_client import make_client
from venues.kucoin_limits import KucoinLimits
from venues.kucoin_orders import order_event, told_event, verdict
from venues.limits import Request
from venues.port import NOT_FOUND, Ambiguous, Rejected


def said(code: int, msg: str = "words", kind: type[Exception] = ccxt.ExchangeError) -> Exception:
    return kind(f'kucoin {{"code":"{code}","msg":"{msg}"}}')


@pytest.mark.parametrize(
    "error",
    [
        said(200004, "Balance insufficient!", ccxt.InsufficientFunds),
        said(400002, "Invalid KC-API-TIMESTAMP", ccxt.InvalidNonce),
        said(400100, "Order size below the minimum requirement.", ccxt.InvalidOrder),
        said(600100, "Funds below the minimum requirement."),
        said(900001, "symbol not exists"),
    ],
)
def test_refusal_is_definitive_by_its_code(error: Exception) -> None:
    found = verdict(error)
    assert isinstance(found, Rejected)
    assert str(error).count(found.code.removeprefix("venue:")) == 1


# ccxt raises the same classes for some of these as for refusals.
@pytest.mark.parametrize(
    "code", [200002, 230005, 300000, 400400, 408000, 429000, 500000, 503, 126038, 1, 987654]
)
@pytest.mark.parametrize("kind", [ccxt.ExchangeError, ccxt.BadRequest, ccxt.InvalidOrder, ccxt.OrderNotFound])
def test_time_out_failure_limit_or_unknown_code_leaves_the_order_in_doubt(
    code: int, kind: type[Exception]
) -> None:
    assert isinstance(verdict(said(code, "words", kind)), Ambiguous)


@pytest.mark.parametrize(
    "error", [ccxt.RequestTimeout("kucoin POST"), ValueError("?"), ccxt.InvalidOrder("200004")]
)
def test_what_says_no_code_is_in_doubt(error: Exception) -> None:
    assert isinstance(verdict(error), Ambiguous)


@pytest.mark.parametrize(
    "error",
    [
        said(400100, "validation.createOrder.clientOidDuplicated", ccxt.BadRequest),
        said(400100, "clientOid already exists", ccxt.BadRequest),
        said(400100, "clientOid is duplicated", ccxt.BadRequest),
        said(126044, "clientOid duplicate", ccxt.InvalidOrder),
        said(300018, "clientOid parameter repeated"),
    ],
)
def test_duplicate_says_that_some_send_arrived(error: Exception) -> None:
    found = verdict(error)
    assert isinstance(found, Ambiguous)
    assert found.cause.startswith("duplicate: ")


@pytest.mark.parametrize(
    "msg", ["order_not_exist_or_not_allow_to_cancel", "order not exist.", "The order does not exist."]
)
def test_a_cancel_of_what_is_not_open_is_known_by_the_words(msg: str) -> None:
    found = verdict(said(400100, msg, ccxt.OrderNotFound))
    assert isinstance(found, Rejected)
    assert found.code == NOT_FOUND


@pytest.mark.parametrize(
    ("active", "size", "deal", "status"),
    [
        (True, "2", "0", "open"),
        (True, "2", "1", "open"),
        (False, "2", "2", "closed"),
        (False, "2", "1", "canceled"),
        (False, "2", "0", "canceled"),
    ],
)
def test_states_of_the_lists_are_read(active: bool, size: str, deal: str, status: str) -> None:
    raw = {
        "id": "7", "active": active, "size": size, "dealSize": deal, "dealFunds": str(float(deal) * 3),
        "lastUpdatedAt": 5,
    }  # fmt: skip
    found = order_event(b"i", "BTC/USDT", raw)
    assert (found.status, str(found.cum_qty), found.t) == (status, deal, 5_000_000)
    assert found.avg_px == (3 if deal != "0" else 0)


@pytest.mark.parametrize(
    ("kind", "state", "status"),
    [
        ("open", "open", "open"),
        ("match", "match", "open"),
        ("update", "open", "open"),
        ("update", "done", "canceled"),
        ("filled", "done", "closed"),
        ("canceled", "done", "canceled"),
        ("something_new", "open", "something_new"),
    ],
)
def test_states_of_the_stream_are_read(kind: str, state: str, status: str) -> None:
    raw = {"orderId": "7", "type": kind, "status": state, "filledSize": "2", "ts": 5_000_000}
    rows = [{"price": "3", "size": "0.5"}, {"price": "5", "size": "1.5"}]
    found = told_event(b"i", "BTC/USDT", raw, rows)
    assert (found.status, found.cum_qty, found.avg_px, found.t) == (status, 2, 4.5, 5_000_000)
    assert told_event(b"i", "BTC/USDT", raw, rows[:1]).avg_px == 0  # half of it is no average


@pytest.mark.parametrize("request_kind", [Request.SEND, Request.LOOK_UP, Request.BALANCES])
@pytest.mark.parametrize(
    ("headers", "for_ns"),
    [
        ({}, None),
        ({"gw-ratelimit-remaining": "7", "gw-ratelimit-reset": "900"}, None),  # of another answer
        ({"gw-ratelimit-remaining": "0", "gw-ratelimit-reset": "1489"}, 1_489_000_000),
        ({"gw-ratelimit-remaining": "0", "gw-ratelimit-reset": "99999999"}, 60_000_000_000),
    ],
)
def test_too_much_closes_the_pool_of_that_request(
    request_kind: Request, headers: dict[str, str], for_ns: int | None
) -> None:
    limits = KucoinLimits()
    found = limits.shut(request_kind, said(429000, kind=ccxt.RateLimitExceeded), headers, 0)
    assert found is not None
    assert set(found.limits) == set(limits.costs(request_kind, ()))
    assert found.for_ns == for_ns
    assert limits.shut(request_kind, said(200004), headers, 0) is None


def test_an_address_that_is_blocked_before_the_venue_stays_away_from_everything() -> None:
    error = ccxt.ExchangeNotAvailable("kucoin GET https://api.kucoin.com/x 429 Too Many Requests error 1015")
    found = KucoinLimits().shut(Request.SEND, error, {}, 0)
    assert found is not None
    assert (found.limits, found.for_ns, found.at_least_ns) == ((), None, 30_000_000_000)


@pytest.mark.parametrize(
    ("request_kind", "pool"),
    [(Request.SEND, "spot"), (Request.CANCEL, "spot"), (Request.BALANCES, "management")],
)
def test_each_answer_says_how_large_its_pool_is_and_what_is_left(request_kind: Request, pool: str) -> None:
    told = {"gw-ratelimit-limit": "16000", "gw-ratelimit-remaining": "15990", "gw-ratelimit-reset": "12"}
    assert list(KucoinLimits().heard(request_kind, told)) == [(pool, 16000, 10)]
    assert list(KucoinLimits().heard(request_kind, {"gw-ratelimit-limit": "16000"})) == []
    assert list(KucoinLimits().heard(Request.TIME, told)) == []


def test_every_request_can_be_paid_and_more_can_be_granted() -> None:
    limits = KucoinLimits()
    budget = Budget(limits.limits)
    for request in Request:
        assert set(limits.costs(request, limits.limits)) <= set(budget.limits)
    assert {each.most for each in KucoinLimits(1000).limits} == {1000}


def test_no_address_of_the_real_exchange_is_left() -> None:
    client = make_client("http://127.0.0.1:1", "ws://127.0.0.1:1")
    assert "kucoin.com" not in str(client.urls["api"])
    assert client.urls["api"]["private"] == "http://127.0.0.1:1"
