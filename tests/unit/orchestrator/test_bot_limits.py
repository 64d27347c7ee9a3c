"""Limits of one bot, through a real desk and its gate: what each bot lost, traded and sent is its own.

Not here: the arithmetic of a node (tests/unit/parley/test_risk_tree.py), that all results sum to those of the
account (tests/property/test_standings.py).
"""

import pickle
from collections.abc import Sequence

import pytest

from orchestrator.account import DAY_NS
from parley.agent import Context
from parley.messages import Cfp, Decision, GateRefusal, Intent, LimitChange, Message, Refuse
from runtime.kept_firm import _unpickled
from tests.kit.desk_cases import BTC, StepDesk, ack, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, proposal

ETH = "ETH/USDT"
TREND, BREAKOUT = "strategy/a", "strategy/b"
WIDE = {
    "max_position": "0.9", "max_order_notional": "0.9", "max_gross": "2", "max_net": "2", "max_leverage": "2",
    "max_correlated": "2", "min_uninvested": "0.01", "max_daily_loss": "0.9", "duplicate_window_ms": 0,
}  # fmt: skip
LOSS = {"max_daily_loss": "0.02"}


class Book:
    """What a strategy does next: by symbol the quantity to buy, below zero to sell."""

    def __init__(self, **wants: str) -> None:
        self.wants = wants

    @property
    def script(self) -> Script:
        def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
            if not isinstance(msg, Cfp):
                return None
            want = D(self.wants.get(msg.symbols[0].split("/")[0], "0"))
            if not want:
                return (Refuse(agent=me, code="nothing"),)
            side = "buy" if want > 0 else "sell"
            # capital allows half of what opens
            qty = want * 2 if want > 0 else -want
            return (proposal(me, ctx, msg.symbols[0], side, qty, reduce_only=want < 0),)

        return unless(say)


def desk_of(trend: Book, breakout: Book, tree: dict[str, object], **limits: object) -> StepDesk:
    return StepDesk(
        {TREND: trend.script, BREAKOUT: breakout.script}, symbols=(BTC, ETH),
        limits={**WIDE, **limits, "tree": tree},
    )  # fmt: skip


def fill_all(desk: StepDesk, orders: Sequence[object]) -> list[Intent]:
    sent = [o for o in orders if isinstance(o, Intent)]
    for order in sent:
        desk.tell(desk.filled(order, px=order.ref_px, fee="none"), ack(order))
    return sent


def refusals(desk: StepDesk) -> list[tuple[str, str, str]]:
    return [(m.code, m.value, m.cap) for m in desk.said(GateRefusal) if isinstance(m, GateRefusal)]


def apart(tree: dict[str, object], **limits: object) -> tuple[StepDesk, Book, Book]:
    """A desk whose trend lost 6 % of equity while its breakout gained exactly as much."""
    trend, breakout = Book(BTC="0.8"), Book(ETH="16")
    desk = desk_of(trend, breakout, tree, **limits)
    assert len(fill_all(desk, desk.close())) == 2
    trend.wants, breakout.wants = {}, {}
    desk.close({BTC: 42_500.0, ETH: 2_875.0})
    assert desk.view.state.equity == desk.view.state.day_open == D(100_000)
    trend.wants, breakout.wants = {"BTC": "0.01"}, {"ETH": "0.1"}
    return desk, trend, breakout


NOW = {BTC: 42_500.0, ETH: 2_875.0}


def test_a_bot_that_lost_is_stopped_and_the_one_that_won_goes_on() -> None:
    desk, _, _ = apart({f"bot:{TREND}": LOSS, f"bot:{BREAKOUT}": LOSS})
    sent = fill_all(desk, desk.close(NOW))
    assert [(o.agent, o.symbol) for o in sent] == [(BREAKOUT, ETH)]
    assert refusals(desk) == [(f"bot:{TREND} max_daily_loss", "0.06", "0.02")]
    decided = [m for m in desk.said(Decision) if isinstance(m, Decision) and m.action == "reject"]
    assert decided[-1].reasons[0][:2] == ("gate", f"bot:{TREND} max_daily_loss")


def test_a_bot_is_not_stopped_for_what_another_lost() -> None:
    desk, _, _ = apart({f"bot:{BREAKOUT}": LOSS})
    desk.close({BTC: 30_000.0, ETH: 2_875.0})
    assert desk.view.day_loss > D("0.09")  # of the account
    sent = fill_all(desk, desk.close({BTC: 30_000.0, ETH: 2_875.0}))
    assert BREAKOUT in {o.agent for o in sent}
    assert refusals(desk) == []


def test_the_account_itself_is_still_stopped_for_what_all_lost_together() -> None:
    desk, _, _ = apart({"account": LOSS})
    desk.close(NOW)
    assert refusals(desk) == []
    desk.close({BTC: 38_000.0, ETH: 2_875.0})
    assert {code for code, _, _ in refusals(desk)} == {"account max_daily_loss"}


def test_a_stopped_bot_still_leaves_what_it_holds() -> None:
    desk, trend, _ = apart({f"bot:{TREND}": {"max_daily_loss": "0.02", "max_daily_trades": 1}})
    trend.wants = {"BTC": "-0.8"}
    sent = fill_all(desk, desk.close(NOW))
    assert (TREND, "sell", True) in {(o.agent, o.side, o.reduce_only) for o in sent}
    assert refusals(desk) == []
    assert desk.view.standings.lost(TREND) == D(6_000)  # realised, and still its own


def test_a_new_day_is_a_new_day_for_a_bot_and_its_best_is_not_forgotten() -> None:
    desk, _, _ = apart({f"bot:{TREND}": LOSS})
    next_day = (T0 // DAY_NS + 1) * DAY_NS
    fill_all(desk, desk.close(NOW, minutes=(next_day - T0) // MINUTE))
    assert refusals(desk) == []
    assert TREND in {o.agent for o in desk.sent[-2:] if isinstance(o, Intent)}

    fallen, _, _ = apart({f"bot:{TREND}": {"max_drawdown": "0.02"}})
    fallen.close(NOW, minutes=(next_day - T0) // MINUTE)
    assert refusals(fallen) == [(f"bot:{TREND} max_drawdown", "0.06", "0.02")]


def test_a_fall_is_measured_from_a_bots_own_best_as_a_share_of_the_accounts_peak() -> None:
    trend = Book(BTC="0.8")
    desk = desk_of(trend, Book(), {f"bot:{TREND}": {"max_drawdown": "0.05"}})
    fill_all(desk, desk.close())
    trend.wants = {}
    desk.close({BTC: 62_500.0})  # wins 10,000: the account's peak is 110,000
    trend.wants = {"BTC": "0.01"}
    assert [o.agent for o in desk.close({BTC: 55_625.0})] == [TREND]  # 5,500 below its best
    assert refusals(desk) == []
    desk.close({BTC: 55_624.0})
    assert refusals(desk)[0][0] == f"bot:{TREND} max_drawdown"


def test_trades_of_another_are_not_a_bots() -> None:
    trend, breakout = Book(BTC="0.01"), Book()
    one = {"max_daily_trades": 1}
    desk = desk_of(trend, breakout, {f"bot:{TREND}": one, f"bot:{BREAKOUT}": one})
    assert len(fill_all(desk, desk.close())) == 1
    breakout.wants = {"ETH": "0.1"}
    assert [o.agent for o in fill_all(desk, desk.close())] == [BREAKOUT]
    assert refusals(desk) == [(f"bot:{TREND} max_daily_trades", "1", "1")]
    assert desk.view.state.trades_today == 2


def test_orders_of_another_are_not_a_bots() -> None:
    one = {"orders_per_s": 1}
    tree = {f"bot:{TREND}": one, f"bot:{BREAKOUT}": one}
    desk = desk_of(Book(BTC="0.01"), Book(ETH="0.1"), tree)
    assert [o.agent for o in desk.close()] == [TREND, BREAKOUT]
    assert refusals(desk) == []

    alone = desk_of(Book(BTC="0.01", ETH="0.1"), Book(), tree)
    assert [o.symbol for o in alone.close()] == [BTC]
    assert refusals(alone) == [(f"bot:{TREND} orders_per_s", "1", "1")]


def test_a_limit_that_a_bot_gets_while_the_desk_runs_knows_what_it_lost_before() -> None:
    desk, _, _ = apart({})
    key = f"tree.bot:{TREND}.max_daily_loss"
    desk.admit(LimitChange(n=1, key=key, old="none", new="0.02", by="ann", why="test", t=1), "gateway")
    sent = desk.close(NOW)
    assert [o.agent for o in sent] == [BREAKOUT]
    assert refusals(desk) == [(f"bot:{TREND} max_daily_loss", "0.06", "0.02")]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_desk_that_comes_back_goes_on_with_what_each_bot_lost(restarted: bool) -> None:
    desk, _, _ = apart({f"bot:{TREND}": LOSS, f"bot:{BREAKOUT}": {"max_daily_trades": 2}})
    if restarted:
        before = desk.view
        desk.firm, _ = _unpickled(pickle.dumps((desk.firm, {}), protocol=5))
        assert desk.view is not before
        assert desk.view.standings == before.standings
    first = fill_all(desk, desk.close(NOW))
    assert [o.agent for o in first] == [BREAKOUT]
    assert fill_all(desk, desk.close(NOW)) == []
    assert {code for code, _, _ in refusals(desk)} == {
        f"bot:{TREND} max_daily_loss", f"bot:{BREAKOUT} max_daily_trades"
    }  # fmt: skip
