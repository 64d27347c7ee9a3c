"""What a venue closes by itself is taken from whoever holds the contract, and nothing is left over."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.attribution import Attribution
from parley.ledger import EXTERNAL, Ledger
from tests.kit.builders import make_fill, make_instrument

PERP, ASSET = "BTC/USDT:USDT", "BTC:USDT"
A, B, C = "strategy/a", "strategy/b", "strategy/c"


class Firm:
    """A ledger of one contract and its attribution."""

    def __init__(self) -> None:
        self.ledger = Ledger("main", "USDT", {PERP: make_instrument(PERP, margin="0.1")})
        self.attribution = Attribution()
        self._trades = 0
        self.ledger.open([("USDT", Decimal(1_000_000))], 0)
        self.ledger.mark(PERP, Decimal(100), 0)
        self._fold()

    def _fold(self) -> None:
        assert self.ledger.last is not None
        self.attribution.on_transaction(self.ledger.last)

    def trade(self, agent: str, qty: Decimal, px: str = "100") -> None:
        self._trades += 1
        fill = make_fill(
            trade_id=f"t{self._trades}", t=self._trades, symbol=PERP, side="buy" if qty > 0 else "sell",
            qty=str(abs(qty)), px=px, fee="0",
        )  # fmt: skip
        ids = (b"", b"") if agent == EXTERNAL else (agent.encode(), b"round")
        assert self.ledger.apply(fill, agent=agent, pid=ids[0], round=ids[1])
        self._fold()

    def held(self) -> dict[str, Decimal]:
        return {each.agent: each.qty for each in self.ledger.holdings()}


def test_a_liquidation_brings_everybody_to_nothing_also_who_held_against_it() -> None:
    firm = Firm()
    firm.trade(A, Decimal(3))
    firm.trade(B, Decimal(-1))
    firm.trade(C, Decimal("0.7"), "110")
    firm.trade(EXTERNAL, Decimal("-2.7"), "80")
    assert firm.held() == {}
    # 3 * (80 - 100), 1 * (100 - 80), 0.7 * (80 - 110)
    assert [firm.ledger.realised_of(each) for each in (A, B, C, EXTERNAL)] == [-60, 20, -21, 0]  # type: ignore[comparison-overlap]
    assert dict(firm.attribution.report(firm.ledger).by_agent) == {A: -60, B: 20, C: -21}  # type: ignore[comparison-overlap]


def test_a_part_is_shared_alike_and_what_goes_beyond_is_nobodys() -> None:
    firm = Firm()
    firm.trade(A, Decimal(-3))
    firm.trade(B, Decimal(-1))
    firm.trade(EXTERNAL, Decimal(2))
    assert firm.held() == {A: Decimal("-1.5"), B: Decimal("-0.5")}
    firm.trade(EXTERNAL, Decimal(5))
    assert firm.held() == {EXTERNAL: Decimal(3)}
    firm.trade(EXTERNAL, Decimal(1))
    assert firm.held() == {EXTERNAL: Decimal(4)}


quantities = st.decimals(min_value=-50, max_value=50, places=3).filter(bool)


@given(
    st.lists(st.tuples(st.sampled_from((A, B, C, EXTERNAL)), quantities, st.integers(1, 300)), max_size=12),
    st.integers(1, 300),
)
def test_whoever_trades_the_account_and_its_parts_agree_and_a_close_leaves_nothing(
    trades: list[tuple[str, Decimal, int]], px: int
) -> None:
    firm = Firm()
    cash = Decimal(1_000_000)
    for agent, qty, at in trades:
        firm.trade(agent, qty, str(at))
        cash -= qty * at
    net = sum((qty for _, qty, _ in trades), Decimal(0))
    assert sum(firm.held().values(), Decimal(0)) == net
    assert (firm.ledger.cash("USDT"), firm.ledger.cash(ASSET)) == (cash, net)
    if net:
        firm.trade(EXTERNAL, -net, str(px))
        assert firm.held() == {}
        assert firm.ledger.equity() == firm.ledger.cash("USDT") == cash + net * px
    firm.attribution.report(firm.ledger)  # raises unless its parts are the whole
