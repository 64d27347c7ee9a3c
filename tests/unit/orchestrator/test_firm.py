"""The firm as a whole: breakers, several holders, stopping, and the same run twice."""

import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.account import DAY_NS
from parley.agent import Context
from parley.messages import (
    Ack,
    AnalysisReady,
    Breaker,
    CancelIntent,
    Cfp,
    Compared,
    Decision,
    Gap,
    Halt,
    Intent,
    MarketBatch,
    Message,
    NotUnderstood,
    Outcome,
    Proposal,
    Refuse,
    Review,
    Shutdown,
    Started,
    StateView,
    Trigger,
    WeightUpdate,
)  # fmt: skip
from tests.kit.builders import make_fill
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, event, silent, unless
from tests.kit.firm_kit import MINUTE, T0, D, TestDesk, polite, proposal, spot

FOREVER = 1 << 62
REST = {"style": "post_only", "px_limit": D(49_990)}


def trips(action: str, at: int, until: int = FOREVER, kind: type = MarketBatch, symbol: str = ""):
    """Make a risk agent that trips a breaker at a step."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, kind) and ctx.now == T0 + at * MINUTE:
            found = Breaker(
                agent=me, name="test", action=action, until=until, value="1", cap="0", symbol=symbol
            )  # fmt: skip
            return (found, *polite(msg, ctx, me))
        return None

    return unless(say)


def both(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """A strategy that buys when flat and sells when it holds, whatever its name."""
    if not isinstance(msg, Cfp):
        return polite(msg, ctx, me)
    held = ctx.view.holding(me, BTC)
    if ctx.view.reserved(me, BTC):
        return (Refuse(agent=me, code="working"),)
    if held is None or held.qty < spot(BTC).lot:
        return (
            (proposal(me, ctx, BTC, "buy", D("0.1")),)
            if not msg.reduce_only
            else (Refuse(agent=me, code="no"),)
        )
    return (proposal(me, ctx, BTC, "sell", spot(BTC).qty(held.qty), reduce_only=True),)


def execute(desk: StepDesk, orders: Sequence[Intent | CancelIntent]) -> None:
    for order in orders:
        assert isinstance(order, Intent)
        desk.tell(desk.filled(order), ack(order))


def both_hold(desk: StepDesk) -> None:
    """Let two strategies buy the same symbol, one after the other."""
    scripts = {name: desk.transport._hosts[name].agent for name in ("strategy/a", "strategy/b")}
    for name in scripts:
        for other, agent in scripts.items():
            agent._script = both if other == name else silent
        execute(desk, desk.close())
    for agent in scripts.values():
        agent._script = both


def halt(mode: str) -> Halt:
    return Halt(scope="*", mode=mode, by="me", why="")


# breakers and commands


def test_a_pause_refuses_openings_lets_exits_through_and_ends() -> None:
    desk = StepDesk({"risk/a": trips("pause", 2, T0 + 4 * MINUTE)})
    execute(desk, desk.close())
    (exit_,) = desk.close()
    assert exit_.reduce_only
    execute(desk, [exit_])
    assert desk.close() == []
    assert desk.last.action == "hold"
    assert ("strategy/a", "not_reduce_only", "proposal") in desk.last.reasons
    assert [m.side for m in desk.close() if isinstance(m, Intent)] == ["buy"]


def test_a_breaker_tripped_during_the_round_refuses_its_opening_but_not_an_exit() -> None:
    desk = StepDesk({"risk/a": trips("pause", 1, T0 + 2 * MINUTE, Review)})
    assert desk.close() == []
    assert desk.last.action == "reject"
    assert desk.last.reasons[0] == ("risk/a", "breaker", "test")
    desk = StepDesk({"risk/a": trips("pause", 2, T0 + 3 * MINUTE, Review)})
    execute(desk, desk.close())
    (exit_,) = desk.close()
    assert exit_.reduce_only


def test_flatten_sells_for_every_holder_although_the_strategies_are_silent() -> None:
    desk = StepDesk({"risk/a": trips("flatten", 3), "strategy/a": both, "strategy/b": both})
    both_hold(desk)
    for name in ("strategy/a", "strategy/b", "capital/a", "meta/a"):
        desk.transport._hosts[name].agent._script = silent
    holders = ["strategy/a", "strategy/b"]
    orders = desk.close()
    assert [m.reduce_only for m in orders if isinstance(m, Intent)] == [True] * len(holders)
    flats = [
        d
        for d in desk.said(Decision)
        if d.agent in holders and d.t == T0 + 3 * MINUTE and d.action == "accept"
    ]
    assert sorted(d.agent for d in flats) == holders
    execute(desk, orders)
    assert all(h.qty < spot(BTC).lot for h in desk.view.state.holdings)
    assert desk.view.state.trading == "FLATTENING"
    before = len(desk.said(Decision))
    desk.close()
    assert len(desk.said(Decision)) == before + 1  # dust cannot be sold: nobody tries, at every bar


def test_flatten_does_not_repeat_itself_at_one_market_time() -> None:
    desk = StepDesk({"risk/a": trips("flatten", 2), "strategy/a": both})
    execute(desk, desk.close())
    desk.transport._hosts["strategy/a"].agent._script = silent
    (exit_,) = desk.close()
    desk.tell(event(exit_, "expired"))
    t = desk.firm.table.now
    book = desk.depth(BTC, t, 50_000.0)
    assert desk.admit(MarketBatch(step=99, t=t, books=(book,)), "hub") == []
    assert desk.last.round != exit_.round
    assert desk.last.reasons[0][:2] == ("gate", "duplicate")  # within the same seconds
    (again,) = desk.close(bars=False)
    assert again.reduce_only


@pytest.mark.parametrize("symbol", ["", BTC, "ETH/USDT"])
def test_a_cancel_breaker_cancels_what_rests_on_its_symbol(symbol: str) -> None:
    desk = StepDesk({"risk/a": trips("cancel", 2, T0, symbol=symbol), "execution/a": advises(**REST)})
    (first,) = desk.close()
    desk.tell(ack(first))
    cancels = [m for m in desk.close() if isinstance(m, CancelIntent)]
    assert [c.iid for c in cancels] == ([first.iid] if symbol != "ETH/USDT" else [])


def test_a_halt_stops_everything_and_resume_goes_on() -> None:
    desk = StepDesk()
    desk.admit(halt("HALT"), "user")
    assert desk.close() == []
    assert desk.said(StateView)[-1].trading == "HALTED"
    desk.admit(halt("RESUME"), "user")
    assert len(desk.close()) == 1


def test_a_gap_opens_nothing_until_balances_were_compared() -> None:
    desk = StepDesk()
    gap, compared = Gap(stream="user", from_seq=0, to_seq=-1), Compared(streams=("account", "user"), t=T0)

    assert not desk.firm.is_news(compared)
    desk.tell(gap)
    assert desk.said(StateView)[-1].trading == "REDUCING"
    assert desk.close() == []
    assert desk.firm.is_news(compared)
    desk.tell(compared)
    assert not desk.firm.is_news(compared)
    assert len(desk.close()) == 1


def test_cancel_only_cancels_what_rests_and_reduce_only_lets_holders_out() -> None:
    desk = StepDesk({"execution/a": advises(**REST)})
    (first,) = desk.close()
    (cancel,) = desk.admit(halt("CANCEL_ONLY"), "user")
    assert isinstance(cancel, CancelIntent)
    assert cancel.iid == first.iid
    desk = StepDesk()
    execute(desk, desk.close())
    desk.admit(halt("REDUCE_ONLY"), "user")
    (exit_,) = desk.close()
    assert exit_.reduce_only
    execute(desk, [exit_])
    assert desk.close() == []


# stopping


def test_shutdown_cancels_live_orders_and_opens_no_more_rounds() -> None:
    desk = StepDesk({"execution/a": advises(**REST)})
    (first,) = desk.close()
    desk.tell(ack(first))
    (cancel,) = desk.admit(Shutdown(why="stopped", flatten=False, t=0), "user")
    assert isinstance(cancel, CancelIntent)
    desk.tell(ack(cancel), event(first, "canceled"))
    assert desk.view.state.reservations == ()
    rounds = len(desk.said(Trigger))
    assert desk.close() == []
    assert len(desk.said(Trigger)) == rounds


def test_shutdown_may_ask_to_leave_every_position() -> None:
    desk = StepDesk()
    execute(desk, desk.close())
    (exit_,) = desk.admit(Shutdown(why="stopped", flatten=True, t=0), "user")
    assert (exit_.side, exit_.reduce_only) == ("sell", True)


# several holders, several askers


def test_two_holders_leave_on_the_same_bar_under_different_deterministic_names() -> None:
    def run() -> list[Intent]:
        desk = StepDesk({"strategy/a": both, "strategy/b": both})
        both_hold(desk)
        return [m for m in desk.close() if isinstance(m, Intent)]

    exits = run()
    assert [m.reduce_only for m in exits] == [True, True]
    assert exits[0].qty == exits[1].qty  # equal orders of two holders are no repetition
    assert len({m.iid for m in exits}) == len({m.round for m in exits}) == len({m.cid for m in exits}) == 2
    assert run() == exits


def test_one_round_for_an_agent_that_asks_twice_and_none_about_unknown_symbols() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, MarketBatch):
            return None
        ready = AnalysisReady(agent=me, symbol=BTC, tf_ns=MINUTE, t_candle=0, result_hash=b"")
        return (ready, ready, replace(ready, symbol="XRP/USDT"), replace(ready, symbols=(BTC, "XRP/USDT")))

    desk = StepDesk({"arbitrage/a": unless(say)})
    desk.close()
    assert [(t.kind, t.source) for t in desk.said(Trigger)] == [("bar", "feed"), ("analysis", "arbitrage/a")]
    assert [n.code for n in desk.said(NotUnderstood)] == ["unknown_symbol"] * 2


def test_the_same_trigger_again_makes_no_second_order() -> None:
    desk = StepDesk()
    (first,) = desk.close()
    desk.tell(event(first, "expired"))
    desk.step -= 1
    assert desk.close() == []  # the bar of the same minute came again
    assert desk.last.reasons[0][:2] == ("gate", "intent_exists")


# facts


def test_a_fill_is_booked_once_and_a_foreign_one_is_nobodys() -> None:
    desk = StepDesk()
    (first,) = desk.close()
    fill = desk.filled(first, D("0.02"))
    for _ in range(3):
        desk.admit(fill, "gateway")
    assert desk.view.holding("strategy/a", BTC).qty == D("0.02") - fill.fee
    desk.admit(make_fill(trade_id="x", iid=b"?" * 16, symbol=BTC, account="main", venue="binance"), "gateway")
    assert desk.view.holding("external", BTC).qty == D("0.1")
    assert desk.view.state.orders[0].filled == D("0.02")


def test_a_day_ends_with_its_trades_and_its_opening_value() -> None:
    desk = StepDesk()
    execute(desk, desk.close())
    assert desk.view.state.trades_today == 1
    desk.close(minutes=DAY_NS // MINUTE)
    state = desk.view.state
    assert state.trades_today == 0
    assert state.day_open == state.equity


def test_rounds_and_legs_do_not_pile_up() -> None:
    desk = StepDesk()
    for n in range(30):
        execute(desk, desk.close({BTC: 50_000.0 + n}))
    assert len(desk.said(Decision)) == 30
    assert desk.firm.rounds == {}
    assert desk.firm.account.legs.all() == ()
    assert desk.firm.account.orders.live() == ()
    assert desk.firm.dispatch._following == {}


def test_outcomes_reach_the_meta_agent_and_later_ballots_cite_its_version() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Outcome):
            return (WeightUpdate(version=7, weights=(), evidence=(ctx.seq, ctx.seq)),)
        return None

    desk = StepDesk({"meta/a": unless(say)})
    for n in range(4):
        desk.close({BTC: 50_000.0 + n})
    versions = [d.weights_version for d in desk.said(Decision)]
    assert versions[0] == 0
    assert versions[-1] == 7


# the same again


def scenario() -> str:
    """Run a bit of everything and give a hash of all records."""
    desk = StepDesk(
        {"strategy/a": both, "strategy/b": both, "risk/a": trips("pause", 9, T0 + 11 * MINUTE)},
        symbols=(BTC, "ETH/USDT"),
        crosses=("ETH/BTC",),
    )
    for n in range(16):
        orders = desk.close({BTC: 50_000.0 + 17 * n, "ETH/USDT": 2_500.0 - n})
        for i, order in enumerate(orders):
            assert isinstance(order, Intent)
            match (n + i) % 4:
                case 0:
                    desk.tell(
                        ack(order), desk.filled(order, order.qty / 2), event(order, "expired", order.qty / 2)
                    )
                case 1:
                    desk.tell(event(order, "closed", order.qty), desk.filled(order))
                case 2:
                    desk.tell(Ack(iid=order.iid, venue_id="v", t_venue=T0), event(order, "canceled"))
                case _:
                    execute(desk, [order])
    desk.admit(halt("REDUCE_ONLY"), "user")
    desk.close()
    desk.admit(Shutdown(why="stopped", flatten=True, t=0), "user")
    desk.firm.attribution.report(desk.firm.account.ledger)
    return blake2b(b"".join(desk.records), digest_size=16).hexdigest()


def test_the_records_do_not_depend_on_the_hash_seed() -> None:
    root = Path(__file__).resolve().parents[3]
    code = "from tests.unit.orchestrator.test_firm import scenario; print(scenario())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {scenario() + "\n"}


def test_polite_agents_trade_every_bar() -> None:
    desk = TestDesk()
    for _ in range(4):
        desk.bar()
    assert [d.action for d in desk.said(Decision)] == ["accept"] * 4
    assert [p.urgency for p in desk.said(Proposal)] == ["normal"] * 4


def test_desk_that_comes_back_shows_every_agent_the_account_again() -> None:
    """A process that met the new desk holds no state, and would hear of it only with the next change."""
    desk = TestDesk()
    desk.bar()
    shown = desk.said(StateView)
    last = shown[-1]

    desk.admit(Started(run_id="t", epoch=2, quote="USDT", capital=D(1), t=T0), "supervisor")

    assert desk.said(StateView) == [*shown, last]
    desk.admit(Started(run_id="t", epoch=1, quote="USDT", capital=D(1), t=T0), "supervisor")
    assert desk.said(StateView) == [*shown, last], "at its first start there is nobody to show it to"
