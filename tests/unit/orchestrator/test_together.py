"""What a desk knows of how its symbols move together, and that its gate goes by that alone."""

import pickle
from collections.abc import Sequence

import pytest

from orchestrator.together import WARM_CANDLES, Together
from parley.agent import Context
from parley.messages import Cfp, GateRefusal, Intent, Message, Refuse
from runtime.kept_firm import _unpickled
from tests.kit.builders import make_book
from tests.kit.desk_cases import BTC, StepDesk, ack, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, proposal

ETH = "ETH/USDT"
WIDE = {
    "max_position": "0.9", "max_order_notional": "0.9", "min_uninvested": "0.01", "max_daily_loss": "0.9",
    "max_gross": "0.95", "max_net": "0.95",
}  # fmt: skip
# returns that have nothing to do with each other: up, down, up, down beside up, up, down, down
APART = [(50_000.0, 2_500.0), (50_500.0, 2_525.0), (50_000.0, 2_550.0), (50_500.0, 2_525.0)]
ALIKE = [(50_000.0, 2_500.0), (50_500.0, 2_525.0)]


def buys(symbol: str, qty: str) -> Script:
    """A strategy that buys a symbol whenever it holds nothing of it; capital allows half of what it asks."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        if symbol not in msg.symbols or ctx.view.holding(me, symbol) or ctx.view.reserved(me, symbol):
            return (Refuse(agent=me, code="done"),)
        return (proposal(me, ctx, symbol, "buy", D(qty) * 2),)

    return unless(say)


def desk_of(tree: dict[str, object] | None = None, **limits: object) -> StepDesk:
    """A desk whose one bot holds 30 % in BTC while the other wants as much in ETH."""
    scripts = {"strategy/a": buys(BTC, "0.6"), "strategy/b": buys(ETH, "12")}
    given = {**WIDE, **limits, "tree": tree or {}}
    return StepDesk(scripts, symbols=(BTC, ETH), limits=given)


def live(desk: StepDesk, moves: Sequence[tuple[float, float]], candles: int) -> None:
    for n in range(candles):
        btc, eth = moves[n % len(moves)]
        for order in desk.close({BTC: btc, ETH: eth}):
            assert isinstance(order, Intent)
            desk.tell(desk.filled(order, px=order.ref_px, fee="none"), ack(order))


def held(desk: StepDesk) -> list[str]:
    return [p.symbol for p in desk.view.state.positions if p.qty]


@pytest.mark.parametrize("tree", [{}, {"account": {"max_correlated": "0.50"}}])
def test_gate_waits_until_the_desk_itself_has_seen_that_two_symbols_move_apart(
    tree: dict[str, object],
) -> None:
    desk = desk_of(tree, max_correlated="0.9" if tree else "0.50")
    live(desk, APART, WARM_CANDLES)
    code = "account max_correlated" if tree else "max_correlated"
    assert {m.code for m in desk.said(GateRefusal)} == {code}  # type: ignore[attr-defined]
    assert held(desk) == [BTC]
    live(desk, APART, 2)
    assert held(desk) == [BTC, ETH]


def test_what_moves_alike_stays_one_risk_however_long_it_is_watched() -> None:
    desk = desk_of()
    live(desk, ALIKE, 3 * WARM_CANDLES)
    assert held(desk) == [BTC]


def test_a_desk_that_comes_back_goes_on_with_what_it_saw() -> None:
    desk = desk_of()
    live(desk, APART, WARM_CANDLES)
    desk.firm, _ = _unpickled(pickle.dumps((desk.firm, {}), protocol=5))
    live(desk, APART[2:], 2)
    assert held(desk) == [BTC, ETH]


def test_one_look_a_candle_and_none_at_a_book_that_stands_still() -> None:
    def books(n: int, eth_at: int) -> dict[str, object]:
        btc, eth = APART[n % 4]
        return {
            BTC: make_book(symbol=BTC, t=T0 + n, bids=((btc, 1.0),), asks=((btc + 1, 1.0),)),
            ETH: make_book(symbol=ETH, t=eth_at, bids=((eth, 1.0),), asks=((eth + 1, 1.0),)),
            "ETH/BTC": make_book(symbol="ETH/BTC", t=T0 + n, bids=((eth / btc, 1.0),), asks=((1.0, 1.0),)),
        }

    quick, slow, still = (Together(MINUTE, (BTC, ETH)) for _ in range(3))
    for n in range(2 * WARM_CANDLES):
        quick.see(books(n, T0 + n), T0 + n)  # type: ignore[arg-type]
        slow.see(books(n, T0 + n), T0 + n * MINUTE)  # type: ignore[arg-type]
        still.see(books(n, T0), T0 + n * MINUTE)  # type: ignore[arg-type]
    assert quick.with_symbol(ETH) == {}
    assert still.with_symbol(ETH) == {}
    assert abs(slow.with_symbol(ETH)[BTC, ETH]) < 0.5
    assert list(slow.with_symbol(ETH)) == [(BTC, ETH)]
