"""The execution agent from its advice over the desk's plan to the last child, in every style it chooses."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from agents.execution import Execution, make
from orchestrator.plan import plan_legs, worst_price
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.errors import ConfigError
from parley.ids import intent_id
from parley.messages import (
    Book,
    CancelRequest,
    Counter,
    MarketBatch,
    Message,
    OrderEvent,
    OrderRequest,
    PlanLeg,
    Review,
    ScheduleDone,
    Unknown,
)
from parley.view import FirmView
from tests.kit.builders import (
    T0,
    make_bar,
    make_book,
    make_decision,
    make_fill,
    make_instrument,
    make_leg,
    make_proposal,
)

ME = "execution/main"
MINUTE = 60_000_000_000
ROUND, PID = b"r" * 16, b"p" * 16
D = Decimal


def make_agent(**params: object) -> Execution:
    instruments = {"BTC/USDT": make_instrument()}
    env = AgentEnv(
        tenant="t", account="main", quote="USDT", symbols=("BTC/USDT",), instruments=instruments, tf_ns=MINUTE
    )
    return make(AgentSpec(id=ME, role="execution", factory="", params=params), env)


def context(minute: int) -> Context:
    return Context(now=T0 + minute * MINUTE, view=FirmView(EMPTY_STATE), seq=minute + 1, seed=1, agent=ME)


def deep(bid: float = 60_000.0, ask: float = 60_001.0, qty: float = 5.0) -> Book:
    """Ten levels on either side, 50 of base altogether unless said otherwise."""
    return make_book(
        bids=tuple((bid - i, qty) for i in range(10)), asks=tuple((ask + i, qty) for i in range(10))
    )


def see(agent: Execution, minute: int, book: Book | None = None, volume: float = 100.0) -> list[Message]:
    bar = make_bar(t_open=T0 + (minute - 1) * MINUTE, volume=volume)
    batch = MarketBatch(step=minute, t=T0 + minute * MINUTE, bars=(bar,), books=(book or deep(),))
    return list(agent.handle(batch, context(minute)))


def decide(
    agent: Execution, qty: str, *, urgency: str = "normal", side: str = "buy", **over: object
) -> PlanLeg:
    """Have a bid reviewed, planned as the desk plans it, and decided."""
    bid = make_proposal(
        pid=PID, legs=(make_leg(side=side, qty=qty),), urgency=urgency, edge_bps=100.0,
        **({"max_slippage_bps": 20.0} | over),
    )  # fmt: skip
    review = Review(round=ROUND, pid=PID, stage="execution", proposal=bid, size=1.0, state_version=1, t=T0)
    (counter,) = agent.handle(review, context(0))
    assert isinstance(counter, Counter)
    (plan,) = plan_legs(bid, D(qty), [counter], {"BTC/USDT": make_instrument()}, {"BTC/USDT": deep()})
    assert agent.handle(make_decision(round=ROUND, pid=PID, plan=(plan,), qty=D(qty), t=T0), context(0)) == ()
    return plan


def filled(child: int, qty: Decimal | str) -> Message:
    return make_fill(iid=intent_id(ROUND, PID, 0, child), qty=str(qty), trade_id=f"t{child}/{qty}")


def gone(child: int, cum: Decimal | str = "0", status: str = "canceled") -> Message:
    return OrderEvent(
        iid=intent_id(ROUND, PID, 0, child), venue_id="v", symbol="BTC/USDT", status=status,
        cum_qty=D(cum), avg_px=D(60_000), t=T0,
    )  # fmt: skip


def tell(agent: Execution, *facts: Message, minute: int = 0) -> list[Message]:
    return [m for fact in facts for m in agent.handle(fact, context(minute))]


def order(said: list[Message]) -> OrderRequest:
    (request,) = said
    assert isinstance(request, OrderRequest)
    return request


def why(said: list[Message]) -> str:
    (done,) = said
    assert isinstance(done, ScheduleDone)
    return done.why


# iceberg


def test_a_large_patient_order_shows_slices_and_the_next_one_as_soon_as_one_is_filled() -> None:
    agent = make_agent()
    see(agent, 0)
    plan = decide(agent, "20", urgency="patient")
    shown = [child.qty for child in plan.children]

    assert (plan.style, plan.tif, plan.px) == ("iceberg", "GTC", D(60_000))
    assert sum(shown) == 20
    assert len(shown) == 4  # 50 in the book, a tenth of it at a time
    for child in range(3):
        assert tell(agent, filled(child, shown[child] - D("0.1"))) == []
        request = order(tell(agent, filled(child, "0.1")))
        assert (request.child, request.qty, request.style) == (child + 1, shown[child + 1], "post_only")
        assert (request.px, request.tif) == (D(60_000), "GTC")
    assert why(tell(agent, filled(3, shown[3]))) == "filled"


def test_an_iceberg_left_behind_is_moved_and_gives_up_after_its_moves_without_crossing() -> None:
    agent = make_agent(max_requotes=2)
    see(agent, 0)
    decide(agent, "20", urgency="patient")
    moved: list[OrderRequest] = []
    for minute, bid in ((1, 60_010.0), (2, 60_020.0), (3, 60_030.0)):
        (cancel,) = see(agent, minute, deep(bid, bid + 1))
        assert isinstance(cancel, CancelRequest)
        said = tell(agent, gone(len(moved)), minute=minute)
        if minute < 3:
            moved.append(order(said))

    assert [m.px for m in moved] == [D(60_010), D(60_020)]
    assert why(said) == "chase_over"


def test_a_patient_order_that_fits_the_book_is_not_hidden() -> None:
    agent = make_agent()
    see(agent, 0)

    assert decide(agent, "4", urgency="patient").style == "post_only"


# chase and requote


@pytest.mark.parametrize(("side", "away", "bound"), [("buy", 60_100.0, "60030"), ("sell", 59_900.0, "59971")])
def test_a_chase_stays_within_its_distance_and_then_gives_up_as_it_was_told(
    side: str, away: float, bound: str
) -> None:
    agent = make_agent(max_requotes=1, max_chase_bps=5.0, after_chase="give_up")
    see(agent, 0)
    plan = decide(agent, "0.3", urgency="patient", side=side)
    see(agent, 1, deep(away, away + 1))

    request = order(tell(agent, gone(0), minute=1))

    assert request.px is not None
    assert abs(request.px - D(bound)) < 1
    assert plan.px is not None
    assert abs(request.px / plan.px - 1) * 10_000 <= 5
    assert see(agent, 2, deep(away, away + 1)) == []  # at its bound it keeps its place
    assert why(tell(agent, gone(1), minute=2)) == "chase_over"


def test_a_requoted_limit_steps_towards_the_other_side_and_crosses_with_what_is_left() -> None:
    agent = make_agent(patient="requote", max_requotes=4)
    wide = deep(60_000.0, 60_004.0)
    see(agent, 0, wide)
    plan = decide(agent, "0.3", urgency="patient")
    steps = []
    for move in range(4):
        (cancel,) = see(agent, move + 1, wide)
        assert isinstance(cancel, CancelRequest)
        assert cancel.why == "step"
        steps.append(order(tell(agent, gone(move), minute=move + 1)))
    see(agent, 5, wide)
    see(agent, 20, wide)
    last = order(tell(agent, gone(4, "0.1"), filled(4, "0.1"), minute=20))

    assert (plan.style, plan.px, plan.tif) == ("requote", D(60_000), "GTC")
    assert [(s.style, s.tif, s.px) for s in steps] == [
        ("limit", "GTC", D(px)) for px in (60_001, 60_002, 60_003, 60_004)
    ]
    assert (last.style, last.tif, last.qty, last.why) == ("limit", "IOC", D("0.2"), "cross")


# schedules


def test_a_vwap_is_cut_along_the_volume_seen_at_that_time_of_day() -> None:
    agent = make_agent(large="vwap")
    for minute in range(-1440, -1440 + 60):
        see(
            agent, minute, volume=400.0 if minute >= -1440 + 15 else 100.0
        )  # the day before: four times busier
    see(agent, 0)
    plan = decide(agent, "12", horizon_ms=36_000_000)

    assert plan.style == "vwap"
    assert sum(c.qty for c in plan.children) == 12
    assert {c.qty for c in plan.children} == {D(4)}
    assert [c.delay_ms for c in plan.children] == [0, 60_000, 120_000]


def test_a_vwap_sends_more_where_the_day_before_was_busier() -> None:
    agent = make_agent(large="vwap", max_children=20)
    for minute in range(-1440, -1440 + 60):
        see(agent, minute, volume=400.0 if minute > -1440 + 15 else 100.0)
    see(agent, 0, volume=100.0)
    plan = decide(agent, "90", horizon_ms=36_000_000)
    early, late = [c.qty for c in plan.children[:15]], [c.qty for c in plan.children[15:]]

    assert (plan.style, len(plan.children)) == ("vwap", 18)
    assert sum(early + late) == 90
    assert min(late) > 3 * max(early)


def test_a_pov_takes_its_share_of_what_is_printed_and_no_more() -> None:
    agent = make_agent(large="pov", participation=0.1)
    see(agent, 0, volume=30.0)
    plan = decide(agent, "12")
    printed, sent = 30.0, [plan.children[0].qty]

    assert (plan.style, sent) == ("pov", [D(3)])
    for child, volume in enumerate((10.0, 40.0, 5.0, 20.0)):
        assert tell(agent, filled(child, sent[-1])) == []
        printed += volume
        sent.append(order(see(agent, child + 1, volume=volume)).qty)
        assert sum(sent) == D(repr(printed)) / 10
    assert sent[1:] == [D(1), D(4), D("0.5"), D(2)]


def test_a_pov_that_fell_behind_catches_up_in_steps() -> None:
    agent = make_agent(large="pov", participation=0.1, max_burst=2.0)
    see(agent, 0, volume=20.0)
    decide(agent, "12")
    tell(agent, gone(0, status="expired"))
    see(agent, 1, deep(61_000.0, 61_001.0), volume=20.0)  # beyond its limit: nothing
    see(agent, 2, deep(61_000.0, 61_001.0), volume=20.0)

    request = order(see(agent, 3, volume=20.0))

    assert request.qty == D(4)  # 8 are its share of what was printed, 4 twice its share of the last candle


def test_a_pov_without_any_candle_seen_is_a_twap() -> None:
    agent = make_agent(large="pov")
    agent.handle(MarketBatch(step=0, t=T0, books=(deep(),)), context(0))

    assert decide(agent, "12").style == "twap"


@pytest.mark.parametrize("large", ["twap", "vwap", "pov"])
def test_a_child_takes_no_more_of_a_thinner_book_than_was_meant(large: str) -> None:
    agent = make_agent(large=large, max_burst=10.0, participation=0.2)
    see(agent, 0)
    decide(agent, "12")
    tell(agent, gone(0, status="expired"))

    request = order(see(agent, 1, deep(qty=0.5)))

    assert request.qty == D("0.5")  # a tenth of the five that the book holds


@pytest.mark.parametrize("large", ["twap", "vwap", "pov"])
def test_a_schedule_sends_nothing_more_while_nobody_knows_what_became_of_a_child(large: str) -> None:
    agent = make_agent(large=large)
    see(agent, 0)
    plan = decide(agent, "12")
    lost = Unknown(iid=intent_id(ROUND, PID, 0, 0), cause="timeout")

    assert tell(agent, lost) == []
    later = [see(agent, minute) for minute in range(1, 5)]
    assert [m for said in later for m in said if isinstance(m, OrderRequest)] == []
    # found after all, with half of it filled: only what is surely unfilled goes on
    half = plan.children[0].qty / 2
    tell(agent, filled(0, half), gone(0, half, "expired"))
    request = order(see(agent, 5))
    assert request.qty <= D(12) - half


# cap on slippage


def test_an_order_of_which_the_book_holds_a_part_within_its_slippage_says_so() -> None:
    agent = make_agent(large_share=1.0, volume_share=10.0)
    see(agent, 0)
    cut = decide(agent, "12", max_slippage_bps=0.2)

    assert (cut.style, cut.tif) == ("limit", "IOC")
    assert cut.px == D("60002.2")  # 0.2 bps of 60,001 are 1.2: two levels of ten


@pytest.mark.parametrize(("reduce_only", "tif"), [(False, "FOK"), (True, "IOC")])
def test_beyond_the_cap_an_opening_order_can_be_refused_as_a_whole_but_an_exit_never(
    *, reduce_only: bool, tif: str
) -> None:
    agent = make_agent(large_share=1.0, volume_share=10.0, beyond_cap="refuse")
    see(agent, 0)
    bid = make_proposal(
        pid=PID, max_slippage_bps=0.2, legs=(make_leg(side="sell", qty="12", reduce_only=reduce_only),)
    )
    review = Review(round=ROUND, pid=PID, stage="execution", proposal=bid, size=1.0, state_version=1, t=T0)

    (counter,) = agent.handle(review, context(0))

    assert isinstance(counter, Counter)
    assert (counter.code, counter.style, counter.tif) == ("slippage_cap", "limit", tif)
    assert counter.detail.endswith("within_cap=10 of 12")
    assert counter.px_limit == D("59998.8")


# the seam


def test_styles_that_follow_are_reserved_at_the_proposals_reach_and_schedules_at_their_plan() -> None:
    agent = make_agent()
    see(agent, 0)
    plan = decide(agent, "20", urgency="patient")
    instrument = make_instrument()

    assert worst_price(plan, None, deep(), 20.0, instrument) > D(60_200)
    assert worst_price(replace(plan, style="twap"), None, deep(), 20.0, instrument) == plan.px


@pytest.mark.parametrize(
    ("params", "urgency", "whole"),
    [
        ({}, "patient", "post_only"),
        ({"large": "vwap"}, "normal", "limit"),
        ({"large": "pov"}, "normal", "limit"),
    ],
)
def test_what_the_round_cut_too_small_for_slices_goes_whole(
    params: dict[str, object], urgency: str, whole: str
) -> None:
    agent = make_agent(**params)
    see(agent, 0)
    bid = make_proposal(pid=PID, legs=(make_leg(qty="12"),), urgency=urgency)
    review = Review(round=ROUND, pid=PID, stage="execution", proposal=bid, size=1.0, state_version=1, t=T0)
    (counter,) = agent.handle(review, context(0))
    assert isinstance(counter, Counter)
    known = {"BTC/USDT": make_instrument()}, {"BTC/USDT": deep()}

    (large,) = plan_legs(bid, D(6), [counter], *known)
    (small,) = plan_legs(bid, D("0.0002"), [counter], *known)

    assert sum(child.qty for child in large.children) == 6
    assert large.style == counter.style
    assert (small.style, small.children) == (whole, ())


def test_a_snapshot_keeps_what_a_schedule_has_seen() -> None:
    agent, twin = make_agent(large="pov"), make_agent(large="pov")
    see(agent, 0, volume=30.0)
    decide(agent, "12")
    tell(agent, gone(0, status="expired"))
    twin.restore(agent.snapshot())

    assert see(twin, 1, volume=10.0) == see(agent, 1, volume=10.0) != []


def test_a_way_of_working_that_does_not_exist_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="large"):
        make_agent(large="peg")
