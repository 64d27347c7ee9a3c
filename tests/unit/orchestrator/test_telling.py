"""Who hears what when: in the order it was said, with the next question, and nothing is left out."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from parley.agent import Context
from parley.bus import Answer, Ask, InProc, Wave
from parley.messages import (
    AgentFaulted,
    Breaker,
    Cfp,
    Decision,
    Fill,
    MarketBatch,
    Message,
    Opinion,
    Review,
    StateView,
    Verdict,
)
from tests.kit.desk_cases import StepDesk
from tests.kit.firm_kit import MINUTE, T0, D, TestDesk, polite


class Listening(InProc):
    """Keeps every wave it carries."""

    def __init__(self, carried: InProc) -> None:
        super().__init__(carried._hosts)
        self.waves: list[Wave] = []

    def exchange(self, wave: Wave) -> Sequence[Answer]:
        self.waves.append(wave)
        return super().exchange(wave)

    def heard(self, agent: str) -> list[Ask]:
        return [ask for wave in self.waves for ask in wave.asks if ask.agent == agent]


def listened(desk: TestDesk) -> Listening:
    desk.transport = Listening(desk.transport)
    return desk.transport


def opines(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """A signal agent that has an opinion of every batch."""
    if not isinstance(msg, MarketBatch):
        return polite(msg, ctx, me)
    return (
        Opinion(
            oid=ctx.now.to_bytes(16, "big"), agent=me, symbol="BTC/USDT", direction=0.5, conf=0.5,
            horizon_ms=60_000, valid_from=ctx.now, valid_to=ctx.now + MINUTE, model_version="1", why="test",
        ),
    )  # fmt: skip


def test_each_agent_hears_everything_in_the_order_it_was_said() -> None:
    desk = TestDesk({"signal/a": opines}, symbols=("BTC/USDT", "ETH/USDT"))
    line = listened(desk)
    for _ in range(6):
        desk.bar()
    agents = list(desk.firm.table._specs)

    assert len(agents) > 5
    for agent in agents:
        # the account is shown before the fact that changed it is told, so that both are known with it
        places = [ask.seq for ask in line.heard(agent) if not isinstance(ask.message, StateView)]
        assert all(before < after for before, after in pairwise(places)), agent
        batches = sum(isinstance(ask.message, MarketBatch) for ask in line.heard(agent))
        assert batches == 6, agent  # all of them subscribe
    assert desk.firm.table.has_more  # the last fill, which nobody is in a hurry about
    desk.admit(MarketBatch(step=7, t=T0 + 7 * MINUTE, bars=(), books=()), "hub")
    assert not desk.firm.table.has_more


def test_a_candle_reaches_the_signals_first_and_the_others_with_their_question() -> None:
    desk = TestDesk({"signal/a": opines})
    desk.bar()  # opens; nothing is left working
    line = listened(desk)
    desk.bar()
    kinds = [
        {(ask.agent.partition("/")[0], type(ask.message).__name__) for ask in wave.asks}
        for wave in line.waves
        if wave.stage != "state"
    ]

    assert {role for role, _ in kinds[0]} == {"signal"}
    assert ("signal", "MarketBatch") in kinds[0]
    assert {("strategy", "MarketBatch"), ("strategy", "Opinion"), ("strategy", "Cfp")} <= kinds[1]
    risk = next(wave for wave in kinds if ("risk", "Review") in wave)
    assert ("risk", "MarketBatch") in risk


def test_a_batch_without_a_candle_reaches_everybody_at_once() -> None:
    desk = TestDesk()
    desk.bar()
    line = listened(desk)
    batch = MarketBatch(step=2, t=T0 + 2 * MINUTE, bars=(), books=(desk.book("BTC/USDT", T0, 50_000.0),))
    desk.admit(batch, "hub")
    first = next(wave for wave in line.waves if wave.stage == "tell")

    assert {ask.agent for ask in first.asks} == set(desk.firm.table._specs)


def test_a_fill_that_ends_an_order_waits_and_one_that_does_not_is_told_at_once() -> None:
    desk = StepDesk({})
    line = listened(desk)
    (order,) = desk.close()
    rest = order.qty - D("0.01")

    def hears(qty: Decimal) -> bool:
        before = len(line.waves)
        desk.tell(desk.filled(order, qty))
        return any(isinstance(ask.message, Fill) for wave in line.waves[before:] for ask in wave.asks)

    assert hears(D("0.01"))
    assert not hears(rest)
    desk.close()
    fills = [ask.message for ask in line.heard("execution/a") if isinstance(ask.message, Fill)]
    assert [fill.qty for fill in fills] == [D("0.01"), rest]


def test_a_breaker_answered_to_the_market_with_the_verdict_stops_the_opening() -> None:
    def trips(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if isinstance(msg, MarketBatch):
            return (
                Breaker(agent=me, name="crash", action="pause", until=ctx.now + MINUTE, value="1", cap="0"),
            )
        return polite(msg, ctx, me)

    desk = TestDesk({"risk/a": trips})
    desk.bar()
    (decision,) = desk.said(Decision)

    assert desk.sent == []
    assert decision.action == "reject"
    assert ("risk/a", "breaker", "crash") in decision.reasons
    assert [v.ok for v in desk.said(Verdict)] == [True]  # it came together with the breaker


def test_one_that_is_quarantined_by_what_it_heard_first_is_not_believed_afterwards() -> None:
    def broken(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if isinstance(msg, MarketBatch):
            raise RuntimeError("a bug")
        return polite(msg, ctx, me)

    desk = TestDesk({"risk/a": broken}, max_strikes=1)
    desk.bar()

    assert desk.sent == []
    assert [f.quarantined for f in desk.said(AgentFaulted)] == [True]
    assert desk.said(Verdict) == []
    assert desk.said(Decision)[0].action == "reject"


def test_the_account_is_seen_in_its_place_among_what_waits() -> None:
    desk = TestDesk()
    for _ in range(4):
        desk.bar()
    table = desk.firm.table
    batch = MarketBatch(step=9, t=T0, bars=(), books=())
    table.tell_later(batch)
    for wave in table.state(StateView(**_state(desk))):
        raise AssertionError(f"whoever has something to hear hears of the account behind it: {wave}")
    wave = next(iter(table.tell_rest()))
    assert isinstance(wave, Wave)

    for agent in table._specs:
        heard = [type(ask.message) for ask in wave.asks if ask.agent == agent]
        assert heard[-2:] == [MarketBatch, StateView]


def test_a_review_is_answered_by_one_who_knows_the_batch() -> None:
    knew: list[tuple[str, int]] = []

    def notes(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if isinstance(msg, MarketBatch | Review | Cfp):
            knew.append((type(msg).__name__, ctx.now))
        return polite(msg, ctx, me)

    desk = TestDesk({"risk/a": notes, "capital/a": notes, "strategy/a": notes})
    for _ in range(3):
        desk.bar()

    asked = [(n, now) for n, (kind, now) in enumerate(knew) if kind != "MarketBatch"]
    assert asked
    for n, now in asked:
        assert ("MarketBatch", now) in knew[:n]


def _state(desk: TestDesk) -> dict[str, object]:
    view = desk.firm.account.view()[0].state
    return {name: getattr(view, name) for name in view.__struct_fields__}
