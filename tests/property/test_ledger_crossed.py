"""What changes hands inside changes nothing of the account, over random lives; each digit is somebody's."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.attribution import Attribution
from parley.errors import StateError
from parley.instruments import assets_of
from parley.ledger import EXTERNAL, OPENING, Ledger
from parley.messages import Crossed
from parley.money import exact, tidy
from tests.kit.builders import make_fill
from tests.kit.ledger_runs import AGENTS, INSTRUMENTS, Event, balances, events, new_ledger, opened, play

OWN = ("BTC/USDT", "ETH/USDT", "BNB/USDT")
BUYERS = ("strategy/a", "strategy/b", "strategy/new")

_px = st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(70_000), places=9)
Wish = tuple[str, str, Decimal, Decimal]  # symbol, buyer, part of what is held, price
wishes = st.lists(
    st.tuples(st.sampled_from(OWN), st.sampled_from(BUYERS), st.decimals("0.001", 1, places=3), _px),
    min_size=25,
    max_size=25,
)


def crossed(**over: object) -> Crossed:
    fields: dict[str, object] = {
        "round": b"r", "symbol": "BTC/USDT", "seller": "strategy/a", "buyer": "strategy/b",
        "qty": Decimal(1), "px": Decimal(100), "saved": Decimal(0), "pid": b"new", "seller_pid": b"exit",
        "t": 9,
    }  # fmt: skip
    return Crossed(**{**fields, **over})  # type: ignore[arg-type]


def possible(ledger: Ledger, n: int, wish: Wish) -> Crossed | None:
    """Give what the wish comes to with the first agent that holds some of it, if any does."""
    symbol, buyer, part, px = wish
    base = assets_of(symbol)[0]
    for seller in AGENTS:
        held = ledger.holding(seller, base) if seller not in (EXTERNAL, buyer) else None
        if held is not None and held.qty > 0 and base in ledger.marks:
            with exact():
                qty = tidy(held.qty * part)
            return crossed(
                round=b"%d" % n,
                symbol=symbol,
                seller=seller,
                buyer=buyer,
                qty=qty,
                px=px,
                pid=b"x%d" % n,
                t=n,
            )
    return None


def account_of(ledger: Ledger) -> tuple[object, ...]:
    """All that must stay what it is."""
    held = [(p.symbol, p.qty, p.mark) for p in ledger.positions()]
    return ledger.balances(), held, ledger.equity(), ledger.opening, ledger.fees


def assert_sums(ledger: Ledger) -> None:
    with exact():
        assert ledger.equity() == ledger.opening + ledger.realised + ledger.unrealised()
    for position in ledger.positions():
        own = [Fraction(h.qty) for h in ledger.holdings() if h.symbol == position.symbol]
        assert sum(own) == Fraction(position.qty)
    results = sum((Fraction(each) for each in ledger.results().values()), Fraction(0))
    assert results == Fraction(ledger.equity()) - Fraction(ledger.opening)
    assert sum((Fraction(leg.value) for leg in ledger.postings), Fraction(0)) == 0


def qty_of(ledger: Ledger, agent: str, base: str) -> Fraction:
    held = ledger.holding(agent, base)
    return Fraction(held.qty) if held is not None else Fraction(0)


@given(balances, events(), wishes)
def test_the_account_stays_and_both_move_by_the_same(
    opening: dict[str, Decimal], life: list[Event], wanted: list[Wish]
) -> None:
    ledger, attribution = opened(opening), Attribution()
    if ledger.last is not None:
        attribution.on_transaction(ledger.last)
    booked = ledger.last
    for n, (_, _new) in enumerate(play(ledger, life)):
        if ledger.last is not None and ledger.last is not booked:
            attribution.on_transaction(ledger.last)
        c = possible(ledger, n, wanted[n])
        if c is not None:
            base = assets_of(c.symbol)[0]
            before, results = account_of(ledger), ledger.results()
            gave, took = qty_of(ledger, c.seller, base), qty_of(ledger, c.buyer, base)
            others = {h.agent: h.qty for h in ledger.holdings() if h.agent not in (c.seller, c.buyer)}
            assert ledger.cross(c)
            assert account_of(ledger) == before
            assert qty_of(ledger, c.seller, base) == gave - Fraction(c.qty)
            assert qty_of(ledger, c.buyer, base) == took + Fraction(c.qty)
            now = {h.agent: h.qty for h in ledger.holdings() if h.agent not in (c.seller, c.buyer)}
            assert now == others
            # what the one gives away below the mark is what the other gains, to the last digit
            gap = Fraction(c.qty) * (Fraction(c.px) - Fraction(ledger.marks[base]))
            after = ledger.results()
            moved = {who: Fraction(after[who]) - Fraction(results.get(who, Decimal(0))) for who in after}
            assert moved[c.seller] == gap
            assert moved[c.buyer] == -gap
            assert not any(each for who, each in moved.items() if who not in (c.seller, c.buyer))
            assert_sums(ledger)
            assert ledger.last is not None
            attribution.on_transaction(ledger.last)
            assert not ledger.cross(c)  # told twice, booked once
        booked = ledger.last
    report = attribution.report(ledger)
    assert Fraction(report.total) == Fraction(ledger.realised) + Fraction(ledger.unrealised())
    own = {who: pnl for who, pnl in ledger.results().items() if who != OPENING and pnl}
    assert {who: pnl for who, pnl in report.by_agent if pnl} == own
    again = new_ledger()
    again.restore(ledger.snapshot())
    assert again.snapshot() == ledger.snapshot()


def holder(qty: str = "2", px: str = "80") -> Ledger:
    """An account in which one agent holds."""
    ledger = opened({"USDT": Decimal(1_000), "BTC": Decimal(5)})
    ledger.mark("BTC/USDT", Decimal(90), 1)
    fill = make_fill(symbol="BTC/USDT", side="buy", qty=Decimal(qty), px=Decimal(px), fee=Decimal(0))
    ledger.apply(fill, agent="strategy/a", pid=b"old", round=b"before")
    return ledger


def test_the_giver_realises_and_the_takers_lot_opens_at_the_price() -> None:
    ledger = holder()
    assert ledger.cross(crossed(qty=Decimal("1.5"), px=Decimal(100)))
    gave, took = ledger.holding("strategy/a", "BTC"), ledger.holding("strategy/b", "BTC")
    assert gave is not None
    assert took is not None
    assert (gave.qty, gave.avg_px, gave.pid, gave.round) == (Decimal("0.5"), Decimal(80), b"old", b"before")
    assert (took.qty, took.avg_px, took.pid, took.round) == (Decimal("1.5"), Decimal(100), b"new", b"r")
    assert took.opened == 9
    assert ledger.realised_of("strategy/a") == Decimal(30)  # of 80 each at 100
    assert ledger.unrealised("strategy/b") == Decimal(-15)  # the mark is 90
    assert (ledger.cash("USDT"), ledger.cash("BTC"), ledger.fees) == (Decimal(840), Decimal(7), Decimal(0))
    assert ledger.last is not None
    assert (ledger.last.kind, ledger.last.uncovered) == ("crossed", ())


@pytest.mark.parametrize(
    "over",
    [
        {"qty": Decimal("2.000001")}, {"qty": Decimal(0)}, {"qty": Decimal(-1)}, {"qty": Decimal("NaN")},
        {"px": Decimal(0)}, {"px": Decimal("Infinity")}, {"buyer": "strategy/a"}, {"seller": "strategy/x"},
        {"seller": OPENING}, {"buyer": OPENING}, {"buyer": EXTERNAL}, {"buyer": ""}, {"symbol": "DOGE/USDT"},
        {"symbol": "ETH/BTC"}, {"symbol": "ETH/USDT"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_and_leaves_no_trace(over: dict[str, object]) -> None:
    ledger = holder()
    before = ledger.snapshot()
    with pytest.raises(StateError):
        ledger.cross(crossed(**over))
    assert ledger.snapshot() == before


def test_the_same_crossing_with_other_content_is_refused() -> None:
    ledger = holder()
    assert ledger.cross(crossed())
    with pytest.raises(StateError, match="again with other content"):
        ledger.cross(crossed(px=Decimal(101)))


def test_contracts_are_not_crossed() -> None:
    base = "BTC:USDT"
    perpetual = replace(
        INSTRUMENTS["BTC/USDT"], symbol="BTC/USDT:USDT", base=base, margin=Decimal("0.1")
    )  # fmt: skip
    ledger = Ledger("main", "USDT", {perpetual.symbol: perpetual})
    ledger.open((("USDT", Decimal(100)), (base, Decimal(1))), 0)
    ledger.mark(perpetual.symbol, Decimal(90), 1)
    with pytest.raises(StateError, match="nothing that can be crossed"):
        ledger.cross(crossed(symbol=perpetual.symbol))
