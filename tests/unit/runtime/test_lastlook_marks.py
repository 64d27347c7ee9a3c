"""With real money no price that a desk names makes an order that opens cheaper than it is, and exits pass.

Not here: margins (test_lastlook_contracts.py), a gateway that asks a venue (tests/contract/test_bypass.py).
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from msgspec.structs import replace

from parley.instruments import Instrument
from parley.messages import Intent, LimitChange
from parley.risk.limits import limits_of
from runtime.credits import Credits
from runtime.followed import Followed
from runtime.kill_switch import KillSwitch
from runtime.lastlook import Counters, Limits, refusal
from runtime.lastlook_marks import OLD_NS, Marks
from runtime.passing import Passing
from tests.kit.contracts import BTC, ETH, contract, done, fill, limits, look, mark, order
from venues.capabilities import CAPABILITIES, Capabilities
from venues.null_venue import NullVenue

COLLARED = {"collar_bps": 200, "mark_bps": 300}
SPOT = "BTC/USDT"
PAIR = Instrument(
    symbol=SPOT, venue="x", base="BTC", quote="USDT", tick=D("0.01"), lot=D("0.001"), min_qty=D(0),
    max_qty=D(10**6), min_notional=D(0), maker_fee=D(0), taker_fee=D("0.01"),
)  # fmt: skip


def spot(n: int, side: str, qty: Any, ref: Any = 100, **over: Any) -> Intent:
    return order(n, side, qty, SPOT, ref=ref, **over)


def look_at(
    intent: Intent, counters: Counters, caps: Limits, pair: Instrument = PAIR,
    row: Capabilities = CAPABILITIES["binance"],
) -> str:  # fmt: skip
    found = refusal(intent, counters, caps, {pair.symbol: pair}, row=row, now_mono=0)
    return found[0] if found else ""


def bought(qty: Any) -> Counters:
    counters = Counters()
    done(counters, spot(1, "buy", qty), fee=D(0))
    return counters


# ------------------------------------------------------------------ spot


@pytest.mark.parametrize("ref", ["0.01", "100", "99999"])
def test_buy_without_a_price_is_refused_whatever_it_says_the_market_is(ref: str) -> None:
    intent = spot(1, "buy", 1, ref, priced=False)
    assert look_at(intent, Counters(), limits(500)) == "unpriced"
    assert look_at(replace(intent, reduce_only=True), Counters(), limits(500)) == "unpriced"
    on_paper = replace(limits(), capital={})
    assert look_at(intent, Counters(), on_paper) == "", "what a lie may cost there is nobody's money"


def test_sale_of_what_was_bought_needs_no_price() -> None:
    assert look_at(spot(2, "sell", 3, priced=False), bought(3), limits()) == ""
    assert look_at(spot(2, "sell", "3.001", priced=False), bought(3), limits()) == "not_its_own"


def test_buy_that_only_takes_back_what_is_owed_needs_no_price() -> None:
    counters = Counters()
    counters.positions["BTC"] = D("-0.002")  # a fee was taken in it
    assert look_at(spot(1, "buy", "0.002", priced=False, reduce_only=True), counters, limits()) == ""
    no = look_at(spot(1, "buy", "0.003", priced=False, reduce_only=True), counters, limits())
    assert no == "unpriced"


def test_buys_leave_room_for_the_fees_of_all_that_work() -> None:
    counters, caps = Counters(), limits(505)
    assert look_at(spot(1, "buy", 5), counters, caps) == ""
    assert look_at(spot(1, "buy", "5.001"), counters, caps) == "capital"
    counters.sent(spot(1, "buy", 3), 0)
    assert look_at(spot(2, "buy", 2), counters, caps) == ""
    assert look_at(spot(2, "buy", "2.001"), counters, caps) == "capital"
    counters.filled(fill(spot(1, "buy", 3), 1, fee=D(1)))
    assert look_at(spot(2, "buy", 2), counters, caps) == "", "a fee that was taken is not counted again"
    assert look_at(spot(2, "buy", "2.001"), counters, caps) == "capital"


@pytest.mark.parametrize(("taker", "maker", "most"), [("0.01", "0.02", 5), ("-0.01", "-0.02", "5.1")])
def test_the_higher_fee_counts_and_a_rebate_is_no_money(taker: str, maker: str, most: Any) -> None:
    pair, caps = replace(PAIR, taker_fee=D(taker), maker_fee=D(maker)), limits(510)
    assert look_at(spot(1, "buy", most), Counters(), caps, pair) == ""
    assert look_at(spot(1, "buy", D(most) + D("0.001")), Counters(), caps, pair) == "capital"


def test_fee_nobody_knows_is_refused() -> None:
    assert look_at(spot(1, "buy", 1), Counters(), limits(), replace(PAIR, taker_fee=D("NaN"))) == "capital"
    counters = Counters()
    counters.sent(order(1, "buy", 1, "ETH/USDT", ref=1), 0)  # of a pair that is not listed any more
    assert look_at(spot(2, "buy", 1), counters, limits()) == "capital"


# ------------------------------------------------------------------ contracts


@pytest.mark.parametrize(
    ("side", "px", "ref", "code"),
    [
        ("sell", "1", "1", "mark"),
        ("sell", "100", "1", "mark"),
        ("sell", "1", "100", "mark"),
        ("buy", "10000", "10000", "mark"),
        ("buy", "1", "10000", "mark"),
        ("sell", "95", "95", ""),
        ("sell", "94.99", "95", "mark"),
        ("sell", "95", "94.99", "mark"),
        ("buy", "105", "105", ""),
        ("buy", "105.01", "105", "mark"),
        ("buy", "105", "105.01", "mark"),
        ("buy", "94.99", "94.99", "mark"),
        ("sell", "105.01", "105.01", "mark"),
        # a limit where it cannot trade is nobody's loss, and counts at the market
        ("buy", "50", "100", ""),
        ("sell", "500", "100", ""),
    ],
)
def test_prices_are_no_further_from_the_mark_than_collar_and_tolerance(
    side: str, px: str, ref: str, code: str
) -> None:
    intent = order(1, side, "0.5", px=px, ref=ref)
    found, detail = look(intent, Counters(), limits(**COLLARED), at=100)
    assert found == code
    assert not code or detail.endswith("off the venue's mark 100, at most 500")


def test_contract_opens_at_no_price_but_a_named_one() -> None:
    assert look(order(1, "sell", 1, priced=False), Counters(), limits())[0] == "unpriced"


def test_mark_that_is_not_known_or_old_opens_nothing() -> None:
    counters, intent = Counters(), order(1, "sell", 1)
    assert look(intent, counters, limits(), at=0)[0] == "no_mark"
    mark(counters, BTC, D("NaN"))
    mark(counters, BTC, 0)
    assert look(intent, counters, limits(), at=0)[0] == "no_mark"
    mark(counters, BTC, 100)
    late = replace(intent, send_by=2 * OLD_NS)
    assert look(late, counters, limits(), at=0, now=OLD_NS) == ("", "")
    assert look(late, counters, limits(), at=0, now=OLD_NS + 1)[0] == "no_mark"


def test_what_is_held_of_another_contract_has_to_have_a_mark_too() -> None:
    counters = Counters()
    done(counters, order(1, "buy", 1, ETH))
    late = replace(order(2, "buy", 1), send_by=2 * OLD_NS)
    told = look(late, counters, limits(), now=OLD_NS + 1)
    assert told == ("capital", "what ETH:USDT may come to is not known")


def test_neither_orders_nor_fills_become_marks() -> None:
    counters = Counters()
    counters.sent(order(1, "buy", 1, ref=7), 0)
    counters.filled(fill(order(1, "buy", 1, ref=7), px=7))
    assert counters.contracts.marks.of("BTC:USDT", 0) is None


def test_order_counts_at_the_mark_where_that_is_more() -> None:
    listed = {BTC: contract(BTC, 1, taker_fee=D(0))}
    caps = limits(500, **COLLARED)
    for px, ref, at, most in (("97", "97", "100", 5), ("100", "101", "97", "4.95"), ("98", "97", "99", 5.05)):
        intent = order(1, "buy", str(most), px=px, ref=ref)
        assert look(intent, Counters(), caps, listed, at=at) == ("", "")
        more = replace(intent, qty=intent.qty + D("0.001"))
        assert look(more, Counters(), caps, listed, at=at)[0] == "capital"
    small = limits(max_notional={"USDT": D(99)})
    assert look(order(1, "buy", 1, ref=97), Counters(), small, at=100)[0] == "max_notional"
    small = limits(max_position={"USDT": D(99)})
    assert look(order(1, "buy", 1, ref=97), Counters(), small, at=100)[0] == "max_position"


def test_loss_counts_at_the_mark_however_the_desk_sees_it() -> None:
    counters, listed = Counters(), {BTC: contract(BTC, 1, taker_fee=D(0))}
    done(counters, order(1, "buy", 5), fee=D(0))
    intent = order(2, "buy", "5", ref=84)
    assert look(intent, counters, limits(**COLLARED), listed, at=80) == ("", "")
    # 500 were paid, 100 are lost, 400 are tied up at 80: 500 are left at 84
    assert look(order(2, "buy", "5.8", ref=84), counters, limits(**COLLARED), listed, at=80)[0] == "capital"


@pytest.mark.parametrize("at", [0, 20, 100, 10_000])
@pytest.mark.parametrize("over", [{"priced": False}, {"px": 1}, {"ref": 1}, {"px": 9, "ref": 900}])
def test_exits_pass_at_any_price_and_without_a_mark(at: int, over: dict[str, Any]) -> None:
    counters = Counters()
    counters.filled(fill(order(1, "buy", 3)))
    for reduce_only in (False, True):
        leaving = order(2, "sell", 3, reduce_only=reduce_only, **over)
        assert look(leaving, counters, limits(), at=at) == ("", "")
    turning = order(2, "sell", "3.001", **over)
    assert look(turning, counters, limits(**COLLARED), at=at)[0] in ("unpriced", "no_mark", "mark")


def test_order_the_venue_holds_to_reducing_passes_though_nobody_here_knows_what_it_reduces() -> None:
    intent = order(1, "sell", 3, reduce_only=True, priced=False)
    assert look(intent, Counters(), limits(), at=0) == ("", "")
    row = CAPABILITIES["bybit"]
    assert look_at(intent, Counters(), limits(), contract(BTC), row) == "unpriced"


# ------------------------------------------------------------------ what shares are of


class Home:
    """What an order passes, with a limit that a person tightened to a tenth."""

    def __init__(self, *listed: Instrument) -> None:
        own, self.counters = limits(1000, max_orders_per_s=10), Counters()
        followed = Followed(limits_of({}), own)
        followed.ask(LimitChange(n=1, key="max_position", old="", new="0.1", by="a", why="b", t=0))
        venue = NullVenue([each.symbol for each in listed], ())
        kills = KillSwitch(None, "local", "main", None, lambda said: None, lambda link: None)  # type: ignore[arg-type]
        self.passing = Passing(
            own, self.counters, {each.symbol: each for each in listed}, venue, {}, kills, followed,
            Credits(venue.meter, lambda said: None),
        )  # fmt: skip

    def look(self, intent: Intent) -> str:
        no = self.passing.refusal(intent, 0)
        return no[0] if no else ""


@pytest.mark.parametrize(
    ("first", "second"),
    [(PAIR, replace(PAIR, symbol="ETH/USDT", base="ETH")), (contract(BTC), contract(ETH))],
)
def test_a_price_that_a_desk_names_makes_the_account_worth_no_more(
    first: Instrument, second: Instrument
) -> None:
    home = Home(first, second)
    for n, each in enumerate((first, second)):
        done(home.counters, order(n, "buy", "0.5", each.symbol, ref=100), fee=D(0))
    within, beyond = (order(3, "buy", qty, first.symbol, ref=100) for qty in ("0.49", "0.51"))
    assert home.look(order(4, "sell", "0.001", second.symbol, ref=100)) == ""
    assert (home.look(within), home.look(beyond)) == ("", "max_position")
    assert home.look(order(4, "sell", "0.001", second.symbol, ref=10**8)) == ""
    assert home.look(order(5, "buy", "0.001", second.symbol, px=10**5, ref=10**5)) != ""
    assert home.look(beyond) == "max_position", "the account is worth what it was"


def test_marks_are_the_venues_last_word() -> None:
    marks = Marks()
    marks.say("A", D(3), 0)
    marks.say("A", D(4), 5)
    marks.say("A", D("Infinity"), 6)
    assert (marks.of("A", 7), marks.of("B", 7)) == (D(4), None)
