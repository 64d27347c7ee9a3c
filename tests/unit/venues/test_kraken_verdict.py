"""Which of Kraken's answers mean for certain that there is no order, and what ids, clock and books say."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import ccxt
import pytest

from parley.errors import ConfigError
from parley.ids import client_order_id
from venues.kraken_client import make_client
from venues.kraken_ids import same, sent, wire_id
from venues.kraken_limits import KrakenLimits
from venues.kraken_market import KrakenMarket
from venues.kraken_orders import told_event, told_fill, verdict
from venues.kraken_time import SecondsClock
from venues.kraken_turns import Turns
from venues.kraken_words import KrakenOrders
from venues.limits import Request
from venues.port import NOT_FOUND, Ambiguous, Rejected
from venues.words import Account

ACCOUNT = Account(name="main", venue="kraken", symbols=())


def said(*errors: str, kind: type[Exception] = ccxt.ExchangeError) -> Exception:
    words = ",".join(f'"{each}"' for each in errors)
    return kind(f'kraken {{"error":[{words}]}}')


@pytest.mark.parametrize(
    "error",
    ["EOrder:Insufficient funds", "EOrder:Insufficient funds (insufficient user funds)", "EAPI:Invalid nonce",
     "EGeneral:Invalid arguments:volume", "EService:Market in cancel_only mode",
     "EOrder:Cost minimum not met"],
)  # fmt: skip
def test_refusal_is_definitive_by_its_words(error: str) -> None:
    found = verdict(said(error))
    assert isinstance(found, Rejected)
    assert found.code == f"venue:{error}"


@pytest.mark.parametrize(
    "error",
    ["EService:Deadline elapsed", "EService:Unavailable", "EService:Busy", "EGeneral:Internal error",
     "EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EService: Throttled: 1700000000",
     "EGeneral:Temporary lockout", "EOrder:Insufficient fundsX", "ENew:Whatever", ""],
)  # fmt: skip
def test_time_out_failure_limit_or_unknown_words_leave_the_order_in_doubt(error: str) -> None:
    assert isinstance(verdict(said(error)), Ambiguous)
    assert isinstance(verdict(said("EOrder:Insufficient funds", error)), Ambiguous)


@pytest.mark.parametrize(
    "error",
    [ccxt.RequestTimeout("kraken POST"), ValueError("?"), ccxt.InsufficientFunds("EOrder:Insufficient funds"),
     ccxt.ExchangeError('kraken {"error":[1]}'), ccxt.ExchangeError('kraken {"error":["a'), said()],
)  # fmt: skip
def test_what_says_no_error_is_in_doubt(error: Exception) -> None:
    assert isinstance(verdict(error), Ambiguous)


@pytest.mark.parametrize(
    "error", ["EOrder:Duplicate order", "EGeneral:Invalid arguments:cl_ord_id", "EOrder:cl_ord_id in use"]
)
def test_whatever_names_the_id_may_mean_that_some_send_arrived(error: str) -> None:
    found = verdict(said(error))
    assert isinstance(found, Ambiguous)
    assert found.cause.startswith("duplicate: ")


def test_a_cancel_of_what_is_not_open_changed_nothing() -> None:
    found = verdict(said("EOrder:Unknown order", kind=ccxt.OrderNotFound))
    assert isinstance(found, Rejected)
    assert found.code == NOT_FOUND


@pytest.mark.parametrize(
    ("status", "reason", "means"),
    [("pending_new", None, "open"), ("new", None, "open"), ("partially_filled", None, "open"),
     ("filled", None, "closed"), ("canceled", "User requested", "canceled"), ("canceled", None, "canceled"),
     ("canceled", "Post only order", "expired"), ("expired", None, "expired"), ("strange", None, "strange")],
)  # fmt: skip
def test_states_are_read(status: str, reason: str | None, means: str) -> None:
    raw = {"order_id": "O1", "order_status": status, "timestamp": "2024-01-02T03:04:05.678901Z",
           "cum_qty": 0.3, "avg_price": 1e-05, "reason": reason}  # fmt: skip
    event = told_event(b"i", "BTC/USD", raw)
    assert (event.status, event.cum_qty, event.avg_px) == (means, Decimal("0.3"), Decimal("0.00001"))
    assert event.t == 1_704_164_645_678_000_000


@pytest.mark.parametrize(
    ("asset", "means"), [("USD", "USD"), ("ZUSD", "USD"), ("XXBT", "BTC"), ("KFEE", "KFEE")]
)
def test_the_asset_of_a_fee_is_ours_if_it_is_one_of_the_pair(asset: str, means: str) -> None:
    raw = {"order_id": "O1", "trade_id": 7, "side": "buy", "last_qty": 1, "last_price": 2,
           "liquidity_ind": "t", "timestamp": "2024-01-02T03:04:05Z",
           "fees": [{"asset": asset, "qty": 0.01}]}  # fmt: skip
    assert told_fill(b"i", "BTC/USD", raw, "kraken", "main").fee_asset == means
    with pytest.raises(ValueError, match="fees: expected one"):
        told_fill(b"i", "BTC/USD", raw | {"fees": []}, "kraken", "main")


def test_ids_of_ours_go_out_as_32_digits_each_another() -> None:
    cids = [client_order_id(b"k" * 32, "ab2c7", n.to_bytes(16)) for n in range(300)]
    out = [sent(each) for each in cids]
    assert len(set(out)) == 300
    assert {len(each) for each in out} == {32}
    assert all(int(each, 16) >= 0 for each in out)
    dashed = "-".join((out[0][:8], out[0][8:12], out[0][12:16], out[0][16:20], out[0][20:]))
    assert same(dashed.upper()) == out[0]
    assert same("arb-2024-1") == "arb-2024-1"


@pytest.mark.parametrize("cid", ["x" * 19, "x" * 31, "abcde" + "a" * 25 + "b", "", "a_b", "a" * 32])
def test_what_the_venue_would_not_take_is_not_sent(cid: str) -> None:
    assert wire_id(cid) == cid
    # 32 digits are an id there, but none that a cid of at most 31 characters can be
    if cid != "a" * 32:
        with pytest.raises(ValueError, match="expected 1 to 18"):
            sent(cid)


def test_a_clock_of_whole_seconds_is_narrowed_and_never_wrong() -> None:
    rng = random.Random(5)
    for offset in (0.0, 340.5, -2750.0):
        clock, now = SecondsClock(), 1_700_000_000_123.0
        looks = 0
        while looks < 1 or clock.doubt_ms >= 70:
            looks += 1
            now += clock.best_wait_ms(now) if looks > 1 else 0
            trip = rng.uniform(1, 20)
            clock.heard(int((now + rng.uniform(0, trip) + offset) // 1000), now, now + trip)
            assert clock.low <= offset <= clock.high
            now += trip
        assert looks <= 8
        assert abs(clock.worst_ms() - offset) < 70


def test_a_clock_that_was_set_is_believed_anew() -> None:
    clock = SecondsClock()
    clock.heard(1000, 1_000_100.0, 1_000_110.0)
    clock.heard(1005, 1_001_100.0, 1_001_110.0)  # four seconds ahead all at once
    assert (clock.low, clock.high) == (3890.0, 4900.0)


@pytest.mark.parametrize(
    ("error", "limits", "for_ns"),
    [
        ("EAPI:Rate limit exceeded", (), None),
        ("EOrder:Rate limit exceeded", ("matching engine",), None),
        ("EService: Throttled: 1700000003", (), 2_000_000_000),
        ("EService:Throttled", (), None),
        ("EGeneral:Temporary lockout", (), None),
    ],
)
def test_too_much_is_known_by_its_words(error: str, limits: tuple[str, ...], for_ns: int | None) -> None:
    shut = KrakenLimits().shut(Request.SEND, said(error), {}, 1_700_000_001_000)
    assert shut is not None
    assert (shut.limits, shut.for_ns) == (limits, for_ns)
    assert KrakenLimits().shut(Request.SEND, said("EOrder:Insufficient funds"), {}, 0) is None


def test_a_deadline_is_never_nearer_than_the_venue_takes_nor_farther() -> None:
    with pytest.raises(ConfigError, match="recv_window_ms: expected at most 60000 at Kraken, was 60001"):
        KrakenOrders(make_client("", "", recv_window_ms=60_001), ACCOUNT)
    KrakenOrders(make_client("", "", recv_window_ms=60_000), ACCOUNT)


def test_weeks_that_begin_on_a_thursday_are_refused() -> None:
    market = KrakenMarket()
    with pytest.raises(ConfigError, match="timeframe: expected at most 1d at Kraken, was '1w'"):
        asyncio.run(market.stands(make_client("", ""), ["candle"], ["BTC/USD"], "1w"))


def test_books_of_one_millisecond_have_different_numbers_and_later_ones_higher() -> None:
    market = KrakenMarket()
    first = {"timestamp": None, "bids": [[1.0, 2.0]], "asks": [[3.0, 4.0]]}
    second = first | {"timestamp": 5, "bids": [[1.0, 2.5]]}
    third = second | {"asks": [[3.0, 4.5]]}
    fourth = third | {"timestamp": 6}
    found = [market.book_number(each) for each in (first, second, third, fourth)]
    assert len(set(found)) == 4
    assert 0 <= found[0] < min(found[1:3])
    assert found[3] > max(found[1:3])


def test_a_request_that_hangs_holds_up_the_next_for_half_a_second_and_turns_keep_their_order() -> None:
    async def run() -> list[str]:
        turns, order, hangs = Turns(), [], asyncio.Event()

        async def one(name: str, until: asyncio.Event | None) -> None:
            async with turns.turn():
                order.append(name)
                if until is not None:
                    await until.wait()

        tasks = [asyncio.create_task(one("hangs", hangs))]
        tasks += [asyncio.create_task(one(str(n), None)) for n in range(3)]
        async with asyncio.timeout(2):
            await asyncio.gather(*tasks[1:])
        hangs.set()
        await tasks[0]
        return order

    assert asyncio.run(run()) == ["hangs", "0", "1", "2"]


def test_a_request_begins_only_when_the_one_before_was_answered() -> None:
    async def run() -> list[str]:
        turns, seen = Turns(), []

        async def one(name: str, takes_s: float) -> None:
            async with turns.turn():
                seen.append(f"{name} begins")
                await asyncio.sleep(takes_s)
                seen.append(f"{name} ends")

        await asyncio.gather(*(one(str(n), 0.03 - n / 100) for n in range(3)))
        return seen

    assert asyncio.run(run()) == [f"{n} {what}" for n in range(3) for what in ("begins", "ends")]
