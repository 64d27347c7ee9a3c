"""What the gate asks of what is held: what moves with an order, for how long, and in which money it is meant.

Not here: what a desk folds to know it (tests/unit/orchestrator/test_together.py), who leaves what is too old
(tests/unit/orchestrator/test_age_exits.py).
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.errors import ConfigError
from parley.messages import Cash, StateView, WorkingOrder
from parley.risk import Approved, GateFacts, Refused, check, limits_of
from parley.risk.assess import assess
from parley.risk.holding_rules import held_since
from parley.risk.nodes import longest_age_h
from parley.view import FirmView
from tests.kit.builders import T0, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import (
    exit_facts,
    holding_account,
    make_account,
    make_exit,
    make_facts,
    make_holding,
    make_intent,
    make_order,
    make_position,
    make_reservation,
    wide_book,
)

D = Decimal
HOUR = 3_600_000_000_000
ME = "strategy/ema"
ETH = ("BTC/USDT", "ETH/USDT")


def ether_account(qty: str = "18", **over: object) -> StateView:
    """An account with 18 ETH at 2,500, 45 % of it, held by another bot."""
    fields: dict[str, object] = {
        "positions": (make_position("ETH/USDT", qty, "2500"),),
        "holdings": (make_holding("strategy/grid", "ETH/USDT", qty),),
        "cash": (Cash(asset="USDT", total=D(55_000), reserved=D(0)),),
    }
    return make_account(**(fields | over))


def found(
    facts: GateFacts, limits: dict[str, object] | None = None, **order: object
) -> list[tuple[str, str]]:
    answer = check(make_intent(**order), facts, limits_of(limits or {}))
    return [(b.limit, b.cap) for b in answer.breaches] if isinstance(answer, Refused) else []


# what moves together


@pytest.mark.parametrize(
    ("correlations", "passes"),
    [
        ({}, False),
        ({ETH: 0.8}, False),
        ({ETH: 0.79}, True),
        ({ETH: -1.0}, True),
        ({ETH: float("nan")}, False),
    ],
)
def test_what_moves_with_an_order_counts_and_what_nobody_knows_moves_with_it(
    correlations: dict[tuple[str, str], float], passes: bool
) -> None:
    # 6 % beside 45 %, whatever the risk agent's verdict says
    facts = make_facts(ether_account(), correlations=correlations)
    assert found(facts) == ([] if passes else [("max_correlated", "0.50")])
    assert found(facts, {"max_correlated": "0.52"}) == []


def test_whose_worth_is_not_known_is_refused_and_exits_are_not_asked() -> None:
    odd = make_position("ODD/ETH", "1", "1")
    held = ether_account(positions=(*ether_account().positions, odd))
    assert ("max_correlated", "0.50") in found(make_facts(held))
    mine = holding_account(
        positions=(make_position(), make_position("ETH/USDT", "18", "2500")),
    )
    assert isinstance(check(make_exit(), exit_facts(mine), limits_of({"max_correlated": "0.01"})), Approved)


@pytest.mark.parametrize(
    ("node", "cap", "refused"),
    [
        ("account", "0.50", True), ("account", "0.52", False), ("platform", "0.50", True),
        ("bot:strategy/ema", "0.07", False), ("bot:strategy/ema", "0.05", True),  # what it holds itself
        ("bot:strategy/grid", "0.01", False),
    ],
)  # fmt: skip
def test_a_node_caps_what_moves_together(node: str, cap: str, refused: bool) -> None:
    limits = {"max_correlated": "0.9", "tree": {node: {"max_correlated": cap}}}
    assert found(make_facts(ether_account()), limits) == (
        [(f"{node} max_correlated", cap)] if refused else []
    )
    apart = make_facts(ether_account(), correlations={ETH: 0.1})
    assert found(apart, limits) == (
        [(f"{node} max_correlated", cap)] if node.startswith("bot:") and refused else []
    )


# age


def test_nothing_is_added_to_what_is_held_for_too_long() -> None:
    old = (make_holding(opened=T0 - 168 * HOUR - 1),)
    assert found(make_facts(holding_account(holdings=old))) == [("max_position_age", "168")]
    assert found(make_facts(holding_account(holdings=(make_holding(opened=T0 - 168 * HOUR),)))) == []
    others = (make_holding("strategy/grid", opened=T0 - 999 * HOUR),)
    assert found(make_facts(holding_account(holdings=others))) == []
    dust = holding_account(
        holdings=(make_holding(qty="0.00001", opened=0),), positions=(make_position(qty="0.00001"),)
    )
    assert found(make_facts(dust)) == []
    assert isinstance(check(make_exit(), exit_facts(holding_account(holdings=old)), limits_of({})), Approved)


def test_a_holding_is_as_old_by_whichever_pair_it_is_added_to() -> None:
    view = FirmView(ether_account())
    (held,) = view.state.holdings
    assert (
        held_since(view, "strategy/grid", "ETH/USDT")
        == held_since(view, "strategy/grid", "ETH/BTC")
        == held.opened
    )
    assert held_since(view, ME, "ETH/BTC") is held_since(view, "strategy/grid", "BTC/ETH") is None


@pytest.mark.parametrize(
    ("node", "refused"),
    [
        ("platform", True), ("account", True), ("bot:strategy/ema", True), ("symbol:BTC/USDT", True),
        ("bot:strategy/grid", False), ("symbol:ETH/USDT", False),
    ],
)  # fmt: skip
def test_a_node_says_for_how_long_something_may_be_held(node: str, refused: bool) -> None:
    limits = {"tree": {node: {"max_position_age_h": 24}}}
    old = holding_account(holdings=(make_holding(opened=T0 - 24 * HOUR - 1),))
    assert found(make_facts(old), limits) == ([(f"{node} max_position_age_h", "24")] if refused else [])
    assert found(make_facts(holding_account(holdings=(make_holding(opened=T0 - 24 * HOUR),))), limits) == []
    assert isinstance(check(make_exit(), exit_facts(old), limits_of(limits)), Approved)


def test_the_shortest_age_on_a_path_counts_and_none_means_for_ever() -> None:
    tree = limits_of({
        "tree": {
            "account": {"max_position_age_h": 48}, f"bot:{ME}": {"max_position_age_h": 24},
            "symbol:ETH/USDT": {"max_position_age_h": 1}, "platform": {"max_gross": "0.9"},
        }
    }).tree  # fmt: skip
    assert longest_age_h(tree, ME, "BTC/USDT") == 24
    assert longest_age_h(tree, ME, "ETH/USDT") == 1
    assert longest_age_h(tree, "strategy/grid", "BTC/USDT") == 48
    assert longest_age_h({"platform": tree["platform"]}, ME, "BTC/USDT") is None
    with pytest.raises(ConfigError, match="max_position_age_h must be at least 1"):
        limits_of({"tree": {"account": {"max_position_age_h": 0}}})


def test_risk_says_so_before_the_gate_has_to() -> None:
    bid = make_proposal(agent=ME, legs=(make_leg(qty=D("0.1")),))
    marks, instruments = {"BTC/USDT": 60_000.0}, {"BTC/USDT": make_instrument()}
    old = holding_account(holdings=(make_holding(opened=T0 - 24 * HOUR - 1),))
    for limits, state, code in (
        ({"max_position_age_h": 24}, old, "account max_position_age_h"),
        ({"max_correlated": "0.40"}, ether_account(), "account max_correlated"),
    ):
        table = limits_of({"max_correlated": "0.9", "tree": {"account": limits}})
        view = make_facts(state).view
        assert view is not None
        found = assess(bid, 1.0, view, table, instruments, marks, {}, T0)
        assert (found.ok, found.codes) == (False, (code,)), code


# in which money a price is meant


def cross(side: str, px: str, own: WorkingOrder) -> list[str]:
    """Ask the gate for a cross at a price beside an own order of it; 0.05 BTC a coin, 3,000 USDT."""
    order = make_intent(
        symbol="ETH/BTC", side=side, qty=D("0.1"), px=D(px), ref_px=D("0.05"), tif="GTC", style="limit"
    )
    state = make_account(
        positions=(make_position("BTC/USDT", "1", "60000"), make_position("ETH/USDT", "1", "3000")),
        cash=tuple(Cash(asset=a, total=D(1000), reserved=D(0)) for a in ("BTC", "ETH", "USDT")),
        orders=(own,),
    )  # fmt: skip
    asset, amount = ("BTC", "0.006") if side == "buy" else ("ETH", "0.1")
    facts = make_facts(
        state, book=wide_book("ETH/BTC", 0.0499, 0.0501),
        instrument=make_instrument(symbol="ETH/BTC", base="ETH", quote="BTC", tick=D("0.00001")),
        reservation=make_reservation(symbol="ETH/BTC", side=side, asset=asset, amount=D(amount)),
    )  # fmt: skip
    limits = {"self_match_prevention": False, "tree": {"account": {"self_match": True}}}
    answer = check(order, facts, limits_of(limits))
    breaches = answer.breaches if isinstance(answer, Refused) else ()
    return [b.limit for b in breaches if "self_match" in b.limit]


@pytest.mark.parametrize(
    ("side", "px", "other", "meets"),
    [
        ("buy", "0.05", "0.05001", False), ("buy", "0.05001", "0.05001", True),
        ("sell", "0.05", "0.04999", False), ("sell", "0.04999", "0.04999", True),
    ],
)  # fmt: skip
def test_a_node_compares_the_prices_of_a_cross_in_one_money(
    side: str, px: str, other: str, meets: bool
) -> None:
    own = make_order(symbol="ETH/BTC", side="sell" if side == "buy" else "buy", px=D(other))
    assert cross(side, px, own) == (["account self_match"] if meets else [])


def test_an_exit_passes_a_node_that_cannot_value_what_else_is_held() -> None:
    limits = limits_of({"tree": {"account": {"max_gross": "0.5", "collar_bps": "300"}}})
    odd = holding_account(positions=(make_position(), make_position("ODD/ETH", "1", "1")))
    assert isinstance(check(make_exit(), exit_facts(odd), limits), Approved)
    poor = replace(holding_account(), equity=D(-1))
    assert isinstance(check(make_exit(), exit_facts(poor), limits), Approved)
    assert isinstance(check(make_intent(), make_facts(odd), limits), Refused)
