"""A linear perpetual in the ledger is what a venue's margin account makes of it, over random lives."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from parley.ledger import Ledger
from parley.messages import Fill
from parley.money import exact
from parley.risk.margin import collateral
from tests.kit.builders import make_fill, make_instrument

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
INSTRUMENTS = {
    symbol: make_instrument(symbol, margin=margin) for symbol, margin in ((BTC, "0.1"), (ETH, "0.25"))
}
AGENTS = ("strategy/a", "strategy/b")
WALLET = Decimal(10_000)

Event = tuple[object, ...]
_qty = st.decimals(min_value=Decimal("0.001"), max_value=Decimal(5), places=3)
_px = st.decimals(min_value=Decimal(10), max_value=Decimal(3000), places=1)
_paid = st.decimals(min_value=Decimal(-3), max_value=Decimal(3), places=6)


class Venue:
    """One-way positions as exchanges keep them: a wallet, and a mean entry price that only openings move.

    Binance: "How are profit and loss calculated" of USD-M futures. In fractions, so that nothing is rounded.
    """

    def __init__(self) -> None:
        self.wallet = Fraction(WALLET)
        self.qty: dict[str, Fraction] = defaultdict(Fraction)
        self.entry: dict[str, Fraction] = defaultdict(Fraction)

    def trade(self, fill: Fill) -> None:
        symbol, px = fill.symbol, Fraction(fill.px)
        change = Fraction(fill.qty) * (1 if fill.side == "buy" else -1)
        held, entry = self.qty[symbol], self.entry[symbol]
        closed = min(abs(held), abs(change)) if held * change < 0 else Fraction(0)
        self.wallet += closed * (px - entry) * (1 if held > 0 else -1) - Fraction(fill.fee)
        after = held + change
        if held * after < 0:
            self.entry[symbol] = px
        elif abs(after) > abs(held):
            self.entry[symbol] = (abs(held) * entry + abs(change) * px) / abs(after)
        self.qty[symbol] = after

    def unrealised(self, marks: dict[str, Fraction]) -> dict[str, Fraction]:
        return {s: qty * (marks[s] - self.entry[s]) for s, qty in self.qty.items() if qty}


@st.composite
def lives(draw: st.DrawFn) -> list[Event]:
    out: list[Event] = []
    for n in range(draw(st.integers(1, 20))):
        symbol = draw(st.sampled_from((BTC, ETH)))
        kind = draw(st.sampled_from(("fill", "fill", "fill", "mark", "funding")))
        if kind == "fill":
            side, fee = draw(st.sampled_from(("buy", "sell"))), draw(_paid)
            fill = make_fill(
                trade_id=f"t{n}", symbol=symbol, side=side, qty=draw(_qty), px=draw(_px), fee=fee,
                fee_asset="USDT", t=n,
            )  # fmt: skip
            out.append(("fill", fill, draw(st.sampled_from(AGENTS))))
        elif kind == "mark":
            out.append(("mark", symbol, draw(_px)))
        else:
            out.append(("funding", symbol, draw(_paid), f"f{n}"))
    return out


def played(life: list[Event]) -> tuple[Ledger, Venue]:
    ledger, venue = Ledger("main", "USDT", INSTRUMENTS), Venue()
    ledger.open([("USDT", WALLET)], 0)
    for n, event in enumerate(life):
        match event:
            case ("fill", Fill() as fill, str(agent)):
                assert ledger.apply(fill, agent=agent, pid=b"p", round=b"r")
                venue.trade(fill)
            case ("mark", str(symbol), Decimal() as px):
                ledger.mark(symbol, px, n)
            case ("funding", str(symbol), Decimal() as amount, str(ref)):
                assert ledger.funding(symbol, amount, "USDT", n, ref)
                venue.wallet += Fraction(amount)
    return ledger, venue


def marks_of(ledger: Ledger) -> dict[str, Fraction]:
    return {f"{asset.split(':')[0]}/USDT:USDT": Fraction(px) for asset, px in ledger.marks.items()}


@given(lives())
def test_equity_is_the_wallet_and_what_is_not_realised(life: list[Event]) -> None:
    ledger, venue = played(life)
    unrealised = venue.unrealised(marks_of(ledger))
    held = {p.symbol: Fraction(p.qty) for p in ledger.positions() if p.qty}
    assert held == {symbol: qty for symbol, qty in venue.qty.items() if qty}
    assert Fraction(ledger.equity()) == venue.wallet + sum(unrealised.values())
    with exact():
        assert ledger.equity() == ledger.opening + ledger.realised + ledger.unrealised()


@given(lives())
def test_each_agents_part_is_its_own_long_or_short_and_they_sum_to_the_position(life: list[Event]) -> None:
    ledger, _ = played(life)
    own: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for event in life:
        match event:
            case ("fill", Fill() as fill, str(agent)):
                own[agent, fill.symbol] += Fraction(fill.qty) * (1 if fill.side == "buy" else -1)
            case _:
                pass
    held = {(h.agent, h.symbol): Fraction(h.qty) for h in ledger.holdings()}
    assert held == {key: qty for key, qty in own.items() if qty}
    owners = ("opening", "unassigned", *AGENTS)
    assert sum(Fraction(ledger.realised_of(each)) for each in owners) == Fraction(ledger.realised)


@given(lives())
def test_no_more_is_free_than_the_venue_leaves(life: list[Event]) -> None:
    ledger, venue = played(life)
    marks = marks_of(ledger)
    free = Fraction(collateral(ledger.cash("USDT"), ledger.positions(), INSTRUMENTS))
    tied = sum(
        (abs(q) * marks[s] * Fraction(INSTRUMENTS[s].margin) for s, q in venue.qty.items() if q), Fraction(0)
    )
    losses = sum((min(Fraction(0), each) for each in venue.unrealised(marks).values()), Fraction(0))
    netted = len({h.symbol for h in ledger.holdings()}) == len(ledger.holdings())
    # two agents on opposite sides of one contract cost what each paid, where the venue has one mean entry:
    # what is realised and what is not then differ, never their sum
    if netted and all(event[0] != "fill" or event[2] == AGENTS[0] for event in life):
        assert abs(free - (venue.wallet + losses - tied)) < Fraction(1, 10**6)
    assert free <= venue.wallet + sum(venue.unrealised(marks).values()) - tied


@given(lives(), st.integers(0, 20))
def test_a_restored_ledger_goes_on_as_if_nothing_happened(life: list[Event], cut: int) -> None:
    straight, _ = played(life)
    halfway, _ = played(life[:cut])
    restored = Ledger("main", "USDT", INSTRUMENTS)
    restored.restore(halfway.snapshot())
    for n, event in enumerate(life[cut:], cut):
        match event:
            case ("fill", Fill() as fill, str(agent)):
                restored.apply(fill, agent=agent, pid=b"p", round=b"r")
            case ("mark", str(symbol), Decimal() as px):
                restored.mark(symbol, px, n)
            case ("funding", str(symbol), Decimal() as amount, str(ref)):
                restored.funding(symbol, amount, "USDT", n, ref)
    assert restored.snapshot() == straight.snapshot()


def test_funding_is_paid_by_the_long_and_received_by_the_short() -> None:
    ledger = Ledger("main", "USDT", INSTRUMENTS)
    ledger.open([("USDT", WALLET)], 0)
    for n, (agent, side, qty) in enumerate((("strategy/a", "buy", 3), ("strategy/b", "sell", 1))):
        fill = make_fill(
            trade_id=f"t{n}", symbol=BTC, side=side, qty=Decimal(qty), px=Decimal(100), fee=Decimal(0),
            fee_asset="USDT", t=n,
        )  # fmt: skip
        ledger.apply(fill, agent=agent, pid=b"p", round=b"r")
    ledger.funding(BTC, Decimal("-0.02"), "USDT", 9, "f")
    assert ledger.realised_of("strategy/a") == Decimal("-0.03")
    assert ledger.realised_of("strategy/b") == Decimal("0.01")
