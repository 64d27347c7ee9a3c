"""The ledger's identities, over random lives of an account."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import StateError
from parley.ledger import Ledger
from parley.messages import Fill
from parley.money import exact
from tests.kit.builders import make_fill
from tests.kit.ledger_runs import Event, balances, events, new_ledger, opened, play

Sums = dict[str, Fraction]


def naive_cash(opening: dict[str, Decimal], booked: list[Event]) -> Sums:
    """What every balance must be: the signed sum of all that moved, nothing else."""
    cash: Sums = defaultdict(Fraction)
    for asset, amount in opening.items():
        cash[asset] += Fraction(amount)
    for event in booked:
        match event:
            case ("fill", Fill() as fill, _, _, _):
                base, quote = fill.symbol.split("/")
                sign = 1 if fill.side == "buy" else -1
                cash[base] += sign * Fraction(fill.qty)
                cash[quote] -= sign * Fraction(fill.qty) * Fraction(fill.px)
                cash[fill.fee_asset] -= Fraction(fill.fee)
            case ("funding", _, Decimal() as amount, str(asset), _, _):
                cash[asset] += Fraction(amount)
            case _:
                pass
    return cash


def assert_consistent(ledger: Ledger) -> None:
    with exact():
        assert ledger.equity() == ledger.opening + ledger.realised + ledger.unrealised()
    held: Sums = defaultdict(Fraction)
    for holding in ledger.holdings():
        held[holding.symbol] += Fraction(holding.qty)
    assert held == {p.symbol: Fraction(p.qty) for p in ledger.positions()}
    owners = {h.agent for h in ledger.holdings()}
    assert sum(Fraction(ledger.unrealised(o)) for o in owners) == Fraction(ledger.unrealised())


def assert_closed(ledger: Ledger) -> None:
    """Every transaction sums to zero per asset in amount, and in value."""
    amounts: Sums = defaultdict(Fraction)
    value = Fraction(0)
    for leg in ledger.postings:
        amounts[leg.asset] += Fraction(leg.amount)
        value += Fraction(leg.value)
    assert value == 0
    assert not any(amounts.values())


@given(balances, events())
def test_identities_hold_after_every_event(opening: dict[str, Decimal], life: list[Event]) -> None:
    ledger = opened(opening)
    assert_consistent(ledger)
    for _ in play(ledger, life):
        assert_consistent(ledger)
        assert_closed(ledger)


@given(balances, events())
def test_balances_are_those_of_a_naive_count(opening: dict[str, Decimal], life: list[Event]) -> None:
    ledger = opened(opening)
    booked = [event for event, new in play(ledger, life) if new]
    cash = naive_cash(opening, booked)
    assert {a: Fraction(ledger.cash(a)) for a in cash} == cash
    assert ledger.assets() == tuple(sorted(a for a, amount in cash.items() if amount))
    worth = sum((cash[a] * Fraction(m) for a, m in ledger.marks.items()), cash["USDT"])
    assert Fraction(ledger.equity()) == worth


@given(balances, events())
def test_realised_by_agent_and_by_position_sums_to_the_account(
    opening: dict[str, Decimal], life: list[Event]
) -> None:
    ledger = opened(opening)
    owners = {"opening", "unassigned", "external", "strategy/a", "strategy/b"}
    for _ in play(ledger, life):
        assert sum(Fraction(ledger.realised_of(o)) for o in owners) == Fraction(ledger.realised)


@given(balances, events())
def test_nobody_but_unassigned_goes_short_in_what_has_a_mark(
    opening: dict[str, Decimal], life: list[Event]
) -> None:
    ledger = opened(opening)
    unvalued_once = False
    for _ in play(ledger, life):
        for holding in ledger.holdings():
            asset = holding.symbol.partition("/")[0]
            unvalued_once |= asset not in ledger.marks
            if holding.agent != "unassigned" and not (unvalued_once and holding.agent == "opening"):
                assert holding.qty > 0


@given(balances, events(), st.data())
def test_a_duplicate_anywhere_changes_nothing(
    opening: dict[str, Decimal], life: list[Event], data: st.DataObject
) -> None:
    plain, doubled = opened(opening), opened(opening)
    booked = [event for event, _ in play(plain, life)]
    seen: list[Event] = []
    for event in booked:
        list(play(doubled, [event]))
        seen.append(event)
        again = data.draw(st.permutations([e for e in seen if e[0] != "mark"][-3:]))
        before = doubled.snapshot()
        assert not any(new for _, new in play(doubled, list(again)))
        assert doubled.snapshot() == before
    assert doubled.snapshot() == plain.snapshot()


@given(balances, events(), st.integers(0, 25))
def test_a_restored_ledger_goes_on_as_if_nothing_happened(
    opening: dict[str, Decimal], life: list[Event], cut: int
) -> None:
    straight = opened(opening)
    list(play(straight, life[:cut]))
    restored = new_ledger()
    restored.restore(straight.snapshot())
    assert restored.snapshot() == straight.snapshot()
    assert list(play(restored, life[cut:])) == list(play(straight, life[cut:]))
    assert restored.snapshot() == straight.snapshot()
    assert restored.positions() == straight.positions()
    assert restored.holdings() == straight.holdings()
    assert restored.equity() == straight.equity()


@given(st.sampled_from(["side", "qty", "px", "fee", "fee_asset"]))
def test_a_known_trade_with_other_content_is_fatal(field: str) -> None:
    other: dict[str, object] = {
        "side": "sell", "qty": "0.2", "px": "60001", "fee": "1", "fee_asset": "BNB",
    }  # fmt: skip
    ledger = new_ledger()
    ledger.apply(make_fill(), agent="strategy/a", pid=b"", round=b"")
    before = ledger.snapshot()
    with pytest.raises(StateError, match="other content"):
        ledger.apply(make_fill(**{field: other[field]}), agent="strategy/a", pid=b"", round=b"")
    assert ledger.snapshot() == before
