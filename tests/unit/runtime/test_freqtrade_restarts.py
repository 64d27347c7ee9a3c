"""A freqtrade agent that is killed goes on as if it never was: from its snapshot and what it heard since."""

from __future__ import annotations

import pytest

from parley.agent import Context
from parley.messages import Analysed, MarketBatch, Message
from runtime.freqtrade_agent import FreqtradeAgent
from tests.kit.paper_desk import Folder, PaperDesk, make_folder, make_paper_agent
from tests.kit.paper_strategies import write_strategy

FIRST, LAST = 30, 44
# Remembers in the trade what it saw, raises its stop with the price, locks pairs, leaves by an own rule.
BODY = """
    stoploss = -0.05
    use_custom_stoploss = True
    trailing_stop = True

    def custom_stoploss(self, pair, trade, current_time, current_rate, current_profit, after_fill, **_):
        return -0.02 if current_profit < 0.001 else -0.012

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **_):
        seen = trade.get_custom_data("seen", default=0)
        trade.set_custom_data("seen", seen + 1)
        if seen >= 2 and pair == "BBB/USDT":
            self.lock_pair(pair, until=current_time, reason="seen enough")
            return f"seen_{seen}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder(tmp_path_factory.mktemp("restart"), 80, max_open_trades=2)


@pytest.fixture(scope="module")
def lived(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> PaperDesk:
    """A run in which nobody died, with everything the agent was told."""
    write_strategy(folder.path / "mine", BODY)
    desk = PaperDesk(new(folder))
    for batch in folder.batches(FIRST, LAST):
        desk.play(batch)
    reasons = {trade.exit_reason for trade in desk.agent._trader.register.closed}
    assert len(reasons) >= 2
    assert any(reason.startswith("seen_") for reason in reasons if reason)
    return desk


def new(folder: Folder) -> FreqtradeAgent:
    return make_paper_agent(folder, "Clockwork", FIRST, strategy_path=str(folder.path / "mine"))


def answers(agent: FreqtradeAgent, told: list[tuple[Message, Context]]) -> list[Message]:
    return [said for message, context in told for said in agent.handle(message, context)]


def test_agent_restored_at_any_message_says_what_it_would_have_said(folder: Folder, lived: PaperDesk) -> None:
    agent = new(folder)
    expected: list[Message] = []
    for nth, (message, context) in enumerate(lived.told):
        before = agent.snapshot()
        other = new(folder)
        other.restore(before)
        said = list(agent.handle(message, context))
        assert list(other.handle(message, context)) == said, f"after message {nth}, {type(message).__name__}"
        assert other.snapshot() == agent.snapshot(), f"after message {nth}, {type(message).__name__}"
        expected += said
        agent = other  # the killed one never comes back
    assert [said for said in expected if isinstance(said, Analysed)]
    assert [pid for pid in map(pid_of, expected) if pid] == [bid.pid for _, bid in lived.proposals]


def pid_of(message: Message) -> bytes:
    return bytes(getattr(message, "pid", b""))


@pytest.mark.parametrize("kept", [0, 9, 40])
def test_agent_that_follows_what_it_missed_goes_on_like_the_one_that_lived(
    kept: int, folder: Folder, lived: PaperDesk
) -> None:
    whole = new(folder)
    answers(whole, lived.told[:kept])
    snapshot = whole.snapshot()
    for died in range(kept + 4, len(lived.told), 17):
        expected = new(folder)
        expected.restore(snapshot)
        answers(expected, lived.told[kept:died])
        agent = new(folder)
        agent.restore(snapshot)
        for message, context in lived.told[kept:died]:
            agent.follow(message, context)
        rest = lived.told[died:]
        assert answers(agent, rest) == answers(expected, rest), f"died at message {died}"


def test_agent_that_only_listened_looks_at_no_candle_but_the_last(
    folder: Folder, lived: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = new(folder)
    looks: list[str] = []
    look = agent._trader._look
    monkeypatch.setattr(agent._trader, "_look", lambda pair: looks.append(pair) or look(pair))
    batches = [(message, context) for message, context in lived.told if isinstance(message, MarketBatch)]
    for message, context in batches:
        agent.follow(message, context)
    assert looks == []
    agent._catch_up()
    assert sorted(looks) == sorted(folder.pairs)


def test_fills_of_orders_that_nobody_hears_of_any_more_are_forgotten(
    folder: Folder, lived: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = new(folder)
    answers(agent, lived.told)
    trader = agent._trader
    before, closed = set(trader._fills), trader.register.closed
    monkeypatch.setattr("freqtrade_bridge.paper.trader.CHANGING", 1)
    agent.snapshot()

    gone = {order.order_id for trade in closed[:-1] for order in trade.orders}
    assert gone & before
    assert set(trader._fills) == before - gone
