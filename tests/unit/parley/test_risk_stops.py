"""Which stops the gate lets a venue hold: those that reduce what their holder has, beyond the market."""

from __future__ import annotations

from decimal import Decimal

import pytest

from parley.execution.protective import is_nearer, stop_for
from parley.messages import Cash, Intent, StateView
from parley.risk.gate import Approved, check
from parley.risk.limits import limits_of
from tests.kit.builders import make_instrument
from tests.kit.risk_cases import (
    exit_facts,
    holding_account,
    make_exit,
    make_facts,
    make_holding,
    make_intent,
    make_order,
    make_reservation,
    wide_book,
)

D = Decimal
ME = "strategy/ema"
GRID = make_instrument()


def stop(**over: object) -> Intent:
    """A stop for all of the 0.2 BTC held, 1 % below the market."""
    fields: dict[str, object] = {
        "side": "sell", "style": "stop_limit", "tif": "GTC", "reduce_only": True, "qty": D("0.2"),
        "trigger": D(59_400), "px": D(58_600), "reservation_id": b"", "agent": ME, "leg": 255, "child": 1,
    }  # fmt: skip
    return make_intent(**(fields | over))


def codes(intent: Intent, state: StateView | None = None, **over: object) -> list[str]:
    facts = make_facts(
        holding_account() if state is None else state, **({"verdict": None, "reservation": None} | over)
    )
    found = check(intent, facts, limits_of({}))
    return [] if isinstance(found, Approved) else [b.limit for b in found.breaches]


def guard(**over: object) -> object:
    fields: dict[str, object] = {
        "agent": ME, "qty": D("0.2"), "px": D(58_600), "trigger": D(59_400), "leg": 255, "iid": b"g" * 16,
    }  # fmt: skip
    return make_order(**(fields | over))


def guarded_account(**over: object) -> StateView:
    cash = (
        Cash(asset="BTC", total=D("0.2"), reserved=D("0.2")),
        Cash(asset="USDT", total=D(88_000), reserved=D(0)),
    )
    return holding_account(orders=(guard(**over),), cash=cash)


def test_a_stop_for_what_is_held_passes_without_a_verdict() -> None:
    assert codes(stop()) == []
    assert codes(stop(), trading="REDUCING") == []


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"reduce_only": False}, "stop"),
        ({"qty": D("0.20001")}, "stop_holding"),
        ({"agent": "strategy/grid"}, "stop_holding"),
        ({"side": "buy", "trigger": D(60_600), "px": D(61_000)}, "stop_holding"),
        ({"px": D("59400.01")}, "stop_limit"),
        ({"trigger": D("59999.0"), "px": D(59_500)}, "stop_reached"),
        ({"trigger": D(60_500), "px": D(60_000)}, "stop_reached"),
        ({"trigger": D("59400.001")}, "off_grid"),
        ({"trigger": D("NaN")}, "not_finite"),
        ({"trigger": D(-1)}, "not_finite"),
        ({"trigger": D(0)}, "not_finite"),
        ({"trigger": None}, "unknown_enum"),
        ({"style": "limit"}, "unknown_enum"),
        ({"tif": "IOC"}, "unknown_enum"),
        ({"px": None}, "unknown_enum"),
        ({"px": D(57_600)}, "collar"),  # 303 bps beyond its trigger, of 300
    ],
)
def test_a_stop_that_does_not_protect_is_refused(over: dict[str, object], code: str) -> None:
    assert code in codes(stop(**over))


def test_a_stop_far_below_the_market_is_measured_from_its_trigger() -> None:
    assert codes(stop(trigger=D(48_000), px=D(47_300))) == []


@pytest.mark.parametrize("trading", ["HALTED", "nonsense"])
def test_nothing_stands_where_nothing_may_be_sent(trading: str) -> None:
    assert "trading_state" in codes(stop(), trading=trading)


def test_a_stop_on_old_or_missing_data_is_refused() -> None:
    assert "stale_data" in codes(stop(), data_age_ms=1e6)
    assert "bad_book" in codes(stop(), book=None)
    assert "gateway_silent" in codes(stop(), gateway_alive=False)
    assert "unknown_account" in codes(stop(), view=None)


def test_the_holder_has_one_stop_and_sells_nothing_beside_it() -> None:
    assert "guarded" in codes(stop(iid=b"n" * 16, cid="n"), guarded_account())
    facts = exit_facts(guarded_account())
    found = check(make_exit(agent=ME), facts, limits_of({}))
    assert not isinstance(found, Approved)
    assert "guarded" in [b.limit for b in found.breaches]


def test_what_is_being_sold_is_not_guarded_too() -> None:
    leaving = make_order(agent=ME, qty=D("0.1"))
    assert "stop_holding" in codes(stop(), holding_account(orders=(leaving,)))
    reserved = make_reservation(side="sell", asset="BTC", amount=D("0.1"))
    assert "stop_holding" in codes(stop(), holding_account(reservations=(reserved,)))


def test_anothers_stop_is_counted_and_in_nobodys_way() -> None:
    both = {
        "holdings": (make_holding(qty="0.1"), make_holding("strategy/grid", qty="0.1")),
        "orders": (guard(agent="strategy/grid", qty=D("0.1")),),
        "cash": (Cash(asset="BTC", total=D("0.2"), reserved=D("0.1")),),
    }
    assert codes(stop(qty=D("0.1")), holding_account(**both)) == []
    assert codes(stop(qty=D("0.11")), holding_account(**both)) != []


def test_a_waiting_stop_is_in_no_book_that_a_purchase_could_meet() -> None:
    buy = make_intent(agent="strategy/grid")  # at 60,010, above the stop's limit of 58,600
    account = guarded_account()
    found = check(buy, make_facts(account), limits_of({"self_match_prevention": True}))
    assert isinstance(found, Approved) or "self_match" not in [b.limit for b in found.breaches]
    assert "self_match" in [
        b.limit
        for b in getattr(check(buy, make_facts(guarded_account(trigger=None)), limits_of({})), "breaches", ())
    ]


def resting(px: str, **over: object) -> Intent:
    """Another agent's bid that would rest in the book."""
    return make_intent(**({"agent": "strategy/grid", "px": D(px), "tif": "GTC", "qty": D("0.05")} | over))


@pytest.mark.parametrize(
    ("px", "refused"),
    [
        ("59400.01", False), ("59400", True), ("59000", True), ("58600", True), ("58599.99", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", ["limit", "post_only"])
@pytest.mark.parametrize("limits", [{}, {"self_match_prevention": False}])
def test_nothing_rests_between_the_trigger_and_the_limit_of_an_own_stop(
    px: str, refused: bool, style: str, limits: dict[str, object]
) -> None:
    found = check(resting(px, style=style), make_facts(guarded_account()), limits_of(limits))
    codes = [] if isinstance(found, Approved) else [b.limit for b in found.breaches]
    assert ("stop_reach" in codes) == refused
    assert isinstance(found, Approved) or codes == ["stop_reach"]


def test_a_stop_is_in_the_way_of_what_would_meet_it_and_of_nothing_else() -> None:
    def reasons(intent: Intent, state: StateView) -> list[str]:
        found = check(intent, make_facts(state), limits_of({}))
        return [] if isinstance(found, Approved) else [b.limit for b in found.breaches]

    assert "stop_reach" in reasons(resting("59000", agent=ME), guarded_account())  # its own holder's too
    assert "stop_reach" in reasons(resting("59000"), guarded_account(state="PENDING_CANCEL"))
    assert "stop_reach" not in reasons(resting("59000", tif="IOC"), guarded_account())
    assert "stop_reach" not in reasons(resting("59000"), guarded_account(symbol="ETH/USDT"))
    assert "stop_reach" not in reasons(resting("59000"), guarded_account(side="buy"))
    # of a short holding, the other way round
    short = guarded_account(side="buy", trigger=D(60_600), px=D(61_200))
    for px, refused in (("60599.99", False), ("60600", True), ("61200", True), ("61200.01", False)):
        assert ("stop_reach" in reasons(resting(px, side="sell"), short)) == refused


def test_an_approved_stop_says_its_trigger_in_the_record() -> None:
    facts = make_facts(holding_account(), verdict=None, reservation=None)
    found = check(stop(), facts, limits_of({}))
    assert isinstance(found, Approved)
    assert ("trigger", "59400") in found.values
    assert found.intent.risk_hash


def test_the_order_of_a_stop_is_on_the_grid_and_beyond_its_trigger() -> None:
    found = stop_for(D("0.200004"), D("59399.996"), GRID)
    assert found is not None
    assert (found.side, found.qty, found.trigger) == ("sell", D("0.20000"), D("59400.00"))
    assert found.limit == D("58509.00")
    assert stop_for(D("0.00000"), D(59_400), GRID) is None
    short = stop_for(D("-0.2"), D(60_600), GRID)
    assert short is not None
    assert (short.side, short.limit > short.trigger) == ("buy", True)


def test_a_stop_is_nearer_only_by_more_than_a_step() -> None:
    assert not is_nearer("sell", D(59_400), D(59_400))
    assert not is_nearer("sell", D("59429.70"), D(59_400))  # 5 bps
    assert is_nearer("sell", D("59429.71"), D(59_400))
    assert not is_nearer("sell", D(59_000), D(59_400))
    assert is_nearer("buy", D(60_000), D(60_600))
    assert wide_book().bids[0][0] > 59_400
