"""The last wave of a round: risk and execution are asked about the same, final numbers."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.agent import Context
from parley.bus import Answer, InProc, Wave
from parley.messages import (
    AgentFaulted,
    CancelIntent,
    Counter,
    Decision,
    Intent,
    Leg,
    MarketBatch,
    Message,
    OrderRequest,
    Review,
    Verdict,
)
from tests.kit.desk_cases import BTC, Say, StepDesk, ack, advises, bids, event, silent, unless
from tests.kit.firm_kit import D, Script

BUY = Leg(symbol=BTC, side="buy", qty=D("0.1"), limit_px=D("50010"), tif="IOC")
STOP = Leg(symbol=BTC, side="sell", qty=D("0.05"), limit_px=D("49500"), tif="IOC", reduce_only=True)


class Watched:
    """A transport that keeps the waves it carries."""

    def __init__(self, inner: InProc) -> None:
        self.inner = inner
        self.waves: list[Wave] = []

    def exchange(self, wave: Wave) -> Sequence[Answer]:
        self.waves.append(wave)
        return self.inner.exchange(wave)


def watched(scripts: dict[str, Script]) -> tuple[StepDesk, Watched]:
    desk = StepDesk(scripts)
    watch = Watched(desk.transport)
    desk.transport = watch  # type: ignore[assignment]
    return desk, watch


def asked(watch: Watched) -> list[tuple[str, str, Decimal]]:
    """Who was asked in reviews: (wave, agent, quantity of leg 0)."""
    return [
        (wave.stage, ask.agent, ask.message.proposal.legs[0].qty)
        for wave in watch.waves
        for ask in wave.asks
        if isinstance(ask.message, Review)
    ]


def intents(orders: Sequence[Intent | CancelIntent]) -> list[Intent]:
    return [o for o in orders if isinstance(o, Intent)]


def test_risk_and_execution_see_the_settled_quantity_in_one_wave() -> None:
    desk, watch = watched({"strategy/a": bids(BUY)})
    (order,) = intents(desk.close())
    half = D("0.05")  # what capital allows
    assert asked(watch) == [
        ("counters", "capital/a", D("0.1")), ("counters", "arbitrage/a", D("0.1")),
        ("risk", "risk/a", half), ("risk", "execution/a", half),
    ]  # fmt: skip
    assert [w.stage for w in watch.waves].count("risk") == 1
    assert order.qty == half


def test_a_price_of_execution_tightens_the_order_and_nobody_is_asked_again() -> None:
    desk, watch = watched({"strategy/a": bids(BUY), "execution/a": advises(px_limit=D("50005.001"))})
    (order,) = intents(desk.close())
    assert (order.px, order.tif) == (D("50005"), "IOC")
    # one counter to the proposer: of capital's quantity, with the price it asked for itself
    counters = [m for m in desk.said(Counter) if isinstance(m, Counter) and m.agent == "desk"]
    assert [(c.qty_max, c.px_limit) for c in counters] == [(D("0.05"), BUY.limit_px)]
    assert len([w for w in watch.waves if w.stage == "counters"]) == 1


def test_a_price_of_execution_never_loosens_the_proposals_own() -> None:
    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": advises(px_limit=D("50200"))})
    (order,) = intents(desk.close())
    assert order.px == BUY.limit_px


def test_a_silent_execution_leaves_the_proposals_own_limits() -> None:
    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": silent})
    (order,) = intents(desk.close())
    assert (order.style, order.px, order.tif) == ("limit", BUY.limit_px, BUY.tif)


def test_a_coupled_proposal_is_none_of_executions_business() -> None:
    legs = (
        Leg(symbol=BTC, side="buy", qty=D("0.1"), limit_px=D("50010"), tif="IOC"),
        Leg(symbol=BTC, side="sell", qty=D("0.1"), limit_px=D("49990"), tif="IOC"),
    )
    desk, watch = watched({"strategy/a": bids(*legs)})
    desk.close()
    assert {agent for _, agent, _ in asked(watch)} == {"capital/a", "arbitrage/a", "risk/a"}


def test_a_later_child_asks_risk_only() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, MarketBatch) and msg.step == 2:
            (r,) = ctx.view.state.reservations
            return (
                OrderRequest(
                    agent=me, round=r.round, pid=r.pid, leg=0, child=1, qty=D("0.02"), style="limit",
                    px=D(49_990), tif="GTC", why="x",
                ),
            )  # fmt: skip
        return advises(style="limit", tif="GTC", px_limit=D(49_990))(msg, ctx, me)

    desk, watch = watched({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (first,) = intents(desk.close())
    desk.tell(desk.filled(first, D("0.02")), event(first, "canceled", D("0.02")))
    watch.waves.clear()
    (second,) = intents(desk.close())
    assert asked(watch) == [("risk", "risk/a", second.qty)]


def test_a_verdict_about_another_state_is_repeated_without_asking_execution_again() -> None:
    wrong = [True]

    def late_then_right(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and msg.stage == "risk" and wrong:
            wrong.clear()
            return (
                Verdict(
                    pid=msg.pid, agent=me, ok=True, max_qty=D(1), breached=(),
                    state_version=msg.state_version - 1, risk_epoch=1, valid_until=ctx.now + 10**12,
                ),
            )  # fmt: skip
        return None

    desk, watch = watched({"strategy/a": bids(BUY), "risk/a": unless(late_then_right)})
    assert intents(desk.close())
    assert [agent for stage, agent, _ in asked(watch) if stage == "risk"] == [
        "risk/a", "execution/a", "risk/a",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["twice", "foreign"])
def test_advice_that_is_no_advice_is_refused_and_the_order_goes_on(fault: str) -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Review):
            return None
        good = Counter(pid=msg.pid, agent=me, code="x", binding=False, px_limit=D("50005"))
        return (good, replace(good, px_limit=D("50001"))) if fault == "twice" else (replace(good, pid=b"x"),)

    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (order,) = intents(desk.close())
    assert order.px == (D("50005") if fault == "twice" else BUY.limit_px)
    assert [m.agent for m in desk.said(AgentFaulted) if isinstance(m, AgentFaulted)] == ["execution/a"]


# exits


def leaving(**over: object) -> Say:
    """Hold 0.05 after the first bar, then leave urgently."""
    entry, out = bids(BUY), bids(STOP, urgency="urgent", why="stop", max_slippage_bps=100.0, **over)

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        held = ctx.view.holding(me, BTC)
        if held is None or held.qty == 0:
            return entry(msg, ctx, me)
        ctx = Context(ctx.now, type(ctx.view)(replace(ctx.view.state, holdings=())), ctx.seq, 1, me)
        return out(msg, ctx, me)

    return say


def holding_desk(**scripts: Script) -> StepDesk:
    named = {f"{role}/a": script for role, script in scripts.items()}
    desk = StepDesk({"strategy/a": unless(leaving(once=False)), **named})
    (first,) = intents(desk.close())
    desk.tell(desk.filled(first, fee="none"), ack(first))
    return desk


def test_a_stop_on_a_deep_book_is_a_market_order_and_all_of_it_goes() -> None:
    desk = holding_desk(execution=advises(style="market", tif="IOC"))
    (order,) = intents(desk.close())
    assert (order.style, order.px, order.tif, order.reduce_only) == ("market", None, "IOC", True)
    assert order.qty == STOP.qty
    assert order.ref_px == D(50_000)
    desk.tell(desk.filled(order, px=D(49_999)), ack(order))
    assert desk.view.state.positions == ()
    assert desk.view.state.reservations == ()


def test_on_a_thin_book_the_stop_keeps_its_limit_whatever_execution_says() -> None:
    desk = holding_desk(execution=advises(style="market", tif="IOC"))
    book = desk.depth(BTC, 0, 50_000.0)
    thin = replace(book, bids=((49_999.0, 0.06), (40_000.0, 50.0)))
    (order,) = intents(desk.close(books={BTC: thin}))
    assert (order.style, order.px, order.tif) == ("limit", STOP.limit_px, "IOC")


def test_a_stop_gets_out_by_market_although_risk_is_silent() -> None:
    quiet = {"on": False}
    desk = holding_desk(
        execution=advises(style="market", tif="IOC"),
        risk=unless(lambda msg, ctx, me: () if quiet["on"] else None),
    )
    quiet["on"] = True
    (order,) = intents(desk.close())
    assert (order.style, order.px) == ("market", None)
    assert desk.last.action == "accept"


def test_without_advice_a_stop_keeps_its_limit() -> None:
    desk = holding_desk(execution=silent)
    (order,) = intents(desk.close())
    assert (order.style, order.px) == ("limit", STOP.limit_px)


def test_the_gate_refuses_a_market_exit_that_no_level_completes() -> None:
    out = replace(STOP, limit_px=None)

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        held = ctx.view.holding(me, BTC)
        if held is None or held.qty == 0:
            return bids(BUY)(msg, ctx, me)
        empty = Context(ctx.now, type(ctx.view)(replace(ctx.view.state, holdings=())), ctx.seq, 1, me)
        return bids(out, urgency="urgent", once=False)(msg, empty, me)

    desk = StepDesk({"strategy/a": unless(say), "execution/a": silent})
    (first,) = intents(desk.close())
    desk.tell(desk.filled(first, fee="none"), ack(first))
    thin = replace(desk.depth(BTC, 0, 50_000.0), bids=((49_999.0, 0.01),))
    assert desk.close(books={BTC: thin}) == []
    decision = desk.last
    assert isinstance(decision, Decision)
    assert (decision.action, decision.reasons[0][:2]) == ("reject", ("gate", "collar"))
