"""No interleaving of concurrent proposals exceeds a limit: a real desk, many strategies, orders in flight.

What could be held at worst is kept by the test itself, from the orders that were sent and what the venue said
of them; it shares no code with the desk. Not here: the arithmetic of one order
(tests/unit/parley/test_risk_tree.py)."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from parley.agent import Context
from parley.messages import Cfp, GateRefusal, Intent, Message, Refuse
from tests.kit.desk_cases import BTC, StepDesk, ack, event, refused
from tests.kit.effort import examples
from tests.kit.firm_kit import MINUTE, T0, D, Script, polite, proposal

ETH = "ETH/USDT"
CAPITAL = D(100_000)
TREE = {
    "tenant:local": {"max_gross": "0.30"},
    "bot:strategy/a": {"max_gross": "0.08"},
    "symbol:BTC/USDT": {"max_position": "0.15"},
}
CAPS = {"all": D("0.30"), "a": D("0.08"), "btc": D("0.15")}
Fate = tuple[int, int]  # which of the resting orders, and what becomes of it
MOVES = st.lists(
    st.one_of(
        st.just("bar"),
        st.tuples(st.integers(0, 50), st.sampled_from(["fill", "part", "cancel", "reject"])),
    ),
    min_size=4, max_size=24,
)  # fmt: skip


def bidder(shares: Sequence[int]) -> Script:
    """A strategy that asks again and again, for amounts of its own, whatever is on its way already."""

    def script(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if not isinstance(msg, Cfp):
            return polite(msg, ctx, me)
        n = (ctx.now - T0) // MINUTE
        symbol = msg.symbols[0]
        # in turns, for one would outrank the other every time
        if msg.reduce_only or (n % 3 == 0) != (me == "strategy/a"):
            return (Refuse(agent=me, code="no"),)
        price = D(50_000) if symbol == BTC else D(2_500)
        qty = (CAPITAL * shares[n % len(shares)] / 100 / price).quantize(D("0.001"))
        return (proposal(me, ctx, symbol, "buy", qty),)

    return script


class Worst:
    """What could be held at most, in the test's own books."""

    def __init__(self) -> None:
        self.left: dict[bytes, tuple[str, str, Decimal]] = {}  # agent, symbol, worth that may still fill
        self.held: list[tuple[str, str, Decimal]] = []

    def share(self, agent: str = "", symbol: str = "") -> Decimal:
        rows = [*self.left.values(), *self.held]
        return sum((w for a, s, w in rows if agent in ("", a) and symbol in ("", s)), D(0)) / CAPITAL


def check(worst: Worst) -> None:
    # fills cost less than what was reserved, never more; what fees took off equity is below a thousandth
    slack = D("0.0015")
    assert worst.share() <= CAPS["all"] + slack
    assert worst.share(agent="strategy/a") <= CAPS["a"] + slack
    assert worst.share(symbol=BTC) <= CAPS["btc"] + slack


def play(shares: Sequence[int], moves: Sequence[object]) -> tuple[Worst, StepDesk]:
    """Let bars close and orders meet their fates in the order given; the limits are checked after each."""
    script = bidder(shares)
    desk = StepDesk(
        {"strategy/a": script, "strategy/b": script}, symbols=(BTC, ETH),
        limits={"tree": TREE, "duplicate_window_ms": 0, "max_position": "0.9", "max_order_notional": "0.9"},
    )  # fmt: skip
    worst = Worst()
    resting: list[Intent] = []

    def take(orders: Sequence[object]) -> None:
        for order in orders:
            if not isinstance(order, Intent):
                continue  # a cancel: the order may fill until the venue says otherwise
            agent = desk.firm.account.orders.get(order.iid).agent  # type: ignore[union-attr]
            price = order.px or order.ref_px
            assert price is not None
            worst.left[order.iid] = (agent, order.symbol, order.qty * price)
            resting.append(order)
            check(worst)

    for move in moves:
        if move == "bar" or not resting:
            take(desk.close())
            continue
        which, fate = move  # type: ignore[misc]
        order = resting.pop(which % len(resting))
        agent, symbol, worth = worst.left.pop(order.iid)
        done = order.qty if fate == "fill" else order.qty / 2 if fate == "part" else D(0)
        if done:
            worst.held.append((agent, symbol, worth * done / order.qty))
            take(desk.tell(ack(order), desk.filled(order, qty=done)))
        if fate == "reject":
            take(desk.tell(refused(order)))
        elif fate != "fill":
            take(desk.tell(ack(order), event(order, "canceled", done)))
        check(worst)
    return worst, desk


@given(shares=st.lists(st.integers(1, 40), min_size=1, max_size=5), moves=MOVES)
@settings(max_examples=examples(25), deadline=None)
def test_no_interleaving_of_concurrent_proposals_exceeds_a_limit(
    shares: list[int], moves: list[object]
) -> None:
    play(shares, moves)


def test_proposals_come_close_to_every_limit_and_are_refused_by_name() -> None:
    worst, desk = play([2, 3], ["bar"] * 30)

    assert worst.share() > CAPS["all"] - D("0.02")
    assert worst.share(agent="strategy/a") > CAPS["a"] - D("0.02")
    codes = {m.code for m in desk.said(GateRefusal) if isinstance(m, GateRefusal)}
    assert codes == {"tenant:local max_gross", "bot:strategy/a max_gross", "symbol:BTC/USDT max_position"}
