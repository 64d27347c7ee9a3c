"""No interleaving of sends, fills, ends, refusals and payments lets contracts need more than the capital.

An account in fractions, which knows nothing of the gateway's counters, tries every way in which open orders
may fill, and is asked each time that the gateway let an order out. Not here: single rules (unit tests).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from fractions import Fraction as F
from itertools import chain, combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parley.instruments import Instrument
from parley.messages import Intent
from runtime.lastlook import Counters, Limits
from tests.kit.contracts import BTC, ETH, FEE, PX, TIERS, contract, end, fill, limits, look, order, paid

CAPITAL = 2000
LISTED = {BTC: contract(BTC, 10), ETH: contract(ETH, 3)}
DUST = F(1, 10**12)  # decimals are cut after 28 digits


class Account:
    """What is held, what it cost on average and what is in the purse, all exact."""

    def __init__(self) -> None:
        self.cash = F(CAPITAL)
        self.qty = dict.fromkeys(PX, F(0))
        self.cost = dict.fromkeys(PX, F(0))

    def trade(self, symbol: str, signed: F, px: F) -> None:
        held = self.qty[symbol]
        closed = min(abs(signed), abs(held)) if held * signed < 0 else F(0)
        share = self.cost[symbol] * closed / abs(held) if closed else F(0)
        self.cash += (1 if held > 0 else -1) * closed * px - share - abs(signed) * px * F(FEE)
        self.cost[symbol] += (abs(signed) - closed) * (1 if signed > 0 else -1) * px - share
        self.qty[symbol] += signed

    def money(self, marks: dict[str, F]) -> F:
        """Wallet less what is lost and not taken."""
        return self.cash + sum(min(F(0), self.qty[each] * marks[each] - self.cost[each]) for each in PX)


def margins(symbol: str, qty: F, px: F) -> tuple[F, F]:
    """Return initial and maintenance margin."""
    value = abs(qty) * px
    tier = next((each for each in TIERS if value <= each.up_to), None)
    assert tier is not None, "beyond what any tier is for"
    least = max(F(0), value * F(tier.rate) - F(tier.amount)) if value else F(0)
    return max(value * max(F(LISTED[symbol].margin), F(tier.margin)), least), least


def needs(symbol: str, held: F, works: list[tuple[str, F, F]], px: F) -> F:
    """Return what a contract may need, over every set of its open orders that may fill."""
    worst = F(0)
    for some in chain.from_iterable(combinations(works, n) for n in range(len(works) + 1)):
        qty = held + sum(left if side == "buy" else -left for side, left, _ in some)
        initial, least = margins(symbol, qty, px)
        both = 2 * initial - least
        worst = max(worst, min(both, qty * px) if qty > 0 else both)
    return worst


def reduces(held: F, works: list[tuple[str, F, F]], intent: Intent) -> bool:
    moved = sum((left for side, left, _ in works if side == intent.side), F(intent.qty))
    return held - moved >= 0 if intent.side == "sell" else held + moved <= 0


class World:
    """A gateway's counters and the account, which hear the same."""

    def __init__(self, caps: Limits, instruments: dict[str, Instrument]) -> None:
        self.counters, self.account = Counters(), Account()
        self.caps, self.instruments = caps, instruments
        self.marks = {symbol: F(px) for symbol, px in PX.items()}
        self.seen = dict(self.marks)  # what the venue said last
        self.open: list[tuple[Intent, F]] = []
        self.n = 0
        self.let_out = 0

    def works(self, symbol: str) -> list[tuple[str, F, F]]:
        return [
            (each.side, left, F(max(each.px or 0, each.ref_px or 0)))
            for each, left in self.open
            if each.symbol == symbol
        ]

    def send(self, symbol: str, side: str, qty: int, px: int | None, says: int = 100) -> None:
        """Ask for an order at a percentage of what the desk ``says``, itself a percentage of what is true."""
        self.n += 1
        mark = self.seen[symbol] = self.marks[symbol]
        told = mark * says / 100
        limit = None if px is None else f"{float(told * px / 100):.2f}"
        intent = order(self.n, side, f"{qty / 10:.1f}", symbol, limit, f"{float(told):.2f}")
        before = self.works(symbol)
        held = self.account.qty[symbol]
        is_exit = reduces(held, before, intent)
        no = look(intent, self.counters, self.caps, self.instruments, at=f"{float(mark):.2f}")
        if is_exit:
            assert no[0] in ("", "collar")
        if no[0]:
            return
        self.let_out += 1
        self.counters.sent(intent, 0)
        self.open.append((intent, F(intent.qty)))
        if is_exit:
            return
        self.check(symbol, side)

    def check(self, symbol: str, side: str) -> None:
        """Hold what was let out against capital and cap."""
        needed = F(0)
        for each in PX:
            works, held = self.works(each), self.account.qty[each]
            px = max([*(price for _, _, price in works), self.seen[each]])
            needed += needs(each, held, works, px)
            if each == symbol:
                moved = sum((left for way, left, _ in works if way == side), F(0))
                worst = abs(held + moved if side == "buy" else held - moved)
                assert worst * px <= F(self.caps.max_position["USDT"])
        assert needed <= self.account.money(self.seen) + DUST

    def trade(self, index: int, part: int) -> None:
        if not self.open:
            return
        at = index % len(self.open)
        intent, left = self.open[at]
        qty = max(F(1, 10), F(int(left * part), 10))  # whole tenths, as all orders are
        self.n += 1
        # at its own price, of which it never gets a worse one
        price = F(intent.px or intent.ref_px or 0)
        told = fill(intent, f"{float(qty):.1f}", f"{float(price):.2f}", self.n)
        self.counters.filled(told)
        self.account.trade(intent.symbol, F(told.qty) if intent.side == "buy" else -F(told.qty), F(told.px))
        left -= F(told.qty)
        if left:
            self.open[at] = (intent, left)
        else:
            self.over(at)

    def over(self, index: int) -> None:
        if not self.open:
            return
        intent, left = self.open.pop(index % len(self.open))
        if left == F(intent.qty):
            self.counters.dead(intent.iid)
        else:
            filled = f"{float(F(intent.qty) - left):.1f}"
            self.counters.moved(end(intent, order(0, "buy", filled).qty))

    def pay(self, amount: int) -> None:
        self.n += 1
        self.counters.paid(paid(f"{self.n}", amount))
        self.account.cash += amount

    def margin(self) -> F:
        """Initial margin of what is held, at the prices that were heard of last."""
        return sum((margins(each, self.account.qty[each], self.seen[each])[0] for each in PX), F(0))


SYMBOLS = st.sampled_from(sorted(PX))
SENDS = st.tuples(
    st.just("send"), SYMBOLS, st.sampled_from(["buy", "sell"]), st.integers(1, 900),
    st.one_of(st.none(), st.integers(90, 110)),
)  # fmt: skip
LIES = st.tuples(
    st.just("send"), SYMBOLS, st.sampled_from(["buy", "sell"]), st.integers(1, 900), st.integers(98, 102),
    st.sampled_from([1, 50, 90, 97, 100, 103, 110, 200, 3_000]),
)  # fmt: skip
TRADES = st.tuples(st.just("trade"), st.integers(0, 9), st.integers(1, 10))
OVER = st.tuples(st.just("over"), st.integers(0, 9))
PAYS = st.tuples(st.just("pay"), st.integers(-60, 60))
MOVES = st.tuples(st.just("move"), SYMBOLS, st.integers(50, 200))


def play(steps: list[tuple[Any, ...]], check: Callable[[World], None] = lambda _: None, **over: Any) -> World:
    world = World(limits(CAPITAL, **over), LISTED)
    for name, *given_ in steps:
        if name == "move":
            symbol, percent = given_
            world.marks[symbol] = F(PX[symbol]) * percent / 100
        else:
            getattr(world, name)(*given_)
        if len(world.open) > 6:
            world.over(0)
        check(world)
    return world


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(SENDS, SENDS, TRADES, TRADES, OVER, PAYS, MOVES), max_size=30))
def test_no_order_that_opens_leaves_more_needed_than_there_is(steps: list[tuple[Any, ...]]) -> None:
    play(steps, max_position={"USDT": D(4000)})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(LIES, LIES, TRADES, TRADES, OVER, MOVES), max_size=30))
def test_however_a_desk_lies_about_prices_what_opens_needs_no_more_than_there_is(
    steps: list[tuple[Any, ...]],
) -> None:
    """Needs are worked out at the true marks, and at the orders' own prices where those are worse."""
    play(steps, max_position={"USDT": D(4000)}, collar_bps=200)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(SENDS, TRADES, TRADES, OVER), max_size=40))
def test_while_prices_stand_no_interleaving_ties_up_more_than_the_capital(
    steps: list[tuple[Any, ...]],
) -> None:
    def check(world: World) -> None:
        assert world.margin() <= world.account.cash + DUST

    play([(*each[:4], None) if each[0] == "send" else each for each in steps], check)


def test_orders_do_leave() -> None:
    world = play([("send", BTC, "sell", 100, None), ("trade", 0, 10), ("send", ETH, "buy", 100, 101)])
    assert world.let_out == 2
    assert world.account.qty[BTC] == -10
