"""What contracts may owe, held against a desk's capital by the gateway's last look.

Not here: that no interleaving exceeds it (tests/property/test_lastlook_contracts.py).
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from msgspec.structs import replace

from parley.instruments import Tier
from parley.messages import LimitChange
from parley.risk.limits import limits_of
from runtime.followed import Followed
from runtime.lastlook import Counters
from runtime.lastlook_contracts import Contracts
from tests.kit.contracts import BTC, ETH, contract, done, end, fill, limits, look, mark, order, paid

FREE = {"taker_fee": D(0)}


def at(leverage: int, **over: Any) -> dict[str, Any]:
    return {each: contract(each, leverage, **FREE | over) for each in (BTC, ETH)}


def most(side: str, instruments: dict[str, Any], counters: Counters, capital: int = 1000) -> D:
    """Return the largest quantity that may leave, to a thousandth."""
    low, high = 0, 10**6
    while low < high:
        middle = (low + high + 1) // 2
        no = look(order(99, side, D(middle) / 1000), counters, limits(capital), instruments)
        low, high = (low, middle - 1) if no[0] else (middle, high)
    return D(low) / 1000


@pytest.mark.parametrize(
    ("side", "leverage", "qty"),
    [
        # paid in full, a long takes what it is worth; a short of that size may lose as much again
        ("buy", 1, "10"),
        ("sell", 1, "5.025"),
        # margin m and m less maintenance to lose: 2 * value / 3 - (0.02 * value - 10) = 1000
        ("buy", 3, "15.309"),
        ("sell", 3, "15.309"),
        # the tier above 1,000 wants a tenth, whatever the leverage
        ("buy", 20, "55"),
    ],
)
def test_margin_and_what_may_be_lost_before_a_liquidation_come_out_of_the_capital(
    side: str, leverage: int, qty: str
) -> None:
    assert most(side, at(leverage), Counters()) == D(qty)


def test_what_the_capital_would_have_to_be_is_said() -> None:
    code, detail = look(order(1, "sell", 20), Counters(), limits(500), at(5))

    assert (code, detail) == ("capital", "contracts may need 770.00 USDT of this desk's 500")


def test_contract_sold_without_having_been_bought_is_a_short_and_a_spot_pair_still_is_not() -> None:
    assert look(order(1, "sell", 1), Counters(), limits()) == ("", "")


def test_contracts_share_the_capital() -> None:
    counters = Counters()
    done(counters, order(1, "sell", 250, ETH), fee=D(0))
    # 2,500 of ETH need 500 and 500 less (50 - 10); 40 are left for BTC
    assert most("buy", at(5), counters) == D("1.025")
    counters.sent(order(2, "buy", 1), 0)
    assert most("sell", at(5), counters) == D("1.025"), "only one of both sides can be the worst"
    assert most("buy", at(5), counters) == D("0.025")


def test_open_orders_of_another_contract_count_on_the_side_that_needs_more() -> None:
    counters = Counters()
    counters.sent(order(1, "sell", 250, ETH), 0)
    counters.sent(order(2, "buy", 10, ETH), 0)
    assert most("buy", at(5), counters) == D("1.025")
    assert most("sell", at(5), counters) == D("1.025")


def test_open_orders_count_as_filled_until_they_are_over() -> None:
    counters, caps, listed = Counters(), limits(), at(1)
    waiting = order(1, "buy", 10)
    counters.sent(waiting, 0)
    assert look(order(2, "buy", "0.001"), counters, caps, listed)[0] == "capital"
    counters.filled(fill(waiting, 4, fee=D(0)))
    assert look(order(2, "buy", "0.001"), counters, caps, listed)[0] == "capital"
    counters.moved(end(waiting, D(4)))
    assert look(order(2, "buy", 6), counters, caps, listed) == ("", "")
    assert look(order(2, "buy", "6.001"), counters, caps, listed)[0] == "capital"


def test_losses_count_and_profits_only_once_they_were_taken() -> None:
    caps, listed = limits(), at(1)
    counters = Counters()
    done(counters, order(1, "buy", 5), fee=D(0))
    for ref, qty in (("100", 5), ("80", 5), ("120", "3.333")):
        # at 80 the 5 lost 100 and tie up 400; at 120 they tie up 600, and what they earned is not money yet
        no = look(order(2, "buy", qty, ref=ref), counters, caps, listed)
        assert no == ("", ""), ref
    assert look(order(2, "buy", "6.251", ref=80), counters, caps, listed)[0] == "capital"
    assert look(order(2, "buy", "3.334", ref=120), counters, caps, listed)[0] == "capital"
    done(counters, order(3, "sell", 5, ref=120), fee=D(0))
    assert look(order(2, "buy", 11), counters, caps, listed) == ("", "")
    assert look(order(2, "buy", "11.001"), counters, caps, listed)[0] == "capital"


def test_other_contract_counts_at_the_mark_the_venue_said_last() -> None:
    caps, listed = limits(), at(1)
    counters = Counters()
    done(counters, order(1, "sell", 20, ETH), fee=D(0))  # 200 and as much again, less 2
    assert look(order(2, "buy", "6.02"), counters, caps, listed) == ("", "")
    assert look(order(2, "buy", "6.021"), counters, caps, listed)[0] == "capital"
    mark(counters, ETH, 15)
    # 100 lost, 300 and as much again less 3
    assert look(order(2, "buy", "3.03"), counters, caps, listed) == ("", "")
    assert look(order(2, "buy", "3.031"), counters, caps, listed)[0] == "capital"


def test_payments_and_fees_are_money_that_is_gone() -> None:
    listed, counters = at(1), Counters()
    counters.paid(paid("7", -100))
    counters.paid(paid("7", -100))
    counters.paid(paid("8", -500, prior=True))
    assert most("buy", listed, counters) == D(9)
    assert counters.positions == {"USDT": D(-100)}
    assert most("buy", {BTC: contract(BTC, 1)}, Counters()) == D("9.995")  # the fee of 0.0005


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_exits_pass_whatever_the_capital_has_become(side: str) -> None:
    counters, listed = Counters(), at(5)
    back = "sell" if side == "buy" else "buy"
    done(counters, order(1, side, 20))
    caps = limits(1, max_notional={"USDT": D(500)}, max_position={"USDT": D(500)})
    ref = 40 if side == "buy" else 400  # most of it is lost

    assert look(order(2, side, "0.001", ref=ref), counters, caps, listed)[0] in ("capital", "max_position")
    assert look(order(2, back, 20, ref=ref, reduce_only=True), counters, caps, listed) == ("", "")
    assert look(order(2, back, 4, ref=100), counters, caps, listed) == ("", "")
    counters.sent(order(3, back, 15, ref=ref, reduce_only=True), 0)
    assert look(order(4, back, 5, ref=ref, reduce_only=True), counters, caps, listed) == ("", "")
    turning = look(order(4, back, "5.001", ref=ref, reduce_only=True), counters, caps, listed)
    assert turning[0] in ("capital", "max_notional")


def test_position_counts_at_the_highest_price_that_any_of_it_is_known_at() -> None:
    counters, listed = Counters(), at(5)
    counters.sent(order(1, "sell", 2, px=150), 0)
    caps = limits(max_position={"USDT": D(450)})

    assert look(order(2, "sell", 1), counters, caps, listed) == ("", "")
    assert look(order(2, "sell", "1.001"), counters, caps, listed)[0] == "max_position"
    assert look(order(2, "buy", 3), counters, caps, listed) == ("", ""), "the other side is none of it"


NAN = D("NaN")


@pytest.mark.parametrize(
    ("over", "detail"),
    [
        ({"tiers": ()}, "the margin of BTC:USDT for 100 is not known"),
        ({"tiers": (Tier(D(99), D("0.01"), D(0)),)}, "the margin of BTC:USDT for 100 is not known"),
        ({"tiers": (Tier(NAN, D("0.01"), D(0)),)}, "the margin of BTC:USDT for 100 is not known"),
        ({"tiers": (Tier(D(999), NAN, D(0)),)}, "the margin of BTC:USDT for 100 is not known"),
        ({"taker_fee": NAN}, "the margin of BTC:USDT for 100 is not known"),
    ],
)
def test_margin_nobody_knows_is_refused(over: dict[str, Any], detail: str) -> None:
    assert look(order(1, "buy", 1), Counters(), limits(), at(5, **over)) == ("capital", detail)


def test_what_is_held_of_a_contract_that_is_not_listed_any_more_is_refused() -> None:
    counters = Counters()
    done(counters, order(1, "buy", 1, ETH))
    no = look(order(2, "buy", 1), counters, limits(), {BTC: contract(BTC)})
    assert no == ("capital", "the margin of ETH:USDT for 10 is not known")
    assert look(order(2, "buy", 1), counters, limits(), {BTC: contract(BTC), ETH: contract(ETH)}) == ("", "")


@pytest.mark.parametrize("bad", [{"qty": NAN}, {"px": NAN}, {"fee": NAN}])
def test_fill_nobody_can_count_closes_the_capital_for_good(bad: dict[str, D]) -> None:
    counters = Counters()
    counters.filled(fill(order(1, "sell", 1), **bad))  # type: ignore[arg-type]
    counters.filled(fill(order(2, "sell", 1)))

    assert look(order(3, "sell", 1), counters, limits())[0] in ("capital", "max_position")
    assert look(order(3, "buy", 1, ETH), counters, limits())[0] == "capital"


def test_order_without_a_price_is_refused() -> None:
    bare = replace(order(1, "buy", 1), ref_px=None)
    assert look(bare, Counters(), limits())[0] == "no_ref_px"


def test_costs_are_the_averages_of_what_is_still_held() -> None:
    found = Contracts()
    for signed, px in ((2, 100), (2, 120), (-1, 300), (-5, 90)):
        found.filled("BTC:USDT", D(signed), D(px))
    held = found.held["BTC:USDT"]
    assert (held.qty, held.cost) == (D(-2), D(-180))
    found.filled("BTC:USDT", D(2), D(50))
    assert (held.qty, held.cost, found.value()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("has", "worth"),
    [
        ({"USDT": D(1000)}, 1000),
        ({"USDT": D(1500), "BTC:USDT": D(-5)}, 1000),  # the proceeds of a short are not its seller's
        ({"USDT": D(-500), "BTC:USDT": D(15)}, 1000),
        ({"USDT": D(1200), "ETH:USDT": D(-20)}, 0),  # nobody knows its price
    ],
)
def test_limits_that_a_person_tightened_are_shares_of_what_contracts_leave(
    has: dict[str, D], worth: int
) -> None:
    own = limits()
    followed = Followed(limits_of({}), own)
    followed.see(order(1, "buy", 1))
    followed.ask(LimitChange(n=1, key="max_position", old="", new="0.1", by="a", why="b", t=0))

    caps = followed.caps(order(1, "buy", 1), own, has)
    assert caps.max_position["USDT"] == D(worth) / 10


@pytest.mark.parametrize(
    ("has", "worth"),
    [
        ({"USDT": D(1000), "USDT@bybit": D(500)}, 1500),
        # what is held elsewhere is worth what it was judged by there, and nothing where nobody knows
        ({"USDT": D(1000), "BTC@bybit": D(2)}, 1240),
        ({"USDT": D(1000), "BTC": D(2)}, 1000),
    ],
)
@pytest.mark.parametrize("quote", ["USDT", "USDT@bybit"])
def test_a_quote_counts_for_itself_at_whatever_exchange_it_lies(
    has: dict[str, D], worth: int, quote: str
) -> None:
    capped = {"USDT": D(5000), "USDT@bybit": D(5000)}
    own = replace(limits(), max_notional=capped, max_position=capped, cash=("USDT", "USDT@bybit"))
    followed = Followed(limits_of({}), own)
    followed.see(replace(order(1, "buy", 1), symbol="BTC/USDT@bybit", ref_px=D(120)))
    followed.ask(LimitChange(n=1, key="max_position", old="", new="0.1", by="a", why="b", t=0))

    symbol = "BTC/USDT" if quote == "USDT" else "BTC/USDT@bybit"
    caps = followed.caps(replace(order(1, "buy", 1), symbol=symbol), own, has)
    assert caps.max_position == capped | {quote: D(worth) / 10}
