"""Matching and money, over random sequences of orders and prints against the real exchange object."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.effort import examples
from venues.sandbox.accounts import Account
from venues.sandbox.binance.assembly import BINANCE_SPOT
from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import ORDER_TYPES, Instrument
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import PRICED_TYPES, Order, OrderRequest
from venues.sandbox.refusals import Denied
from venues.sandbox.settlement import Settlement
from venues.sandbox.tape import Print
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import MONEY_ONE, ONE

TICK, LOT = ONE // 100, ONE // 1000
AAA = Instrument("AAA", "USDT", TICK, LOT, 0)
PRICE = 100 * ONE
BIG = 1000 * ONE


@dataclass
class Venue:
    """An exchange with two accounts and one symbol whose book stands around 100."""

    exchange: Exchange
    first: Account
    second: Account
    count: int = 0

    @property
    def market(self) -> SymbolMarket:
        return self.exchange.markets["AAAUSDT"]

    def place(self, side: str, kind: str, qty: int, price: int = 0, **more: object) -> Order:
        self.count += 1
        account = more.pop("account", self.first)
        assert isinstance(account, Account)
        request = OrderRequest(
            AAA,
            side,
            kind,
            str(more.pop("force", "GTC")),
            f"c{self.count}",
            qty,
            price=price,
            **more,  # type: ignore[arg-type]
        )
        order = self.exchange.submit(account, request)
        assert order is not None
        return order

    def print(self, price: int, qty: int, buyer_is_maker: bool) -> None:
        self.exchange.play(self.market, [Print(price, qty, buyer_is_maker, self.exchange.clock + 1)], BIG)
        self.exchange.forget_closed()
        self.exchange.settlement.close_group()


@pytest.fixture(scope="module")
def open_venue(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Venue]:
    folder = tmp_path_factory.mktemp("truth")

    def make() -> Venue:
        return build(folder / "truth.jsonl")

    return make


def build(path: Path) -> Venue:
    path.unlink(missing_ok=True)
    truth = TruthLog(path)
    money = {"USDT": 10**6 * MONEY_ONE, "AAA": 10**4 * MONEY_ONE}
    accounts = [Account(name, name, "s", money) for name in ("first", "second")]
    exchange = Exchange(
        [AAA],
        accounts,
        Settlement(truth, ONE // 1000, ONE // 1000),
        truth,
        1,
        10,
        BINANCE_SPOT.rules,
        BINANCE_SPOT.spelled,
    )
    venue = Venue(exchange, accounts[0], accounts[1])
    venue.market.last_price = PRICE
    venue.market.book.refresh(PRICE, BIG, 0)
    venue.market.book.changes()
    return venue


def best(venue: Venue, asks: bool) -> tuple[int, int]:
    level = venue.market.book.best(asks)
    assert level is not None
    return level


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.sampled_from(["first", "second"]),
            st.sampled_from(["BUY", "SELL"]),
            st.sampled_from(ORDER_TYPES),
            st.sampled_from(["GTC", "IOC", "FOK"]),
            st.integers(1, 300_000),
            st.integers(9_900, 10_100),
            st.integers(9_900, 10_100),
        ),
        st.tuples(st.just("print"), st.integers(9_900, 10_100), st.integers(1, 10**6), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("refresh"), st.integers(9_900, 10_100)),
    ),
    min_size=3,
    max_size=40,
)


def act(venue: Venue, action: tuple[object, ...], placed: list[Order]) -> None:
    match action:
        case ("order", name, side, kind, force, lots, ticks, stop):
            priced = kind in PRICED_TYPES
            stopped = str(kind).startswith(("STOP", "TAKE"))
            order = venue.place(
                str(side),
                str(kind),
                int(str(lots)) * LOT,
                int(str(ticks)) * TICK if priced else 0,
                account=getattr(venue, str(name)),
                force=force if kind in PRICED_TYPES - {"LIMIT_MAKER"} else "GTC",
                stop_price=int(str(stop)) * TICK if stopped else 0,
            )
            placed.append(order)
        case ("print", ticks, lots, maker):
            venue.print(int(str(ticks)) * TICK, int(str(lots)) * LOT, bool(maker))
        case ("cancel", which) if placed:
            venue.exchange.cancel(placed[int(str(which)) % len(placed)], "x")
        case ("refresh", ticks):
            venue.market.book.refresh(int(str(ticks)) * TICK, BIG, venue.exchange.clock)


@settings(max_examples=examples(300))
@given(ACTIONS)
def test_money_is_conserved_and_never_negative(
    open_venue: Callable[[], Venue], actions: list[tuple[object, ...]]
) -> None:
    venue = open_venue()
    start = {asset: venue.first.total(asset) + venue.second.total(asset) for asset in ("USDT", "AAA")}
    placed: list[Order] = []
    for action in actions:
        with contextlib.suppress(Denied):  # refused: then nothing may have changed, as the sums show
            act(venue, action, placed)
        settlement = venue.exchange.settlement
        for asset, amount in start.items():
            now = venue.first.total(asset) + venue.second.total(asset)
            assert now + settlement.fees[asset] + settlement.market_flow[asset] == amount
        for account in (venue.first, venue.second):
            mine = [order for order in placed if order.account is account]
            for asset in start:
                assert account.free[asset] >= 0
                assert account.locked[asset] == sum(
                    order.locked for order in mine if order.is_open and order.lock_asset == asset
                )
    for order in placed:
        check_order(order)
    venue.exchange.truth.close()


def check_order(order: Order) -> None:
    assert sum(fill.qty for fill in order.fills) == order.cum_qty <= order.qty
    assert sum(fill.qty * fill.price for fill in order.fills) == order.cum_quote
    if order.price:
        sign = 1 if order.is_buy else -1
        assert all(sign * fill.price <= sign * order.price for fill in order.fills)
    if order.request.time_in_force == "FOK" and not order.is_open:
        assert order.cum_qty in (0, order.qty)
    if order.request.type == "LIMIT_MAKER":
        assert all(fill.maker for fill in order.fills)
    if not order.is_open:
        assert order.locked == 0
    assert (order.status == "FILLED") == (order.cum_qty == order.qty)


@given(
    st.lists(st.tuples(st.integers(9_950, 9_990), st.integers(1, 50)), min_size=2, max_size=8),
    st.integers(9_900, 9_960),
    st.integers(1, 10_000),
)
def test_price_time_priority(
    open_venue: Callable[[], Venue], bids: list[tuple[int, int]], ticks: int, lots: int
) -> None:
    """A print through several bids fills the best price first, and of one price the oldest."""
    venue = open_venue()
    orders = [venue.place("BUY", "LIMIT", qty * LOT, price * TICK) for price, qty in bids]

    venue.print(ticks * TICK, lots * LOT, True)

    reached = [order for order in orders if order.price > ticks * TICK]
    ranked = sorted(reached, key=lambda order: (-order.price, order.id))
    left = lots // 10
    for order in ranked:
        expected = min(left, order.qty // LOT)
        assert order.cum_qty == expected * LOT
        left -= expected
    venue.exchange.truth.close()


def test_queue_ahead_is_consumed_first(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    price, displayed = best(venue, asks=False)
    order = venue.place("BUY", "LIMIT", 10 * ONE, price)
    assert order.ahead == displayed

    venue.print(price, displayed, True)
    assert order.cum_qty == 0
    venue.print(price, 20 * ONE, True)

    assert order.cum_qty == 2 * ONE
    assert order.fills[0].maker
    assert order.fills[0].price == price


def test_a_print_at_the_price_by_the_other_side_does_not_fill(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    order = venue.place("BUY", "LIMIT", ONE, PRICE - 5 * TICK)
    order.ahead = 0

    venue.print(order.price, BIG, False)
    assert order.cum_qty == 0
    venue.print(order.price, BIG, True)
    assert order.status == "FILLED"


def test_own_orders_never_meet(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    inside, _ = best(venue, asks=True)
    del venue.market.book.asks[inside]  # room between the best prices
    best_ask, _ = best(venue, asks=True)
    resting = venue.place("SELL", "LIMIT", ONE, inside)

    taker = venue.place("BUY", "LIMIT", ONE, best_ask)

    assert (taker.status, taker.cum_qty) == ("EXPIRED_IN_MATCH", 0)
    assert resting.is_open
    with pytest.raises(Denied, match="immediately match"):
        venue.place("BUY", "LIMIT_MAKER", ONE, inside)
    other = venue.place("BUY", "LIMIT", ONE, best_ask, account=venue.second)
    assert (other.status, other.fills[0].price) == ("FILLED", inside)
    assert resting.status == "FILLED"


def test_public_volume_of_a_print_that_fills_an_order_stays_the_same(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    order = venue.place("BUY", "LIMIT", ONE, PRICE - 10 * TICK)
    venue.market.unpublished.clear()

    venue.print(PRICE - 11 * TICK, 100 * ONE, True)

    printed = venue.market.unpublished
    assert order.status == "FILLED"
    assert sum(qty for _, _, qty, _, _ in printed) == 100 * ONE
    assert printed[0][0] == order.fills[0].trade_id
    assert printed[0][1:3] == (order.price, ONE)


def test_stops_trigger_on_prints_and_meet_the_market_of_that_moment(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    stop = venue.place("SELL", "STOP_LOSS", ONE, stop_price=95 * ONE)
    assert venue.first.locked["AAA"] == MONEY_ONE

    venue.print(96 * ONE, ONE, True)
    assert stop.status == "NEW"
    venue.print(90 * ONE, ONE, True)

    assert stop.status == "FILLED"
    assert stop.fills[0].price <= 90 * ONE
    with pytest.raises(Denied, match="trigger immediately"):
        venue.place("BUY", "STOP_LOSS", ONE, stop_price=89 * ONE)


def test_market_order_larger_than_the_book_expires_with_what_it_got(open_venue: Callable[[], Venue]) -> None:
    venue = open_venue()
    shown = sum(venue.market.book.bids.values())

    order = venue.place("SELL", "MARKET", shown + ONE)

    assert (order.status, order.cum_qty) == ("EXPIRED", shown)
    assert venue.first.locked["AAA"] == 0
    assert venue.market.book.bids == {}
    empty = venue.place("SELL", "MARKET", ONE)
    assert (empty.status, empty.cum_qty) == ("EXPIRED", 0)
