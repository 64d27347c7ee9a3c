"""The strategy agent at the desk: its bids, its refusals, its stops and its answers to counters."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from agents.strategy import StrategyAgent, make
from parley.errors import ConfigError
from parley.messages import (
    Cfp,
    Counter,
    CounterReply,
    Message,
    Proposal,
    Protect,
    Refuse,
    Reservation,
    WorkingOrder,
)
from parley.strategy_source import Leave, Pass, SourceFactory, Stay
from tests.kit.builders import MINUTE, T0, make_bar, make_book, make_opinion, make_state
from tests.kit.candles import batch_of, book_at, context, entry, env_of, held, scripted, spec_of

BTC = "BTC/USDT"


def make_cfp(**over: object) -> Cfp:
    plain: dict[str, object] = {
        "symbols": (BTC,), "budget_hint": Decimal(2_000), "horizon_ms": 60_000, "min_edge_bps": 0.0,
        "state_version": 1, "t": T0 + MINUTE, "round": b"r" * 16,
    }  # fmt: skip
    return Cfp(**(plain | over))  # type: ignore[arg-type]


def agent_with(source: SourceFactory | None = None, px: float = 60_000.0, **params: object) -> StrategyAgent:
    agent = StrategyAgent(spec_of(**params), env_of(), source or scripted())
    bar = make_bar(open=px, high=px + 1, low=px - 1, close=px)
    agent.handle(batch_of(bar, book_at(px)), context())
    return agent


def ask(agent: StrategyAgent, message: Message | None = None, **over: object) -> Message:
    answers = agent.handle(message or make_cfp(), context(**over))  # type: ignore[arg-type]
    assert len(answers) == 1
    return answers[0]


def code_of(answer: Message) -> str:
    assert isinstance(answer, Refuse), answer
    return answer.code


def test_entry_is_sized_so_that_the_stop_costs_one_percent_of_the_hint() -> None:
    bid = ask(agent_with())

    assert isinstance(bid, Proposal)
    [leg] = bid.legs
    assert (leg.side, leg.reduce_only, leg.symbol) == ("buy", False, BTC)
    # stop 1.0008 % below the ask of 60,000.5: 2,000 * 0.01 / 0.010008 is just below the whole hint
    assert leg.qty == Decimal("0.03330")
    assert leg.qty * Decimal("600.5") <= 20
    assert leg.limit_px == Decimal("60030.50")
    assert (bid.stop, bid.take) == (Decimal(59_400), Decimal(61_200))
    assert bid.agent_version == "scripted/1"
    # 0.6 less the costs of 25.17 bps over the 300 bps between stop and take
    assert bid.conf == pytest.approx(0.6 - 0.0839, abs=1e-3)


def test_wide_stop_makes_the_position_small() -> None:
    bid = ask(agent_with(scripted(entry(stop=54_000.0))))

    assert isinstance(bid, Proposal)
    assert float(bid.legs[0].qty) * 6_000 == pytest.approx(20, rel=1e-3)


def test_short_entry_sells_below_the_bid_where_what_is_not_held_can_be_sold() -> None:
    short = scripted(entry(direction=-1, stop=60_600.0, take=58_800.0))
    assert code_of(ask(agent_with(short))) == "no_shorts"

    env = env_of()
    # a margin is what makes it a contract; its name plays no part here
    terms = {name: replace(one, margin=Decimal("0.2")) for name, one in env.instruments.items()}
    agent = StrategyAgent(spec_of(), replace(env, instruments=terms), short)
    agent.handle(batch_of(make_bar(open=60_000.0, high=60_001.0, low=59_999.0, close=60_000.0)), context())
    bid = ask(agent)

    assert isinstance(bid, Proposal)
    assert bid.legs[0].side == "sell"
    assert bid.legs[0].limit_px == Decimal("59969.51")


def test_proposal_is_named_by_its_round_and_by_nothing_else() -> None:
    first, again = ask(agent_with(), seq=1), ask(agent_with(), seq=99)
    other = ask(agent_with(), make_cfp(round=b"s" * 16))

    assert first == again
    assert isinstance(first, Proposal)
    assert isinstance(other, Proposal)
    assert first.pid != other.pid


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"edge_bps": 25.0}, "edge_below_cost"),
        ({"stop": float("nan")}, "no_setup"),
        ({"conf": 1.5}, "no_setup"),
        ({"stop": 60_100.0}, "no_setup"),
        ({"take": 59_000.0}, "no_setup"),
    ],
)
def test_entry_with_bad_numbers_is_refused(over: dict[str, float], code: str) -> None:
    assert code_of(ask(agent_with(scripted(entry(**over))))) == code


def test_source_s_reason_is_the_refusal() -> None:
    refusal = ask(agent_with(scripted(Pass("against_regime", "range"))))

    assert refusal == Refuse(agent="strategy/x", code="against_regime", detail="range")


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"symbols": ("DOGE/USDT",)}, "unknown_symbol"),
        ({"symbols": ()}, "unknown_symbol"),
        ({"symbols": ("ETH/USDT",)}, "warming_up"),
        ({"min_edge_bps": 90.0}, "edge_below_cost"),
        ({"budget_hint": Decimal(0)}, "no_budget"),
        ({"budget_hint": Decimal("NaN")}, "no_budget"),
        ({"budget_hint": Decimal(4)}, "below_min_notional"),
        ({"reduce_only": True}, "reduce_only"),
        ({"state_version": 2}, "stale_view"),
    ],
)
def test_call_that_cannot_be_met_is_refused_with_its_code(over: dict[str, object], code: str) -> None:
    assert code_of(ask(agent_with(), make_cfp(**over))) == code


def test_account_that_may_not_open_is_refused() -> None:
    assert code_of(ask(agent_with(), state=make_state(trading="REDUCING"))) == "reduce_only"
    assert code_of(ask(agent_with(), state=make_state(blocked=(BTC,)))) == "blocked"


def test_empty_book_is_refused_even_when_holding() -> None:
    agent = agent_with()
    agent.handle(batch_of(make_bar(t_open=T0 + MINUTE), make_book(bids=())), context())

    assert code_of(ask(agent)) == "no_book"
    assert code_of(ask(agent, state=make_state(holdings=(held(),)))) == "no_book"


def test_nothing_is_proposed_while_something_of_ours_works() -> None:
    mine = Reservation(
        rid=b"", round=b"", pid=b"", agent="strategy/x", symbol=BTC, side="buy", asset="USDT",
        amount=Decimal(1), qty_left=Decimal(1),
    )  # fmt: skip
    order = WorkingOrder(
        iid=b"", cid="", round=b"", pid=b"", agent="strategy/x", leg=0, child=0, symbol=BTC, side="buy",
        qty=Decimal(1), filled=Decimal(0), px=None, state="OPEN", t=T0,
    )  # fmt: skip

    assert code_of(ask(agent_with(), state=make_state(reservations=(mine,)))) == "working"
    assert code_of(ask(agent_with(), state=make_state(orders=(order,)))) == "working"


def stop_at_the_venue(trigger: str) -> WorkingOrder:
    return WorkingOrder(
        iid=b"", cid="", round=b"", pid=b"", agent="strategy/x", leg=255, child=1, symbol=BTC, side="sell",
        qty=Decimal("0.1"), filled=Decimal(0), px=Decimal(trigger) - 500, state="OPEN", t=T0,
        trigger=Decimal(trigger),
    )  # fmt: skip


def test_a_stop_at_the_venue_keeps_nobody_from_leaving() -> None:
    agent = agent_with(scripted(leave=Leave("trend_end", "x")))
    state = make_state(holdings=(held(stop=Decimal(59_000)),), orders=(stop_at_the_venue("59000"),))

    bid = ask(agent, state=state)

    assert isinstance(bid, Proposal)
    assert bid.reduce_only


def test_a_stop_that_came_nearer_is_said_once_it_is_worth_a_move() -> None:
    agent = agent_with(scripted(leave=Stay(59_020.0)))  # 3 bps
    state = make_state(holdings=(held(stop=Decimal(59_000)),), orders=(stop_at_the_venue("59000"),))
    assert code_of(ask(agent, state=state)) == "holding"

    agent.source.leave = Stay(59_500.0)  # type: ignore[attr-defined]
    moved, answer = agent.handle(make_cfp(), context(state=state))
    assert code_of(answer) == "holding"
    assert moved == Protect(agent="strategy/x", symbol=BTC, opened=held().opened, stop=Decimal(59_500))


def test_a_stop_nobody_holds_for_us_is_told_to_nobody() -> None:
    agent = agent_with(scripted(leave=Stay(59_500.0)))
    assert code_of(ask(agent, state=make_state(holdings=(held(stop=Decimal(59_000)),)))) == "holding"


# leaving: long exits sell, short exits buy (T1)


@pytest.mark.parametrize(("qty", "side", "limit"), [("0.1", "sell", "59878.51"), ("-0.1", "buy", "60121.50")])
def test_exit_is_on_the_other_side_of_the_holding(qty: str, side: str, limit: str) -> None:
    agent = agent_with(scripted(leave=Leave("trend_end", "x")))

    bid = ask(agent, state=make_state(holdings=(held(qty),)))

    assert isinstance(bid, Proposal)
    assert bid.reduce_only
    assert (bid.legs[0].side, bid.legs[0].qty) == (side, Decimal("0.1"))
    assert bid.why.startswith("trend_end")
    # 20 bps through the best price, on the tick that does not cost more
    assert abs(bid.legs[0].limit_px - Decimal(limit)) < 3  # type: ignore[operator]


@pytest.mark.parametrize(
    ("qty", "stop", "take", "why", "urgency"),
    [
        ("0.1", 60_100, 70_000, "stop_loss", "urgent"),
        ("0.1", 50_000, 59_900, "take_profit", "normal"),
        ("-0.1", 59_900, 50_000, "stop_loss", "urgent"),
        ("-0.1", 70_000, 60_100, "take_profit", "normal"),
    ],
)
def test_level_that_is_reached_ends_the_holding(
    qty: str, stop: int, take: int, why: str, urgency: str
) -> None:
    state = make_state(holdings=(held(qty, stop=Decimal(stop), take=Decimal(take)),))

    bid = ask(agent_with(), state=state)

    assert isinstance(bid, Proposal)
    assert bid.why.startswith(why)
    assert bid.urgency == urgency
    assert bid.legs[0].side == ("sell" if qty == "0.1" else "buy")


def test_quantity_of_an_exit_is_cut_to_the_lot() -> None:
    agent = agent_with(scripted(leave=Leave("trend_end")))

    bid = ask(agent, state=make_state(holdings=(held("0.123456789"),)))

    assert isinstance(bid, Proposal)
    assert bid.legs[0].qty == Decimal("0.12345")


def test_dust_the_venue_would_not_take_counts_as_not_held() -> None:
    bid = ask(agent_with(), state=make_state(holdings=(held("0.00001"),)))

    assert isinstance(bid, Proposal)
    assert not bid.reduce_only


# stops never loosen (T4)


def stops_of(qty: str, wishes: list[float], start: int) -> list[float]:
    source = scripted(leave=Stay(float("nan")))
    agent = agent_with(source)
    state = make_state(holdings=(held(qty, stop=Decimal(start)),))
    found = []
    for wish in wishes:
        agent.source.leave = Stay(wish)  # type: ignore[attr-defined]
        assert code_of(ask(agent, state=state)) == "holding"
        found.append(agent._state.guards[BTC].stop)
    return found


def test_stop_of_a_long_only_rises() -> None:
    wishes = [59_100.0, 58_000.0, float("nan"), 59_500.0, -5.0, float("inf"), 59_400.0]

    assert stops_of("0.1", wishes, 59_000) == [59_100, 59_100, 59_100, 59_500, 59_500, 59_500, 59_500]


def test_stop_of_a_short_only_falls() -> None:
    assert stops_of("-0.1", [60_900.0, 62_000.0, 60_500.0], 61_000) == [60_900, 60_900, 60_500]


def test_stop_is_not_inherited_by_the_next_holding() -> None:
    agent = agent_with(scripted(leave=Stay(59_900.0)))
    ask(agent, state=make_state(holdings=(held(stop=Decimal(59_000)),)))

    ask(agent, state=make_state(holdings=(held(stop=Decimal(58_000), opened=T0 + 9),)))

    # the first look at a holding takes its own level, the source's wish follows
    assert agent._state.guards[BTC].opened == T0 + 9
    agent.source.leave = Stay(float("nan"))  # type: ignore[attr-defined]
    ask(agent, state=make_state(holdings=(held(stop=Decimal(57_000), opened=T0 + 10),)))
    assert agent._state.guards[BTC].stop == 57_000


def test_stop_that_was_hit_stays_hit_when_the_price_recovers() -> None:
    agent = agent_with(px=58_900.0)
    state = make_state(holdings=(held(stop=Decimal(59_000)),))
    assert isinstance(ask(agent, state=state), Proposal)

    agent.handle(batch_of(make_bar(t_open=T0 + MINUTE), book_at(60_000.0)), context())
    again = ask(agent, state=state)

    assert isinstance(again, Proposal)
    assert again.why.startswith("stop_loss")


def test_trailed_stop_is_named_so() -> None:
    agent = agent_with(scripted(leave=Stay(59_900.0)))
    state = make_state(holdings=(held(stop=Decimal(59_000)),))
    ask(agent, state=state)

    agent.handle(batch_of(make_bar(t_open=T0 + MINUTE, close=59_901.0), book_at(59_890.0)), context())
    bid = ask(agent, state=state)

    assert isinstance(bid, Proposal)
    assert bid.why.startswith("trailing_stop")


def test_stop_of_the_own_plan_guards_when_the_desk_knows_none() -> None:
    agent = agent_with()
    assert isinstance(ask(agent), Proposal)

    agent.handle(batch_of(make_bar(t_open=T0 + MINUTE), book_at(59_390.0)), context())
    bid = ask(agent, state=make_state(holdings=(held(),)))

    assert isinstance(bid, Proposal)
    assert bid.why.startswith("stop_loss")


def test_after_an_exit_comes_a_pause_of_market_time() -> None:
    agent = agent_with(cooldown_ms=120_000)
    ask(agent, state=make_state(holdings=(held(),)))

    assert code_of(ask(agent, now=T0 + MINUTE)) == "cooldown"
    assert code_of(ask(agent, now=T0 + 2 * MINUTE)) == "cooldown"
    assert isinstance(ask(agent, now=T0 + 3 * MINUTE), Proposal)


def test_leaving_one_symbol_goes_before_entering_another() -> None:
    agent = agent_with(scripted(leave=Leave("trend_end")))
    eth = make_bar(symbol="ETH/USDT", open=60_000.0, high=60_001.0, low=59_999.0, close=60_000.0)
    agent.handle(batch_of(eth, book_at(60_000.0, symbol="ETH/USDT")), context())

    bid = ask(agent, make_cfp(symbols=("ETH/USDT", BTC)), state=make_state(holdings=(held(),)))

    assert isinstance(bid, Proposal)
    assert (bid.symbol, bid.reduce_only) == (BTC, True)


# opinions


def test_only_valid_opinions_reach_the_source_sorted_by_agent() -> None:
    agent = agent_with()
    for name, until in (("signal/z", 9), ("signal/a", 9), ("signal/old", 1)):
        agent.handle(make_opinion(agent=name, valid_to=T0 + until * MINUTE), context())
    agent.handle(make_opinion(agent="signal/nan", direction=float("nan")), context())
    agent.handle(make_opinion(agent="signal/x", symbol="DOGE/USDT"), context())

    ask(agent)

    assert agent.source.heard[-1] == ("signal/a", "signal/z")  # type: ignore[attr-defined]


# counters


def counter(agent: StrategyAgent, **over: object) -> CounterReply:
    bid = ask(agent)
    assert isinstance(bid, Proposal)
    plain: dict[str, object] = {"pid": bid.pid, "agent": "desk", "code": "advice", "binding": True}
    reply = ask(agent, Counter(**(plain | over)))  # type: ignore[arg-type]
    assert isinstance(reply, CounterReply)
    return reply


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"qty_max": Decimal(1)},
        {"qty_max": Decimal("0.01")},
        {"px_limit": Decimal("60010")},
        {"qty_max": Decimal("0.01"), "px_limit": Decimal(59_990)},
    ],
)
def test_smaller_size_or_better_price_is_accepted(over: dict[str, object]) -> None:
    assert counter(agent_with(), **over).action == "accept"


def test_size_off_the_lot_and_worse_price_are_revised_to_the_safe_side() -> None:
    reply = counter(agent_with(), qty_max=Decimal("0.0123456"), px_limit=Decimal(60_500))

    assert reply.action == "revise"
    assert reply.proposal is not None
    [leg] = reply.proposal.legs
    assert (leg.qty, leg.limit_px) == (Decimal("0.01234"), Decimal("60030.50"))
    assert reply.proposal.pid != reply.pid
    assert reply.proposal.parent_pid == reply.pid


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"qty_max": Decimal("0.00001")}, "below_min_notional"),
        ({"qty_max": Decimal(0)}, "below_min_qty"),
        ({"reject": True, "code": "coupling"}, "coupling"),
        ({"pid": b"?" * 16}, "unknown_pid"),
    ],
)
def test_what_is_not_worth_it_is_withdrawn_with_a_code(over: dict[str, object], code: str) -> None:
    reply = counter(agent_with(), **over)

    assert (reply.action, reply.code) == ("withdraw", code)


def test_edge_that_the_limit_price_eats_is_withdrawn() -> None:
    agent = agent_with(scripted(entry(edge_bps=26.0)), entry_slippage_bps=5.0)
    bid = ask(agent)
    assert isinstance(bid, Proposal)
    agent.handle(batch_of(make_bar(t_open=T0 + MINUTE), book_at(59_900.0)), context())

    reply = ask(agent, Counter(pid=bid.pid, agent="desk", code="x", binding=True, qty_max=Decimal("0.01")))

    assert isinstance(reply, CounterReply)
    assert (reply.action, reply.code) == ("withdraw", "edge_below_cost")


# construction


def test_make_takes_the_source_from_the_host() -> None:
    spec = spec_of(source="strategies.trend:make", source_params={"every": 5}, risk=0.02)
    seen = []

    def build(params: object) -> object:
        seen.append(params)
        return scripted()({})

    make(spec, env_of(), build)  # type: ignore[arg-type]

    assert seen == [{"every": 5}]


@pytest.mark.parametrize("params", [{"rsk": 0.1}, {"risk": 0.5}, {"cooldown_ms": -1}])
def test_bad_parameter_is_a_config_error(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make(spec_of(**params), env_of(), scripted())


def test_agent_without_a_source_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="needs a source"):
        make(spec_of(), env_of())
