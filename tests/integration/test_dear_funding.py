"""A desk on a contract whose funding takes the edge: refused by name, explained, and replayed with its rates.

Not here: the cost itself (tests/unit/parley/test_funding.py), where rates come from (tests/contract).
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from agents.risk import make
from orchestrator.policy import GroupOut
from parley.agent import AgentEnv, AgentSpec
from parley.messages import KIND_OF, Decision, Intent, Mark, MarketBatch, decode, decode_envelope, encode
from runtime.commands.explain import show
from runtime.explain import explain
from runtime.history import open_journal
from runtime.recovery import recover
from runtime.replay import replay
from tests.kit import desk_journal
from tests.kit.firm_kit import MINUTE, SUBSCRIPTIONS, T0, TEAM, D, TestDesk, listed

BTC = "BTC/USDT:USDT"
RISK = "risk/a"
LIMITS: dict[str, object] = {"max_position": "0.9", "max_order_notional": "0.9", "max_correlated": "0.9"}
# of an edge of 50 bps, buying and selling takes 20
DEAR, FAIR = 0.0031, 0.003
AGENTS = tuple(
    AgentSpec(
        id=i, role=r, factory="agents.risk:make" if i == RISK else desk_journal.FACTORY,
        subscriptions=SUBSCRIPTIONS, params={"limits": LIMITS} if i == RISK else {},
    )
    for i, r in TEAM
)  # fmt: skip


def run_over() -> dict[str, Any]:
    return {"agents": AGENTS, "instruments": {BTC: listed(BTC)}, "limits": LIMITS}


def lived() -> TestDesk:
    """A desk that is told a rate it does not know, a dear one, and one that leaves something."""
    env = AgentEnv(
        tenant="local", account="main", quote="USDT", symbols=(BTC,), instruments={BTC: listed(BTC)},
        tf_ns=MINUTE, agents=TEAM,
    )  # fmt: skip
    risk = make(next(each for each in AGENTS if each.id == RISK), env)
    desk = TestDesk(
        {RISK: lambda msg, ctx, me: risk.handle(msg, ctx)}, symbols=(BTC,), fill=False, limits=LIMITS,
        capital=D(100_000),
    )  # fmt: skip
    for rate in (DEAR, FAIR):
        t = T0 + desk.step * MINUTE
        mark = Mark(symbol=BTC, t=t, px=50_000.0, rate=rate, next_funding=t + MINUTE + MINUTE // 2)
        desk.admit(MarketBatch(step=desk.step, t=t, marks=(mark,)), "hub")
        desk.bar()
    return desk


@pytest.fixture(scope="module")
def desk() -> TestDesk:
    return lived()


@pytest.fixture(scope="module")
def journal(desk: TestDesk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dear")
    return desk_journal.write(folder / "desk.journal", desk, **run_over())


def decisions(desk: TestDesk) -> list[Decision]:
    return [each for each in desk.said(Decision) if isinstance(each, Decision)]


def test_the_round_that_would_pay_too_much_opens_nothing_and_the_next_one_does(desk: TestDesk) -> None:
    dear, fair = decisions(desk)
    assert (dear.action, fair.action) == ("reject", "accept")
    assert "funding" in str(dear.reasons)
    (order,) = desk.sent
    assert isinstance(order, Intent)
    assert (order.side, order.round) == ("buy", fair.round)


def test_it_says_why_in_full(journal: Path, desk: TestDesk) -> None:
    dear, _ = decisions(desk)
    with open_journal(journal) as reader:
        told = explain(reader, dear.round)
    out = StringIO()
    show(told, Console(file=out, width=200))
    assert "funding" in out.getvalue()
    assert "31.0000" in out.getvalue()
    assert "30.0000" in out.getvalue()


def test_the_journal_with_its_marks_replays_bit_for_bit(journal: Path, desk: TestDesk) -> None:
    report = replay(journal)
    assert report.mismatches == []
    assert report.identical == report.envelopes == len(desk.records)
    assert lived().records == desk.records


def test_another_rate_in_the_journal_is_another_decision(tmp_path: Path, desk: TestDesk) -> None:
    path = desk_journal.write(tmp_path / "j", desk, [cheaper(each) for each in desk.groups], **run_over())
    assert any("Verdict" in each for each in replay(path).mismatches)


def cheaper(group: GroupOut) -> GroupOut:
    """Write a rate that leaves something where there was the dear one."""
    records: list[tuple[int, int, bytes, bytes]] = []
    for seq, kind, round_, body in group.records:
        if kind == KIND_OF["MarketBatch"]:
            envelope = decode_envelope(body)
            batch = decode(envelope.body)
            assert isinstance(batch, MarketBatch)
            marks = tuple(replace(each, rate=FAIR) for each in batch.marks)
            body = encode(replace(envelope, body=encode(replace(batch, marks=marks))))
        records.append((seq, kind, round_, body))
    return replace(group, records=tuple(records))


def test_a_desk_that_comes_back_knows_the_rates(journal: Path, desk: TestDesk) -> None:
    past = recover(journal, desk_journal.run_of(desk, **run_over()))
    assert past.firm.market.marks == desk.firm.market.marks
    assert past.firm.market.marks[BTC].rate == FAIR
