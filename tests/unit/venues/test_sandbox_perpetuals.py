"""Margin, positions, funding and liquidation, over random sequences against the real exchange object.

What accounts own is worked out a second time here, from the truth log's trades alone and with fractions.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.effort import examples
from venues.sandbox.accounts import Account
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm.account_api import AccountApi
from venues.sandbox.binance_usdm.assembly import BINANCE_USDM
from venues.sandbox.binance_usdm.modes_api import ModesApi
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import PRICED_TYPES, STOP_TYPES, Order, OrderRequest
from venues.sandbox.perpetual.assembly import Perpetuals, contracts_of
from venues.sandbox.perpetual.positions import Position
from venues.sandbox.perpetual.purses import CLEARING, FEES, INSURANCE, PUBLIC, cross, isolated
from venues.sandbox.perpetual.settings import parse_perpetuals
from venues.sandbox.refusals import Denied
from venues.sandbox.tape import Print
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import MONEY_ONE, ONE

TICK, LOT = ONE // 100, ONE // 1000
AAA, BBB = contracts_of(
    [Instrument("AAA", "USDT", TICK, LOT, 0), Instrument("BBB", "USDT", TICK, LOT, 0)], "USDT"
)
PRICE = 100 * ONE
BIG = 1000 * ONE
HOUR = 3_600_000
MAKER, TAKER = ONE // 5000, ONE // 2000
NAMES = ("first", "second")


@dataclass
class Venue:
    """An exchange of two contracts with two accounts; books stand around 100."""

    exchange: Exchange
    perpetuals: Perpetuals
    api: AccountApi
    path: Path
    count: int = 0

    def account(self, name: str) -> Account:
        return self.exchange.accounts[name]

    def market(self, symbol: str) -> SymbolMarket:
        return self.exchange.markets[symbol]

    def position(self, name: str, symbol: str = "AAAUSDT") -> Position:
        return self.perpetuals.positions.of(name)[symbol]

    def wallet(self, name: str) -> int:
        return self.perpetuals.margins.wallets(self.account(name))

    def place(
        self, name: str, side: str, kind: str, qty: int, price: int = 0, one: Instrument = AAA, **more: object
    ) -> Order:
        self.count += 1
        force = str(more.pop("force", "GTC"))
        request = OrderRequest(one, side, kind, force, f"c{self.count}", qty, price=price, **more)  # type: ignore[arg-type]
        order = self.exchange.submit(self.account(name), request)
        assert order is not None
        return order

    def print(self, price: int, qty: int = BIG, symbol: str = "AAAUSDT", sold: bool = True) -> None:
        """A trade of the public market, and the book around it."""
        market = self.market(symbol)
        self.exchange.play(market, [Print(price, qty, sold, self.exchange.clock + 1)], BIG)
        market.book.refresh(price, BIG, self.exchange.clock)
        self.exchange.forget_closed()
        self.exchange.settlement.close_group()

    def wait(self, ms: int) -> None:
        """A part of a step is over."""
        self.exchange.clock += ms
        self.perpetuals.clearing.reached(self.exchange.clock)

    def truth(self, *events: str) -> list[dict[str, str]]:
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [line for line in lines if line["event"] in events]

    def leverage(self, name: str, leverage: int, symbol: str = "AAAUSDT") -> None:
        self.api.change_leverage(self.account(name), Params({"symbol": symbol, "leverage": str(leverage)}))

    def isolate(self, name: str, kind: str = "ISOLATED", symbol: str = "AAAUSDT") -> None:
        self.api.change_margin_type(self.account(name), Params({"symbol": symbol, "marginType": kind}))


def build(path: Path, **settings_: object) -> Venue:
    path.unlink(missing_ok=True)
    truth = TruthLog(path)
    accounts = [Account(name, name, "s", {"USDT": 10_000 * MONEY_ONE}) for name in NAMES]
    config = parse_perpetuals(settings_)
    perpetuals = Perpetuals(config, [AAA, BBB], accounts, truth, (MAKER, TAKER))
    exchange = Exchange(
        [AAA, BBB], accounts, perpetuals.settlement, truth, 1, 10, BINANCE_USDM.rules, BINANCE_USDM.spelled
    )
    perpetuals.join(exchange)
    exchange.clock = 1
    for market in exchange.markets.values():
        market.last_price = PRICE
        market.book.refresh(PRICE, BIG, 0)
        market.book.changes()
    perpetuals.open()
    modes = ModesApi(exchange, perpetuals.margins)
    return Venue(exchange, perpetuals, AccountApi(exchange, perpetuals, Lists(0, 0), ("0", "0"), modes), path)


@pytest.fixture(scope="module")
def open_venue(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Venue]:
    folder = tmp_path_factory.mktemp("truth")

    def make(**settings_: object) -> Venue:
        return build(folder / "truth.jsonl", **settings_)

    return make


def check_conserved(venue: Venue) -> None:
    """Nothing came from nowhere, and who trades with one another has opposite positions."""
    amounts, positions = venue.perpetuals.purses.amounts, venue.perpetuals.positions
    wallets = sum(venue.wallet(name) for name in NAMES)
    deposits = 20_000 * MONEY_ONE + 1_000_000 * MONEY_ONE
    house = amounts[PUBLIC] + amounts[CLEARING]
    assert wallets + amounts[INSURANCE] + amounts[FEES] + house == deposits
    cost = 0
    for symbol in venue.exchange.markets:
        each = [positions.of(name)[symbol] for name in NAMES] + [positions.public[symbol]]
        assert sum(position.qty for position in each) == 0
        assert all(position.qty or not position.cost for position in each)
        cost += sum(position.cost for position in each)
    assert amounts[CLEARING] + cost == 0


def check_solvent(venue: Venue) -> None:
    """Who has too little margin was liquidated, and nobody owes anything after it."""
    margins = venue.perpetuals.margins
    for name in NAMES:
        account = venue.account(name)
        assert account.free["USDT"] == venue.wallet(name)
        crossed = margins.held(account, True)
        if crossed:
            assert margins.equity(account) >= margins.cross_maintenance(account)
        else:
            assert venue.perpetuals.purses.amounts[cross(name)] >= 0
        for symbol, position in margins.positions.of(name).items():
            wallet = venue.perpetuals.purses.amounts[isolated(name, symbol)]
            if not position.qty or not position.is_isolated:
                assert wallet == 0
            else:
                assert wallet + margins.unrealised(position) >= margins.maintenance(position)


def check_retold(venue: Venue) -> None:
    """Positions and wallets again from the truth log: average cost in fractions, cents to 1e-8 a trade."""
    wallet = dict.fromkeys(NAMES, Fraction(10_000))
    held: dict[tuple[str, str], list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    trades = 0
    for line in venue.truth("trade", "funding", "entry"):
        if line["event"] == "entry":
            for end, sign in (("from", -1), ("to", 1)):
                kind, _, rest = line[end].partition(":")
                if line["why"] in ("insurance", "liquidation_fee") and kind in ("cross", "isolated"):
                    wallet[rest.partition(":")[0]] += sign * Fraction(line["amount"])
            continue
        if line["event"] == "funding":
            wallet[line["account"]] += Fraction(line["amount"])
            continue
        trades += 1
        position = held[line["account"], line["symbol"]]
        change = Fraction(line["qty"]) * (1 if line["side"] == "BUY" else -1)
        price, earned = Fraction(line["price"]), Fraction(0)
        if position[0] * change < 0:
            closed = min(abs(change), abs(position[0])) * (1 if change > 0 else -1)
            earned = closed * (position[1] - price)
            position[0] += closed
            change -= closed
        if change:
            position[1] = (position[0] * position[1] + change * price) / (position[0] + change)
            position[0] += change
        assert abs(earned - Fraction(line["realised_pnl"])) <= Fraction(trades, 10**8)
        wallet[line["account"]] += earned - Fraction(line["fee"])
    for name in NAMES:
        assert abs(wallet[name] - Fraction(venue.wallet(name), MONEY_ONE)) <= Fraction(trades + 1, 10**7)
        for symbol, one in (("AAAUSDT", AAA), ("BBBUSDT", BBB)):
            assert held[name, one.pair][0] == Fraction(venue.position(name, symbol).qty, ONE)


# Sizes and moves are large: a dozen steps have to be enough for somebody to be liquidated.
LOTS = st.sampled_from([1, 999, 30_000, 100_000, 250_000, 600_000, 900_000])
ORDERS = st.tuples(
    st.just("order"),
    st.sampled_from(NAMES),
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from(["MARKET", "MARKET", "LIMIT", "LIMIT", "LIMIT_MAKER", *sorted(STOP_TYPES)]),
    st.sampled_from([AAA, AAA, BBB]),
    LOTS,
    st.sampled_from([-900, -100, -10, -1, 0, 1, 10, 100, 900]),
    st.sampled_from([False, False, True]),
)
PRINTS = st.tuples(
    st.just("print"),
    st.sampled_from(["AAAUSDT", "AAAUSDT", "BBBUSDT"]),
    st.sampled_from([-2500, -700, -420, -380, -300, 0, 300, 380, 420, 700, 2500]),
    st.booleans(),
)
WAITS = st.tuples(st.just("wait"), st.sampled_from([1, HOUR, 8 * HOUR, 20 * HOUR]))
TERMS = st.tuples(
    st.just("terms"), st.sampled_from(NAMES), st.sampled_from([1, 5, 20, 50]),
    st.sampled_from(["ISOLATED", "CROSSED", ""]),
)  # fmt: skip
ACTIONS = st.lists(st.one_of(ORDERS, ORDERS, PRINTS, WAITS, TERMS), min_size=12, max_size=40)


def do(venue: Venue, action: tuple[object, ...]) -> None:
    match action:
        case (
            "order",
            str(name),
            str(side),
            str(kind),
            Instrument() as one,
            int(lots),
            int(points),
            bool(reduces),
        ):
            last = venue.market(one.symbol).last_price
            price = max(TICK, last * (10_000 + points) // 10_000 // TICK * TICK)
            more: dict[str, object] = {"reduce_only": reduces}
            if kind in STOP_TYPES:
                more["stop_price"] = price
            with contextlib.suppress(Denied):
                limit = price if kind in PRICED_TYPES else 0
                venue.place(name, side, kind, lots * LOT, limit, one, **more)
        case ("print", str(symbol), int(points), bool(sold)):
            last = venue.market(symbol).last_price
            venue.print(max(TICK, last * (10_000 + points) // 10_000 // TICK * TICK), BIG, symbol, sold)
        case ("wait", int(ms)):
            venue.wait(ms)
        case ("terms", str(name), int(leverage), str(kind)):
            with contextlib.suppress(Denied):
                venue.leverage(name, leverage)
            if kind:
                with contextlib.suppress(Denied):
                    venue.isolate(name, kind)


@settings(max_examples=examples(150), deadline=None)
@given(ACTIONS, st.sampled_from(["0.0005", "-0.004"]))
def test_money_is_conserved_and_nobody_owes(
    open_venue: Callable[..., Venue], actions: list[tuple[object, ...]], rate: str
) -> None:
    venue = open_venue(funding_rates={"AAAUSDT": rate})
    for action in actions:
        do(venue, action)
        check_conserved(venue)
        venue.perpetuals.clearing.reached(venue.exchange.clock)
        check_conserved(venue)
        check_solvent(venue)
    check_retold(venue)
    for name in NAMES:
        for order in venue.exchange.by_account[name]:
            assert order.cum_qty == sum(fill.qty for fill in order.fills)
    check_reducing(venue)


def check_reducing(venue: Venue) -> None:
    """No order that may only reduce a position ever made one larger, or another one."""
    reducing = {
        str(order.id)
        for name in NAMES
        for order in venue.exchange.by_account[name]
        if order.request.reduce_only
    }
    held: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for line in venue.truth("trade"):
        key = line["account"], line["symbol"]
        change = Fraction(line["qty"]) * (1 if line["side"] == "BUY" else -1)
        if str(line["order_id"]) in reducing:
            assert held[key] * change < 0
            assert abs(change) <= abs(held[key])
        held[key] += change


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(100, 8_000_000), st.booleans(), st.booleans(), st.integers(1, 50), st.integers(0, 10**8))
def test_liquidation_comes_at_its_price_and_not_before(
    open_venue: Callable[..., Venue], lots: int, is_buy: bool, is_isolated: bool, leverage: int, spare: int
) -> None:
    venue = open_venue()
    if is_isolated:
        venue.isolate("first")
    venue.leverage("first", leverage)
    with contextlib.suppress(Denied):
        venue.place("first", "BUY" if is_buy else "SELL", "MARKET", lots * LOT)
    position, margins = venue.position("first"), venue.perpetuals.margins
    price = margins.liquidation_price(venue.account("first"), position)
    if not position.qty or not price:
        return
    at: dict[str, int] = {}
    margins.mark = lambda symbol: at["price"]

    def is_short() -> bool:
        equity = margins.wallet(venue.account("first"), position) + margins.unrealised(position)
        return equity < margins.maintenance(position)

    towards = 1 if is_buy else -1
    at["price"] = price + towards * 1000
    assert not is_short()
    at["price"] = price - towards * 1000
    assert is_short()


def test_an_isolated_long_is_liquidated_for_its_margin_alone(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue(liquidation_fee="0.01")
    venue.isolate("first")
    venue.leverage("first", 10)
    venue.place("first", "BUY", "MARKET", 100 * ONE)
    resting = venue.place("first", "SELL", "LIMIT", 10 * ONE, 200 * ONE)
    elsewhere = venue.place("first", "BUY", "LIMIT", ONE, 50 * ONE, BBB)
    before = venue.perpetuals.purses.amounts[cross("first")]
    fund = venue.perpetuals.purses.amounts[INSURANCE]
    margin = venue.perpetuals.purses.amounts[isolated("first", "AAAUSDT")]
    venue.print(50 * ONE)  # far beyond the bankruptcy price of about 90

    assert venue.position("first").qty == 0
    assert (resting.status, elsewhere.status) == ("EXPIRED", "NEW")
    assert before <= venue.perpetuals.purses.amounts[cross("first")] <= before + MONEY_ONE // 10**4
    [line] = venue.truth("liquidation")
    assert line["taken_over"] == line["qty"] == "100.00000000"
    # Bought at about 100.05 with a tenth as margin, closed at about 90.04, worth 50 to the fund.
    assert 89 < float(line["bankruptcy_price"]) < 91
    paid = (fund - venue.perpetuals.purses.amounts[INSURANCE]) / MONEY_ONE
    assert paid == pytest.approx(100 * (float(line["bankruptcy_price"]) - 50), abs=1e-3)
    assert margin / MONEY_ONE == pytest.approx(1000, rel=0.01)
    check_conserved(venue)
    check_retold(venue)


def test_a_cross_account_is_closed_at_the_market_and_pays_a_fee(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue(liquidation_fee="0.001", brackets={"AAAUSDT": [["10000000", 50, "0.05"]]})
    venue.leverage("first", 50)
    venue.place("first", "SELL", "MARKET", 300 * ONE)
    entry = venue.position("first").entry
    wallet = venue.wallet("first")
    venue.print(128 * ONE)  # equity of about 1600 of 10,000, margin 1920
    assert venue.position("first").qty == 0
    [line] = venue.truth("liquidation")
    assert line["taken_over"] == "0.00000000"
    [order] = [one for one in venue.exchange.by_account["first"] if one.is_liquidation]
    lost = sum(fill.realised for fill in order.fills)
    fee = order.cum_quote // 1000
    assert venue.wallet("first") == wallet + lost - fee // ONE * ONE > 0
    assert lost == 300 * ONE * entry - order.cum_quote + (venue.position("first").realised - lost)
    assert all(fill.price >= 128 * ONE - 3 * PRICE // 10_000 for fill in order.fills)
    check_conserved(venue)
    check_retold(venue)


def test_funding_passes_from_longs_to_shorts(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue(funding_rates={"AAAUSDT": "0.001"})
    venue.market("AAAUSDT").book.asks.clear()  # so that they meet each other, not the public
    venue.place("second", "SELL", "LIMIT_MAKER", 20 * ONE, 101 * ONE)
    venue.place("first", "BUY", "LIMIT", 20 * ONE, 101 * ONE)
    assert venue.position("first").qty == -venue.position("second").qty == 20 * ONE
    public, wallets = venue.perpetuals.purses.amounts[PUBLIC], [venue.wallet(name) for name in NAMES]
    venue.wait(8 * HOUR - 2)
    assert [venue.wallet(name) for name in NAMES] == wallets
    venue.wait(1)
    mark = venue.perpetuals.clearing.settled[0].mark
    paid = 20 * ONE * mark // 1000 // ONE * ONE
    assert [venue.wallet(name) for name in NAMES] == [wallets[0] - paid, wallets[1] + paid]
    assert venue.perpetuals.purses.amounts[PUBLIC] == public
    assert [line["amount"][0] for line in venue.truth("funding")] == ["-", "2"]
    venue.wait(8 * HOUR)
    assert len(venue.perpetuals.clearing.settled) == 4  # two contracts, two intervals


def test_the_mark_is_not_moved_by_an_account_alone(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue()
    venue.print(PRICE)
    before = venue.perpetuals.clearing.mark("AAAUSDT")
    for name in NAMES:
        venue.place(name, "BUY", "MARKET", 300 * ONE)
    market = venue.market("AAAUSDT")
    assert market.last_price > before + 5 * TICK
    mark = venue.perpetuals.clearing.mark("AAAUSDT")
    assert before <= mark < market.last_price


def test_orders_need_margin_for_their_larger_side_beyond_the_position(
    open_venue: Callable[..., Venue],
) -> None:
    venue = open_venue()
    venue.leverage("first", 10)
    venue.place("first", "BUY", "MARKET", 10 * ONE)
    margins, account = venue.perpetuals.margins, venue.account("first")
    free, held = margins.available(account), venue.position("first").value(margins.mark("AAAUSDT"))

    def bound() -> int:
        return free - margins.available(account)

    venue.place("first", "SELL", "LIMIT", 15 * ONE, 110 * ONE)  # turns the position into a smaller one
    assert bound() == 0
    venue.place("first", "SELL", "LIMIT", 20 * ONE, 110 * ONE)
    assert bound() == (35 * 110 * MONEY_ONE - 2 * held) // 10
    venue.place("first", "BUY", "LIMIT", 5 * ONE, 90 * ONE)  # the other side is the larger one
    assert bound() == (35 * 110 * MONEY_ONE - 2 * held) // 10
    venue.place("first", "BUY", "LIMIT", 40 * ONE, 90 * ONE)
    assert bound() == 45 * 90 * MONEY_ONE // 10


def test_what_is_refused(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue(brackets={"AAAUSDT": [["5000", 50, "0.01"], ["1000000", 20, "0.02"]]})

    def refused(code: int, act: Callable[[], object]) -> None:
        with pytest.raises(Denied) as error:
            act()
        assert error.value.code == code

    refused(-2022, lambda: venue.place("first", "SELL", "MARKET", ONE, reduce_only=True))
    refused(-2019, lambda: venue.place("first", "BUY", "LIMIT", 2100 * ONE, 99 * ONE))
    venue.leverage("first", 50)
    refused(-2027, lambda: venue.place("first", "BUY", "MARKET", 51 * ONE))
    refused(-4028, lambda: venue.leverage("first", 51))
    venue.place("first", "BUY", "MARKET", 10 * ONE)
    refused(-2022, lambda: venue.place("first", "BUY", "MARKET", ONE, reduce_only=True))
    refused(-4048, lambda: venue.isolate("first"))
    refused(-4046, lambda: venue.isolate("first", "CROSSED"))
    refused(-5021, lambda: venue.place("first", "BUY", "LIMIT", 40 * ONE, 90 * ONE, force="FOK"))
    # Reducing orders together are at most the position; what is too much is cut or refused.
    first = venue.place("first", "SELL", "LIMIT", 6 * ONE, 101 * ONE, reduce_only=True)
    second = venue.place("first", "SELL", "LIMIT", 6 * ONE, 102 * ONE, reduce_only=True)
    assert (first.qty, second.qty) == (6 * ONE, 4 * ONE)
    refused(-2022, lambda: venue.place("first", "SELL", "MARKET", ONE, reduce_only=True))
    venue.place("first", "SELL", "MARKET", 7 * ONE)
    assert (first.qty, first.status, second.status) == (3 * ONE, "NEW", "EXPIRED")
    venue.place("first", "SELL", "MARKET", 3 * ONE)
    assert (first.status, venue.position("first").qty) == ("EXPIRED", 0)
    venue.isolate("second")
    venue.leverage("second", 20)
    venue.place("second", "BUY", "MARKET", ONE)
    refused(-4161, lambda: venue.leverage("second", 10))


def test_an_order_that_may_only_reduce_is_cut_while_somebody_trades_through(
    open_venue: Callable[..., Venue],
) -> None:
    venue = open_venue()
    venue.place("first", "BUY", "MARKET", 10 * ONE)
    plain = venue.place("first", "SELL", "LIMIT", 10 * ONE, 102 * ONE)
    reducing = venue.place("first", "SELL", "LIMIT", 10 * ONE, 103 * ONE, reduce_only=True)
    venue.market("AAAUSDT").book.asks.clear()
    taker = venue.place("second", "BUY", "LIMIT", 20 * ONE, 104 * ONE)
    assert (plain.status, reducing.status, reducing.cum_qty) == ("FILLED", "EXPIRED", 0)
    assert (taker.status, taker.cum_qty) == ("PARTIALLY_FILLED", 10 * ONE)
    assert venue.position("first").qty == 0
    check_conserved(venue)


def test_a_stop_that_closes_the_position_takes_all_of_it(open_venue: Callable[..., Venue]) -> None:
    venue = open_venue()
    venue.place("first", "BUY", "MARKET", 5 * ONE)
    stop = venue.place("first", "SELL", "STOP_LOSS", 0, stop_price=95 * ONE, close_position=True)
    other = venue.place("first", "SELL", "STOP_LOSS", ONE, stop_price=94 * ONE, reduce_only=True)
    venue.place("first", "BUY", "MARKET", 2 * ONE)
    venue.print(95 * ONE)
    assert (stop.status, stop.qty, venue.position("first").qty) == ("FILLED", 7 * ONE, 0)
    venue.print(93 * ONE)
    assert (other.status, other.cum_qty, venue.position("first").qty) == ("EXPIRED", 0, 0)
