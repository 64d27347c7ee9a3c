"""A desk at several exchanges: agents know pairs, orders go where they cost least, limits count all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.leaving import to_leave
from orchestrator.pooled import pooled_holdings
from parley.agent import Context
from parley.messages import (
    Book,
    Cfp,
    Child,
    GateRefusal,
    Holding,
    Intent,
    Leg,
    Message,
    PlanLeg,
    Proposal,
    Refuse,
    Reservation,
    StateView,
    Verdict,
)
from parley.schedule import Work
from parley.view import FirmView
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, proposal

BYBIT, OKX = "BTC/USDT@bybit", "BTC/USDT@okx"
LEAVES = 3  # the step at which the strategy leaves


def buyer(qty: str, leaves: int = LEAVES, **over: Any) -> Script:
    """Make a strategy that buys at the first step and leaves all it holds at a later one."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp) or me != "strategy/a":
            return None
        step, held = (ctx.now - T0) // MINUTE, ctx.view.holding(me, BTC)
        if step == 1 and not msg.reduce_only:
            bid = proposal(me, ctx, BTC, "buy", D(qty) * 2)  # capital allows half
            return (replace(bid, **over),)
        if step >= leaves and held is not None:
            sold = held.qty.quantize(D("0.00001"), rounding="ROUND_FLOOR")
            return (proposal(me, ctx, BTC, "sell", sold, reduce_only=True),) if sold else None
        return (Refuse(agent=me, code="waits"),)

    return unless(say)


def desk_of(qty: str = "0.25", *, each: str = "30000", **over: Any) -> StepDesk:
    scripts = {"strategy/a": buyer(qty), **over.pop("scripts", {})}
    purses = (("USDT@bybit", D(each)), ("USDT@okx", D(each)))
    limits = {"max_position": "1", "max_order_notional": "1", "max_correlated": "1", **over.pop("limits", {})}
    return StepDesk(scripts, crosses=(BYBIT, OKX), capital=D(each), purses=purses, limits=limits, **over)


def top(symbol: str, t: int, bid: float, ask: float, qty: float) -> Book:
    step = 1.0
    return Book(
        symbol=symbol, t=t, seq=t, bids=tuple((bid - n * step, qty) for n in range(5)),
        asks=tuple((ask + n * step, qty) for n in range(5)),
    )  # fmt: skip


def books(desk: StepDesk, *, okx: float = 0.0, qty: float = 0.1) -> dict[str, Any]:
    """Give books around 50,000 in which each level shows ``qty``; OKX's are off by ``okx``.

    Of five levels of 0.1 each the gate lets a fifth pass, 0.1.
    """
    t = T0 + (desk.step + 1) * MINUTE
    found = {symbol: top(symbol, t, 49_999.0, 50_001.0, qty) for symbol in (BTC, BYBIT)}
    found[OKX] = top(OKX, t, 49_999.0 + okx, 50_001.0 + okx, qty)
    return {"prices": {BYBIT: 50_000.0, OKX: 50_000.0}, "books": found}


def intents(orders: Sequence[object]) -> list[Intent]:
    return [each for each in orders if isinstance(each, Intent)]


def served(desk: StepDesk, orders: Sequence[object]) -> list[Intent]:
    """Fill every order at its price and give them."""
    sent = intents(orders)
    for order in sent:
        desk.tell(ack(order), desk.filled(order))
    return sent


def test_an_order_is_shared_out_over_the_books_and_pays_at_each_exchange() -> None:
    desk = desk_of("0.25")
    sent = served(desk, desk.close(**books(desk)))
    assert {each.symbol for each in sent} == {BTC, BYBIT, OKX}
    assert {each.venue for each in sent} == {"binance", "bybit", "okx"}
    assert sum(each.qty for each in sent) == D("0.25")
    assert len({each.iid for each in sent}) == len({each.cid for each in sent}) == 3
    ledger = desk.firm.account.ledger
    for each in sent:
        base, quote = desk.firm.account.instruments[each.symbol].base, each.symbol.replace("BTC/", "")
        assert ledger.cash(base) == each.qty - each.qty / 1000
        assert each.px is not None
        assert ledger.cash(quote) == D(30000) - each.qty * each.px
    assert desk.last.plan
    assert {leg.symbol for leg in desk.last.plan} == {BTC, BYBIT, OKX}


def test_agents_are_told_of_one_pair_and_one_purse() -> None:
    desk = desk_of("0.25")
    sent = served(desk, desk.close(**books(desk)))
    state = desk.said(StateView)[-1]
    assert isinstance(state, StateView)
    assert [each.symbol for each in state.positions] == [BTC]
    assert state.positions[0].qty == sum(each.qty for each in sent) * D("0.999")
    (holding,) = state.holdings
    assert (holding.symbol, holding.qty) == (BTC, state.positions[0].qty)
    cash = {each.asset: each.total for each in state.cash}
    assert cash["USDT"] == D(90000) - sum(each.qty * (each.px or D(0)) for each in sent)
    assert set(cash) == {"BTC", "USDT"}
    assert state.equity == desk.firm.account.ledger.equity()


def test_all_of_it_is_left_where_it_lies_and_nothing_stays() -> None:
    desk = desk_of("0.25")
    bought = {each.symbol: each.qty for each in served(desk, desk.close(**books(desk)))}
    desk.close(**books(desk))
    sold = {each.symbol: each for each in served(desk, desk.close(**books(desk)))}
    assert set(sold) == set(bought)
    for symbol, order in sold.items():
        assert order.reduce_only
        assert order.side == "sell"
        held = bought[symbol] * D("0.999")
        assert order.qty == held.quantize(D("0.00001"), rounding="ROUND_FLOOR")
    assert all(each.qty < D("0.00001") for each in desk.view.whole.state.holdings)


def test_the_cheaper_exchange_gets_all_it_has_within_its_money() -> None:
    desk = desk_of("0.25")
    sent = served(desk, desk.close(**books(desk, okx=-100.0, qty=1.0)))
    assert [each.symbol for each in sent] == [OKX]
    poor = desk_of("0.9")
    sent = served(poor, poor.close(**books(poor, okx=-100.0, qty=1.0)))
    by_symbol = {each.symbol: each.qty for each in sent}
    assert by_symbol[OKX] < D("0.6") < sum(by_symbol.values())  # 30,000 buy no more there
    for each in sent:
        assert each.px is not None
        assert each.qty * each.px * D("1.001") <= D(30000)


@pytest.mark.parametrize("off", [2_000.0, -2_000.0])
def test_an_exchange_whose_price_is_far_from_the_others_gets_nothing(off: float) -> None:
    desk = desk_of("0.25")
    sent = served(desk, desk.close(**books(desk, okx=off)))
    assert {each.symbol for each in sent} == {BTC, BYBIT}


def test_an_exchange_whose_book_stands_still_gets_nothing() -> None:
    desk = desk_of("0.25", limits={"max_book_age_ms": 30_000})
    given = books(desk)
    given["books"][OKX] = replace(given["books"][OKX], t=T0)  # a minute before
    sent = served(desk, desk.close(**given))
    assert {each.symbol for each in sent} == {BTC, BYBIT}


def test_what_rests_goes_to_one_exchange_whole() -> None:
    scripts = {"execution/a": advises(style="post_only", tif="GTC", px_limit=D("49999"))}
    desk = desk_of("0.25", scripts=scripts)
    sent = intents(desk.close(**books(desk, qty=1.0)))
    assert [(each.symbol, each.qty, each.style) for each in sent] == [(BTC, D("0.25"), "post_only")]


def test_parts_together_do_not_pass_what_each_would_alone() -> None:
    """The gate counts a coin over all exchanges: of 90,000 two parts of 20,000 are more than 30 %."""
    desk = desk_of("0.79", limits={"max_position": "0.3"})
    sent = intents(desk.close(**books(desk, qty=0.4)))
    assert len(sent) == 1
    worth = sum((each.qty * (each.px or D(0)) for each in sent), D(0))
    assert worth <= D("0.3") * D(90000)
    codes = [each.code for each in desk.said(GateRefusal) if isinstance(each, GateRefusal)]
    assert "max_position" in codes


def test_parts_never_sum_to_more_than_the_verdict() -> None:
    def narrow(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if getattr(msg, "stage", "") != "risk" or not hasattr(msg, "state_version"):
            return None
        return (
            Verdict(
                pid=msg.pid, agent=me, ok=True, max_qty=D("0.2"), breached=(),  # type: ignore[attr-defined]
                state_version=msg.state_version, risk_epoch=1, valid_until=ctx.now + MINUTE,
            ),
        )  # fmt: skip

    desk = desk_of("0.25", scripts={"risk/a": unless(narrow)})
    sent = intents(desk.close(**books(desk)))
    assert sum((each.qty for each in sent), D(0)) <= D("0.2")


def test_a_stop_of_the_whole_is_seen_by_its_holder_whatever_part_lies_where() -> None:
    stop = D(49_000)
    desk = desk_of("0.25", scripts={"strategy/a": buyer("0.25", stop=stop)})
    served(desk, desk.close(**books(desk, okx=-100.0, qty=1.0)))  # all of it at OKX
    (holding,) = desk.view.state.holdings
    assert (holding.symbol, holding.stop) == (BTC, stop)


def test_a_refused_part_leaves_the_others_alone() -> None:
    desk = desk_of("0.25")
    given = books(desk)
    # what only the gate looks at: two levels of one price
    given["books"][OKX] = replace(given["books"][OKX], asks=((50_001.0, 0.3), (50_001.0, 0.3)))
    sent = intents(desk.close(**given))
    (refusal,) = [each for each in desk.said(GateRefusal) if isinstance(each, GateRefusal)]
    assert refusal.code == "bad_book"
    assert {each.symbol for each in sent} == {BTC, BYBIT}


def test_replayed_messages_give_the_same_orders() -> None:
    runs = []
    for _ in range(2):
        desk = desk_of("0.25")
        for _ in range(4):
            served(desk, desk.close(**books(desk, okx=-20.0)))
        runs.append(desk.records)
    assert runs[0] == runs[1]
    assert len(runs[0]) > 20


def test_equity_counts_every_purse_and_every_coin() -> None:
    desk = desk_of("0.25")
    sent = desk.close(**books(desk))
    assert desk.view.state.equity == D(90000)
    served(desk, sent)
    desk.close(**books(desk, okx=-20.0))  # each coin at the mid of where it lies
    ledger = desk.firm.account.ledger
    coins = {"BTC": D(50_000), "BTC@bybit": D(50_000), "BTC@okx": D(49_980)}
    assert all(ledger.cash(coin) for coin in coins)
    cash = sum((ledger.cash(asset) for asset in ("USDT", "USDT@bybit", "USDT@okx")), D(0))
    value = sum((ledger.cash(coin) * px for coin, px in coins.items()), D(0))
    assert desk.view.state.equity == ledger.equity() == cash + value


def slices(*qtys: str) -> Script:
    """Make an execution agent that advises a twap of these slices."""
    split = tuple(Child(qty=D(qty), delay_ms=60_000 * n) for n, qty in enumerate(qtys))
    return advises(style="twap", tif="IOC", px_limit=D("50100"), split=split)


def test_what_is_worked_over_time_goes_to_one_exchange_slice_by_slice() -> None:
    desk = desk_of("0.25", scripts={"execution/a": slices("0.125", "0.125")})
    sent = intents(desk.close(**books(desk, qty=1.0)))
    assert [(each.symbol, each.qty) for each in sent] == [(BTC, D("0.125"))]
    assert [(leg.symbol, leg.qty, len(leg.children)) for leg in desk.last.plan] == [(BTC, D("0.25"), 2)]


def test_slices_for_an_exchange_with_less_money_are_cut_to_it() -> None:
    desk = desk_of("1", each="30000", scripts={"execution/a": slices("0.5", "0.5")})
    desk.close(**books(desk, qty=5.0))
    (leg,) = desk.last.plan
    assert leg.qty * D("50100") * D("1.001") <= D(30000)
    assert sum(c.qty for c in leg.children) == leg.qty


@pytest.mark.parametrize("off", [-3_000.0, 3_000.0])
def test_what_lies_at_an_exchange_leaves_there_however_far_its_price_is(off: float) -> None:
    desk = desk_of("0.25")
    served(desk, desk.close(**books(desk, okx=-100.0, qty=1.0)))  # all of it at OKX
    desk.close(**books(desk, okx=off, qty=1.0))
    sold = served(desk, desk.close(**books(desk, okx=off, qty=1.0)))
    assert [(each.symbol, each.side) for each in sold] == [(OKX, "sell")]


def test_an_exit_leaves_alone_what_is_leaving_already() -> None:
    """Half of it rests at one exchange to be sold: the other half goes where it is free."""
    desk = desk_of("0.19")
    bought = {each.symbol: each.qty for each in served(desk, desk.close(**books(desk)))}
    assert set(bought) == {BTC, BYBIT}
    routing, view = desk.firm.routing, desk.view
    held = min(bought.values()).quantize(D("0.001"))
    leg = PlanLeg(symbol=BTC, side="sell", qty=held, style="market", px=None, tif="IOC", reduce_only=True)
    bid = replace(desk.said(Proposal)[0], legs=(Leg(symbol=BTC, side="sell", qty=held, reduce_only=True),))
    limits = desk.firm.limits.now
    (part, *more) = routing.routed((leg,), bid, limits)
    assert not more
    taken = Reservation(
        rid=b"r", round=b"r", pid=b"p", agent=bid.agent, symbol=part.symbol, side="sell", asset="BTC",
        amount=bought[part.symbol], qty_left=bought[part.symbol],
    )  # fmt: skip
    whole = view.whole.state
    view.whole = FirmView(replace(whole, reservations=(taken,)))
    (other, *more) = routing.routed((leg,), bid, limits)
    assert not more
    assert other.symbol != part.symbol
    assert other.qty == held


def test_dust_elsewhere_makes_no_new_holding_old() -> None:
    old, new = T0 - 10**18, T0
    parts = [
        Holding(agent="a", symbol=symbol, qty=D(qty), avg_px=D(1), opened=opened, round=round_, pid=b"")
        for symbol, qty, opened, round_ in ((BTC, "1", new, b"new"), (BYBIT, "0.000004", old, b"old"))
    ]
    instruments = desk_of().firm.account.instruments
    (told,) = pooled_holdings(parts, instruments)
    assert (told.qty, told.opened, told.round) == (D("1.000004"), new, b"new")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"blacklist": [BTC]}, "symbol_list"),
        ({"max_order_notional": "0.1"}, "max_order_notional"),
        ({"min_uninvested": "0.9"}, "min_uninvested"),
        ({"tree": {"symbol:BTC/USDT": {"max_order_notional": "0.1"}}}, "symbol:BTC/USDT max_order_notional"),
    ],
)
def test_limits_of_a_pair_and_of_an_order_hold_for_all_parts_together(
    limits: dict[str, Any], code: str
) -> None:
    """0.25 BTC of 90,000 in three parts: each alone is 5 to 6 %, all together 14 %."""
    desk = desk_of("0.25", limits=limits)
    sent = intents(desk.close(**books(desk)))
    worth = sum((each.qty * (each.px or D(0)) for each in sent), D(0))
    assert worth <= D("0.1") * D(90_000)
    assert code in [each.code for each in desk.said(GateRefusal) if isinstance(each, GateRefusal)]


def test_a_whitelisted_pair_is_let_everywhere() -> None:
    desk = desk_of("0.25", limits={"whitelist": [BTC]})
    assert {each.symbol for each in intents(desk.close(**books(desk)))} == {BTC, BYBIT, OKX}


def test_work_at_a_further_exchange_knows_its_orders_and_reservation() -> None:
    """The account is told by pairs: a schedule at another exchange still finds what is its own."""
    desk = desk_of("0.25")
    work = Work(
        round=b"r", pid=b"p", leg=0, symbol=OKX, side="buy", style="post_only", qty=D("0.1"), px=None,
        tif="GTC", reduce_only=False, plan=[(D("0.1"), 0)], version=0,
    )  # fmt: skip
    reserved = Reservation(
        rid=b"r", round=b"r", pid=b"p", agent="a", symbol=BTC, side="buy", asset="USDT", amount=D(1),
        qty_left=D("0.1"),
    )  # fmt: skip
    desk.close(**books(desk))
    view = FirmView(replace(desk.view.state, reservations=(reserved,)))
    assert work.reservation(view) == reserved
    assert not work.is_closed(view)


@pytest.mark.parametrize("off", [-150.0, 150.0])
def test_an_exit_with_a_price_is_as_far_from_its_own_book_as_from_the_first(off: float) -> None:
    """A limit is made of the first exchange's book; what lies elsewhere leaves at the same distance there."""
    near = D("49990")  # within the first one's levels
    desk = desk_of("0.25")
    served(desk, desk.close(**books(desk, okx=-100.0, qty=1.0)))  # all of it at OKX
    leg = PlanLeg(symbol=BTC, side="sell", qty=D("0.2"), style="limit", px=near, tif="IOC", reduce_only=True)
    bid = replace(desk.said(Proposal)[0], legs=(Leg(symbol=BTC, side="sell", qty=leg.qty, reduce_only=True),))
    desk.close(**books(desk, okx=off, qty=1.0))
    (part,) = desk.firm.routing.routed((leg,), bid, desk.firm.limits.now)
    assert part.symbol == OKX
    assert part.px is not None
    mid = D(50_000) + D(off)
    assert abs(part.px - near * mid / D(50_000)) < D("0.02")
    assert part.px <= mid


def test_a_flatten_leaves_what_lies_elsewhere_while_the_first_book_is_gone() -> None:
    desk = desk_of("0.25")
    served(desk, desk.close(**books(desk, okx=-100.0, qty=1.0)))  # all of it at OKX
    given = books(desk, qty=1.0)
    given["books"][BTC] = replace(given["books"][BTC], bids=())
    desk.close(**given)
    firm = desk.firm
    ((_, holding, qty),) = to_leave(firm.table, firm.account, firm.market)
    assert (holding.symbol, qty) == (BTC, holding.qty.quantize(D("0.00001"), rounding="ROUND_FLOOR"))
