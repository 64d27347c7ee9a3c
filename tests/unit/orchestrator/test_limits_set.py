"""What a firm makes of a change of its limits and of a kill of one bot; the risk agent follows.

Not here: who may change them (tests/contract/test_limits_changed.py).
"""

from collections.abc import Sequence
from decimal import Decimal

from agents.risk import RiskAgent
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.messages import (
    Cfp,
    GateRefusal,
    Intent,
    Killed,
    LimitChange,
    LimitsSet,
    Message,
    Refuse,
    StateView,
)
from parley.view import FirmView
from tests.kit.firm_kit import MINUTE, TestDesk, polite, proposal

D = Decimal


def change(n: int, key: str, value: str) -> LimitChange:
    return LimitChange(n=n, key=key, old="", new=value, by="ann", why="test", t=1)


def buyers(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """Both strategies buy once and keep what they have."""
    if not isinstance(msg, Cfp) or not me.startswith("strategy/"):
        return polite(msg, ctx, me)
    held = ctx.view.holding(me, "BTC/USDT")
    if held is not None and held.qty:
        return (Refuse(agent=me, code="has"),)
    return (proposal(me, ctx, "BTC/USDT", "buy", D("0.1")),)


def test_a_change_counts_from_the_next_order_on_and_is_on_record() -> None:
    desk = TestDesk(limits={"max_order_notional": "0.20"})
    desk.admit(change(1, "max_order_notional", "0.01"), "gateway")
    desk.bar()
    assert [r.code for r in desk.said(GateRefusal)] == ["max_order_notional"]  # type: ignore[attr-defined]
    desk.admit(change(2, "max_order_notional", "0.20"), "gateway")
    desk.bar()
    assert len([m for m in desk.sent if isinstance(m, Intent)]) == 1
    assert desk.said(LimitsSet) == [
        LimitsSet(n=1, version=1, key="max_order_notional", before="0.20", value="0.01"),
        LimitsSet(n=2, version=2, key="max_order_notional", before="0.01", value="0.20"),
    ]
    assert [v.limits_version for v in desk.said(StateView)][-1] == 2  # type: ignore[attr-defined]
    assert not desk.firm.is_news(change(2, "max_order_notional", "0.5"))


def test_a_change_that_cannot_be_is_refused_and_changes_nothing() -> None:
    desk = TestDesk()
    desk.admit(change(1, "max_gros", "1"), "gateway")
    desk.admit(change(2, "breakers.flatten_drawdown", "0.01"), "gateway")
    one, two = desk.said(LimitsSet)
    assert "did you mean 'max_gross'" in one.refused  # type: ignore[attr-defined]
    assert ("must not be below drawdown" in two.refused, two.value) == (True, "0.20")  # type: ignore[attr-defined]
    assert (desk.firm.limits.now.version, desk.firm.limits.book.n) == (0, 2)
    desk.bar()
    assert [m for m in desk.sent if isinstance(m, Intent)]


def test_the_desk_s_own_last_breaker_goes_by_the_changed_limit() -> None:
    desk = TestDesk(limits={"max_position": "0.9", "max_order_notional": "0.9"})
    desk.bar(50_000.0)
    desk.admit(change(1, "breakers.reduce_drawdown", "0.001"), "gateway")
    desk.admit(change(2, "breakers.drawdown", "0.001"), "gateway")
    desk.admit(change(3, "breakers.flatten_drawdown", "0.001"), "gateway")
    assert desk.firm.account.trading == "ACTIVE"
    desk.bar(45_000.0)
    assert desk.firm.account.trading == "FLATTENING"


def test_equal_messages_give_equal_records_with_changes_among_them() -> None:
    def records() -> list[bytes]:
        desk = TestDesk()
        desk.bar()
        desk.admit(change(1, "max_order_notional", "0.01"), "gateway")
        for _ in range(3):
            desk.bar()
        return desk.records

    assert records() == records()


def test_a_killed_bot_is_not_asked_and_others_go_on() -> None:
    desk = TestDesk(scripts={"strategy/a": buyers, "strategy/b": buyers}, limits={"max_position": "0.9"})
    desk.admit(Killed(standing=(("bot:strategy/a", "cancel", "test"),), t=1), "gateway")
    for _ in range(3):
        desk.bar()
    assert {m.agent for m in desk.sent if isinstance(m, Intent)} == {"strategy/b"}
    assert desk.firm.account.trading == "ACTIVE"
    desk.admit(Killed(standing=(), t=2), "gateway")
    for _ in range(3):
        desk.bar()
    assert {m.agent for m in desk.sent if isinstance(m, Intent)} == {"strategy/a", "strategy/b"}


def test_a_bot_that_is_to_be_left_loses_what_it_holds_and_nobody_else_does() -> None:
    desk = TestDesk(scripts={"strategy/a": buyers, "strategy/b": buyers}, limits={"max_position": "0.9"})
    for _ in range(4):
        desk.bar()
    held = {h.agent: h.qty for h in desk.firm.account.ledger.holdings() if h.qty > D("0.001")}
    assert set(held) == {"strategy/a", "strategy/b"}
    desk.admit(Killed(standing=(("bot:strategy/a", "flatten", "test"),), t=1), "gateway")
    before = len(desk.sent)
    for _ in range(6):
        desk.bar()
    left = {h.agent: h.qty for h in desk.firm.account.ledger.holdings() if h.qty > D("0.0001")}
    assert left == {"strategy/b": held["strategy/b"]}
    exits = [m for m in desk.sent[before:] if isinstance(m, Intent)]
    assert {(m.agent, m.side, m.reduce_only) for m in exits} == {("strategy/a", "sell", True)}


def test_what_a_killed_bot_works_on_ends() -> None:
    desk = TestDesk(
        scripts={"strategy/a": buyers, "strategy/b": buyers}, fill=False, limits={"max_position": "0.9"}
    )
    desk.bar()
    (first,) = [m for m in desk.sent if isinstance(m, Intent)]
    other = "strategy/b" if first.agent == "strategy/a" else "strategy/a"
    desk.admit(Killed(standing=((f"bot:{other}", "block", "test"),), t=1), "gateway")
    assert [leg.closed for leg in desk.firm.account.legs.all()] == [False]
    desk.admit(Killed(standing=((f"bot:{first.agent}", "block", "test"),), t=2), "gateway")
    assert all(leg.closed for leg in desk.firm.account.legs.all())


def test_the_risk_agent_follows_and_keeps_what_its_own_parameters_say_tighter() -> None:
    def agent() -> RiskAgent:
        spec = AgentSpec(
            id="risk/main", role="risk", factory="x", subscriptions=("LimitsSet",),
            params={"limits": {"max_gross": "0.5", "max_net": "0.7"}},
        )  # fmt: skip
        env = AgentEnv(
            tenant="t", account="a", quote="USDT", symbols=(), instruments={}, tf_ns=MINUTE, agents=()
        )
        return RiskAgent(spec, env)

    def tell(to: RiskAgent, n: int, key: str, before: str, value: str) -> None:
        said = LimitsSet(n=n, version=n, key=key, before=before, value=value)
        to.handle(said, Context(now=1, view=FirmView(EMPTY_STATE), seq=n, seed=1, agent=to.spec.id))

    one = agent()
    tell(one, 1, "max_gross", "0.80", "0.70")  # its own is tighter still
    tell(one, 2, "max_net", "0.7", "0.6")
    tell(one, 3, "max_gross", "0.70", "0.40")
    assert (one._limits.max_gross, one._limits.max_net) == (D("0.40"), D("0.6"))
    tell(one, 4, "max_gross", "0.40", "0.80")  # the desk's is as it was: its own is tighter again
    tell(one, 5, "max_net", "0.6", "0.8")
    assert (one._limits.max_gross, one._limits.max_net) == (D("0.5"), D("0.8"))
    two = agent()
    two.restore(one.snapshot())
    assert two._limits == one._limits
