"""The ledger on small accounts whose figures were worked out by hand."""

# A Decimal equals the int of its value, also in a tuple.
# mypy: disable-error-code=comparison-overlap

from collections.abc import Mapping
from decimal import Decimal

import pytest

from parley.errors import StateError
from parley.ledger import EXTERNAL, OPENING, UNASSIGNED, Ledger
from parley.ledger.lots import Lot
from tests.kit.builders import make_fill, make_instrument

PAIRS = ("BTC/USDT", "ETH/USDT", "BNB/USDT", "ETH/BTC", "USDT/TRY")
A = {"agent": "strategy/a", "pid": b"a", "round": b"ra"}
B = {"agent": "strategy/b", "pid": b"b", "round": b"rb"}


def account(*balances: tuple[str, str], marks: tuple[tuple[str, str], ...] = ()) -> Ledger:
    ledger = Ledger("main", "USDT", {pair: make_instrument(pair) for pair in PAIRS})
    ledger.open([(asset, Decimal(amount)) for asset, amount in balances], 0)
    for symbol, px in marks:
        ledger.mark(symbol, Decimal(px), 0)
    return ledger


def book(ledger: Ledger, by: Mapping[str, object], n: int, **fill: object) -> bool:
    agent, pid, round_ = str(by["agent"]), by["pid"], by["round"]
    assert isinstance(pid, bytes)
    assert isinstance(round_, bytes)
    return ledger.apply(make_fill(trade_id=f"t{n}", t=n, **fill), agent=agent, pid=pid, round=round_)


def test_a_purchase_and_a_sale_with_quote_fees_earn_the_difference_less_fees() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="2", px="100", fee="0.2")
    ledger.mark("BTC/USDT", Decimal(110), 1)
    assert ledger.equity() == Decimal("1019.8")
    assert (ledger.realised, ledger.unrealised(), ledger.fees) == (Decimal("-0.2"), 20, Decimal("0.2"))
    book(ledger, A, 2, side="sell", qty="2", px="110", fee="0.22")
    assert ledger.holdings() == ()
    assert ledger.cash("USDT") == ledger.equity() == Decimal("1019.58")
    assert ledger.realised_of("strategy/a") == Decimal("19.58")


def test_a_partial_sale_takes_its_part_of_the_total_cost() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100")
    book(ledger, A, 2, qty="2", px="103")
    book(ledger, A, 3, side="sell", qty="1", px="110")
    (held,) = ledger.holdings()
    assert (held.qty, held.avg_px) == (2, 102)
    assert ledger.realised == 8


def test_a_cost_that_does_not_divide_leaves_no_remainder_once_all_is_sold() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="3", px="33.33", fee="0.01")
    for n in (2, 3, 4):
        book(ledger, A, n, side="sell", qty="1", px="33.34")
    assert ledger.positions() == ()
    assert ledger.realised == Decimal("0.02")
    assert ledger.equity() == Decimal("1000.02")


def test_a_base_fee_is_taken_from_what_was_bought() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100", fee="0.001", fee_asset="BTC")
    (held,) = ledger.holdings()
    assert (held.qty, held.avg_px) == (Decimal("0.999"), 100)
    assert (ledger.fees, ledger.realised) == (Decimal("0.1"), Decimal("-0.1"))


def test_a_fee_in_a_third_asset_costs_its_mark_and_is_paid_by_the_opening_balance() -> None:
    ledger = account(("USDT", "1000"), ("BNB", "1"), marks=(("BNB/USDT", "600"),))
    ledger.mark("BNB/USDT", Decimal(700), 1)
    book(ledger, A, 1, qty="1", px="100", fee="0.001", fee_asset="BNB")
    assert ledger.fees == Decimal("0.7")
    assert ledger.realised_of("strategy/a") == Decimal("-0.7")
    assert ledger.realised_of(OPENING) == Decimal("0.1")  # 0.001 BNB that cost 600 went at 700
    assert ledger.cash("BNB") == Decimal("0.999")


def test_a_rebate_is_a_gain() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100", fee="-0.01")
    assert (ledger.fees, ledger.realised, ledger.cash("USDT")) == (
        Decimal("-0.01"), Decimal("0.01"), Decimal("900.01"),
    )  # fmt: skip


def test_a_cross_gives_one_asset_and_takes_the_other_at_the_same_value() -> None:
    ledger = account(("USDT", "100000"), marks=(("BTC/USDT", "50000"), ("ETH/USDT", "2600")))
    book(ledger, A, 1, qty="1", px="50000")
    ledger.mark("BTC/USDT", Decimal(52_000), 2)
    book(ledger, A, 2, symbol="ETH/BTC", qty="10", px="0.05", fee_asset="BTC")
    btc, eth = ledger.holdings()
    assert (btc.symbol, btc.qty, btc.avg_px) == ("BTC/USDT", Decimal("0.5"), 50_000)
    assert (eth.symbol, eth.qty, eth.avg_px) == ("ETH/USDT", 10, 2_600)
    assert ledger.realised == 1_000  # half a BTC, bought at 50,000, given at 52,000


def test_a_pair_whose_base_is_the_quote_currency_values_the_other_side() -> None:
    ledger = account(("USDT", "100"))
    book(ledger, A, 1, symbol="USDT/TRY", side="sell", qty="10", px="40", fee_asset="TRY")
    (held,) = ledger.holdings()
    assert (held.symbol, held.qty, held.avg_px) == ("TRY/USDT", 400, Decimal("0.025"))
    assert ledger.equity() == 100


def test_opening_assets_cost_what_their_first_mark_says() -> None:
    ledger = account(("USDT", "100"), ("BTC", "2"))
    assert (ledger.opening, ledger.equity()) == (100, 100)
    ledger.mark("BTC/USDT", Decimal(50), 1)
    assert (ledger.opening, ledger.equity(), ledger.unrealised()) == (200, 200, 0)
    ledger.mark("BTC/USDT", Decimal(60), 2)
    assert (ledger.opening, ledger.equity(), ledger.unrealised()) == (200, 220, 20)


def test_the_first_fill_marks_what_nobody_marked() -> None:
    ledger = account(("USDT", "100"), ("BTC", "2"))
    book(ledger, A, 1, side="sell", qty="1", px="50")
    assert (ledger.opening, ledger.realised, ledger.equity()) == (200, 0, 200)


def test_a_sale_beyond_the_own_holding_takes_the_opening_balance_then_nobodys() -> None:
    ledger = account(("USDT", "100"), ("BTC", "1"), marks=(("BTC/USDT", "50"),))
    book(ledger, B, 1, qty="1", px="50")
    book(ledger, A, 2, qty="1", px="50")
    book(ledger, A, 3, side="sell", qty="2.5", px="60")
    assert [(h.agent, h.qty) for h in ledger.holdings()] == [("strategy/b", 1), (UNASSIGNED, Decimal("-0.5"))]
    assert ledger.last is not None
    assert ledger.last.uncovered == (("BTC", Decimal("0.5")),)
    assert ledger.cash("BTC") == Decimal("0.5")
    assert (ledger.realised_of("strategy/a"), ledger.realised_of(OPENING)) == (10, 10)
    assert ledger.realised_of(UNASSIGNED) == 0


def test_an_agent_sells_its_own_before_the_opening_balance() -> None:
    ledger = account(("USDT", "100"), ("BTC", "1"), marks=(("BTC/USDT", "50"),))
    book(ledger, A, 1, qty="1", px="60")
    book(ledger, A, 2, side="sell", qty="1", px="70")
    assert [(h.agent, h.qty) for h in ledger.holdings()] == [(OPENING, 1)]
    assert ledger.realised_of("strategy/a") == 10


def test_a_lot_that_turns_from_long_to_short_divides_the_worth() -> None:
    lot = Lot(opened=0, round=b"", pid=b"")
    assert lot.move(Decimal(2), Decimal(200)) == 0
    assert lot.move(Decimal(-3), Decimal(330)) == 20
    assert (lot.qty, lot.cost) == (-1, -110)
    assert lot.move(Decimal(1), Decimal(100)) == 10
    assert (lot.qty, lot.cost) == (0, 0)


def test_dust_counts_as_closed_when_the_next_purchase_comes() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100", fee="0.000001", fee_asset="BTC")
    book(ledger, A, 2, side="sell", qty="0.99999", px="100")
    dust = ledger.holding("strategy/a", "BTC")
    assert dust is not None
    assert (dust.qty, dust.opened) == (Decimal("0.000009"), 1)
    later = {"agent": "strategy/a", "pid": b"c", "round": b"rc"}
    book(ledger, later, 3, qty="1", px="100")
    held = ledger.holding("strategy/a", "BTC")
    assert held is not None
    assert (held.opened, held.pid, held.round) == (3, b"c", b"rc")


def test_an_increase_keeps_what_opened_the_holding() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100")
    book(ledger, {**A, "pid": b"z"}, 2, qty="1", px="100")
    (held,) = ledger.holdings()
    assert (held.opened, held.pid) == (1, b"a")


def test_funding_is_shared_by_who_holds_and_booked_once() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="1", px="100")
    book(ledger, B, 2, qty="3", px="100")
    assert ledger.funding("BTC/USDT", Decimal("-0.4"), "USDT", 3, "f1")
    assert not ledger.funding("BTC/USDT", Decimal("-0.40"), "USDT", 3, "f1")
    assert (ledger.realised_of("strategy/a"), ledger.realised_of("strategy/b")) == (
        Decimal("-0.1"), Decimal("-0.3"),
    )  # fmt: skip
    with pytest.raises(StateError, match="other content"):
        ledger.funding("BTC/USDT", Decimal("0.4"), "USDT", 3, "f1")


def test_a_fill_read_twice_in_another_spelling_is_the_same_fill() -> None:
    ledger = account(("USDT", "1000"))
    assert book(ledger, A, 1, qty="1", px="100")
    assert not book(ledger, A, 1, qty="1.000", px="1e2", liquidity="", venue_id="other")
    assert ledger.cash("BTC") == 1


def test_the_legs_of_a_fill_are_a_transaction() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="2", px="100", fee="0.2")
    legs = {(leg.account, leg.asset): (leg.amount, leg.value) for leg in ledger.postings[:-1]}
    assert legs == {
        ("trade", "USDT"): (200, 200),
        ("cash", "USDT"): (-200, -200),
        ("trade", "BTC"): (-2, -200),
        ("cash", "BTC"): (2, 200),
        ("fees", "USDT"): (Decimal("0.2"), Decimal("0.2")),
    }
    assert ledger.postings[-1].amount == Decimal("-0.2")


@pytest.mark.parametrize(
    "broken",
    [
        {"account": "other"},
        {"symbol": "DOGE/USDT"},
        {"qty": "0"},
        {"px": "-1"},
        {"side": "hold"},
        {"fee": "NaN"},
        {"qty": "Infinity"},
        {"symbol": "ETH/BTC"},  # neither side has a mark
        {"qty": "1e-130"},  # the sum of cash would need rounding
        {"qty": "NaN"},
    ],
    ids=str,
)
def test_a_fill_that_cannot_be_is_fatal(broken: dict[str, object]) -> None:
    with pytest.raises(StateError):
        book(account(("USDT", "1000")), A, 1, **broken)


@pytest.mark.parametrize("px", ["0", "-1", "NaN", "Infinity"])
def test_a_price_that_cannot_be_marks_nothing(px: str) -> None:
    with pytest.raises(StateError, match="cannot mark"):
        account().mark("BTC/USDT", Decimal(px), 0)


def test_a_cross_marks_nothing() -> None:
    ledger = account(("ETH", "1"))
    ledger.mark("ETH/BTC", Decimal("0.05"), 0)
    assert ledger.marks == {}


def test_an_account_opens_once_and_never_with_a_debt() -> None:
    with pytest.raises(StateError, match="open already"):
        account(("USDT", "1")).open([], 0)
    with pytest.raises(StateError, match=">= 0"):
        account(("USDT", "-1"))


def test_fills_of_nobodys_decision_have_a_sub_ledger_of_their_own() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, {"agent": EXTERNAL, "pid": b"", "round": b""}, 1, qty="1", px="100")
    assert [h.agent for h in ledger.holdings()] == [EXTERNAL]


def test_a_snapshot_of_another_account_or_of_nothing_is_refused() -> None:
    ledger = account(("USDT", "1"))
    other = Ledger("other", "USDT", {})
    with pytest.raises(StateError, match="snapshot of"):
        other.restore(ledger.snapshot())
    with pytest.raises(StateError, match="not a snapshot"):
        ledger.restore(b"\x93")


def test_a_snapshot_whose_sub_ledgers_miss_the_balance_is_refused() -> None:
    ledger = account(("USDT", "1000"))
    book(ledger, A, 1, qty="0.125", px="100")
    forged = ledger.snapshot().replace(b"\xa50.125", b"\xa50.126", 1)
    assert forged != ledger.snapshot()
    with pytest.raises(StateError, match="do not sum"):
        ledger.restore(forged)
