"""What decided orders cost, folded from messages put down one by one, and as `parley costs` shows it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley.execution.shortfall import Shortfall
from parley.ids import show_round
from parley.messages import Child, Intent, MarketBatch, Message, PlanLeg, Void
from runtime.cli import app
from runtime.explain import explain
from runtime.history import open_journal
from runtime.shortfall import Costs, OrderCost, grouped
from tests.kit.builders import (
    T0,
    make_book,
    make_decision,
    make_fill,
    make_instrument,
    make_leg,
    make_proposal,
)
from tests.kit.small_journal import ROUNDS, write_journal

D = Decimal
MINUTE = 60_000_000_000
ROUND, PID = b"r" * 16, b"p" * 16


def market(bid: float, ask: float, minute: int) -> MarketBatch:
    book = make_book(bids=((bid, 5.0),), asks=((ask, 5.0),))
    return MarketBatch(step=minute, t=T0 + minute * MINUTE, books=(book,))


def decided(qty: str, side: str = "buy", style: str = "twap", horizon_ms: int = 300_000) -> list[Message]:
    children = (Child(qty=D(qty) / 2, delay_ms=0), Child(qty=D(qty) / 2, delay_ms=60_000))
    plan = PlanLeg(
        symbol="BTC/USDT", side=side, qty=D(qty), style=style, px=D(200), tif="IOC", reduce_only=False,
        children=children,
    )  # fmt: skip
    bid = make_proposal(pid=PID, legs=(make_leg(side=side, qty=qty),), horizon_ms=horizon_ms)
    return [bid, make_decision(round=ROUND, pid=PID, plan=(plan,), qty=D(qty), t=T0)]


def sent(child: int, qty: str, ref_px: str | None, side: str = "buy") -> Intent:
    return Intent(
        iid=b"%016d" % child, cid=f"c{child}", round=ROUND, pid=PID, leg=0, child=child, account="main",
        venue="sandbox", symbol="BTC/USDT", side=side, qty=D(qty), px=D(200), style="limit", tif="IOC",
        reduce_only=False, send_by=0, epoch=1, reservation_id=b"", risk_hash=b"",
        ref_px=None if ref_px is None else D(ref_px),
    )  # fmt: skip


def filled(child: int, qty: str, px: str, **over: object) -> Message:
    return make_fill(iid=b"%016d" % child, qty=qty, px=px, trade_id=f"{child}/{qty}/{px}", **over)


def folded(*messages: Message) -> Costs:
    costs = Costs({"BTC/USDT": make_instrument()})
    for message in messages:
        costs.take(message)
    return costs


def one(*messages: Message) -> OrderCost:
    (found,) = folded(*messages).orders()
    return found


def test_a_schedule_of_two_children_is_told_part_by_part() -> None:
    found = one(
        market(99.0, 101.0, 0), *decided("4"), sent(0, "2", "100"),
        filled(0, "1", "101", fee="0.5"), filled(0, "1", "102", fee="0.001", fee_asset="BTC"),
        market(103.0, 105.0, 1), sent(1, "2", "104"), filled(1, "1", "105"),
        market(109.0, 111.0, 5), market(200.0, 201.0, 9),
    )  # fmt: skip

    # the last two children left 1 of 4 behind, worth 110 at the end of five minutes
    assert found.cost == Shortfall(
        delay=D(4), spread=D(3), impact=D(1), fees=D("0.602"), opportunity=D(10), total=D("18.602")
    )
    assert (found.style, found.children, found.qty, found.filled) == ("twap", 2, D(4), D(3))
    assert (found.decided_px, found.ended_px, found.wanted, found.quote) == (D(100), D(110), D(400), "USDT")
    assert (found.round, found.agent, found.t) == (show_round(ROUND), "strategy/ema", T0)


def test_an_order_that_rested_earns_the_spread_of_a_sale() -> None:
    found = one(
        market(99.0, 101.0, 0), *decided("4", "sell", "post_only"), sent(0, "4", "100", "sell"),
        filled(0, "4", "101", side="sell", liquidity="maker"),
    )  # fmt: skip

    assert found.cost == Shortfall(spread=D(-4), total=D(-4))


def test_a_fill_told_twice_counts_once_and_a_void_order_not_at_all() -> None:
    fill = filled(0, "2", "101")
    found = one(market(99.0, 101.0, 0), *decided("4"), sent(0, "2", "100"), fill, fill)

    assert found.filled == D(2)
    void = Void(round=ROUND, iids=(b"%016d" % 0,), why="late")
    assert folded(market(99.0, 101.0, 0), *decided("4"), sent(0, "2", "100"), void).orders() == []


def test_fees_in_a_third_asset_are_named_and_in_no_sum() -> None:
    found = one(
        market(99.0, 101.0, 0), *decided("2"), sent(0, "2", "100"),
        filled(0, "2", "101", fee="0.01", fee_asset="BNB"),
    )  # fmt: skip

    assert found.fees_elsewhere == {"BNB": D("0.01")}
    assert found.cost.fees == 0


def test_what_did_not_trade_is_valued_at_the_last_mid_while_the_horizon_runs() -> None:
    start = [market(99.0, 101.0, 0), *decided("2"), sent(0, "2", "100")]

    assert one(*start).cost == Shortfall()
    assert one(*start, market(104.0, 106.0, 1)).cost.opportunity == D(10)


def test_groups_sum_their_orders_and_the_dearest_comes_first() -> None:
    twap = one(market(99.0, 101.0, 0), *decided("2"), sent(0, "2", "100"), filled(0, "2", "101"))
    post = one(
        market(99.0, 101.0, 0), *decided("4", style="post_only"), sent(0, "4", "100"),
        filled(0, "1", "99", liquidity="maker"),
    )  # fmt: skip

    dear, cheap = grouped([post, twap, twap], "style")

    assert (dear.name, dear.orders, dear.wanted, dear.filled) == ("twap", 2, D(400), D(1))
    assert (dear.cost.total, dear.bps) == (D(4), D(100))
    assert (cheap.name, cheap.filled, cheap.cost.spread) == ("post_only", D("0.25"), D(-1))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_journal(tmp_path_factory.mktemp("costs") / "desk.journal")


def test_the_command_and_the_round_say_the_same(journal: Path) -> None:
    done = CliRunner().invoke(app, ["costs", "--journal", str(journal), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.output)
    shown = CliRunner().invoke(app, ["costs", "--journal", str(journal), "--by", "agent"])

    bought = explain(open_journal(journal), ROUNDS[1]).costs
    assert [order["round"] for order in told["orders"]] == [show_round(ROUNDS[1]), show_round(ROUNDS[3])]
    assert [str(cost.cost.total) for cost in bought] == [told["orders"][0]["cost"]["total"]]
    assert sum(group["orders"] for group in told["groups"]) == 2
    assert "strategy/trend" in shown.output
    assert "against the mid at the decision" in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "moon"], "by style, agent or symbol, not by 'moon'"),
        (["--symbol", "ETH/USDC"], "there is no pair 'ETH/USDC'"),
    ],
)
def test_a_mistake_is_one_line(journal: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["costs", "--journal", str(journal), *arguments])

    assert done.exit_code != 0
    assert said in " ".join(done.output.split())
