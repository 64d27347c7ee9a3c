"""One freqtrade strategy's orders as a run's journal tells them, and the words they become.

Problem: one thing that a strategy wanted is a proposal, a decision, intents and fills; to be laid beside a
backtest it is one `Word`.

Not here: which record belongs to which order (`shadow_journal`). Invariant: money is Decimal until it becomes
a word.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from backtest.divergence import Fault, Word
from parley.agent import AgentSpec
from parley.messages import Decision, Fill, Proposal

SEAT: Final = "agents.outside:make"  # of a backtest
FORCED: Final = "force_exit"  # what a simulation calls the end of its candles
_BY_DESK: Final = "desk"


@dataclass(slots=True)
class Order:
    """One proposal of a strategy, and what became of it."""

    proposal: Proposal
    due_ms: int
    t_ms: int
    granted: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    fee_is_known: bool = True
    lost: str = ""
    objection: str = ""


@dataclass(slots=True)
class Heard:
    """What the journal says of one strategy's agent."""

    spec: AgentSpec
    faults: list[Fault] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    blind: list[Word] = field(default_factory=list)

    def words(self, last_ms: int) -> list[Word]:
        """Everything it wanted, and every time it was not asked what; not what ended with the candles.

        last_ms: the open time of the last of them.
        """
        said = [
            self._word(each)
            for each in self.orders
            if each.proposal.why != FORCED or each.t_ms < last_ms  # a strategy's own exit may have that name
        ]
        return [*self.blind, *said]

    def _word(self, order: Order) -> Word:
        leg = order.proposal.legs[0]
        price = float(order.cost / order.filled) if order.filled else 0.0
        fee = float(order.fee / order.cost) if order.cost else 0.0
        return Word(
            pair=leg.symbol, side=leg.side, t_ms=order.t_ms, due_ms=order.due_ms,
            why=self._reason(order.proposal.why, leg.side), wanted=float(leg.qty),
            granted=float(order.granted), filled=float(order.filled), price=price,
            fee=fee if order.fee_is_known else float("nan"), lost=order.lost, objection=order.objection,
            is_foreign=order.proposal.agent_version == _BY_DESK,
        )  # fmt: skip

    def _reason(self, why: str, side: str) -> str:
        """freqtrade's tag or reason; a seat of a backtest says "entry" for no tag."""
        return "" if (self.spec.factory, side, why) == (SEAT, "buy", "entry") else why


def objection(decision: Decision) -> str:
    """Say who let an order become less, and why."""
    if decision.action == "accept" and decision.bounds:
        bound = min(decision.bounds, key=lambda each: each.qty_max)
        return f"{bound.agent}: {bound.code}"
    for who, code, detail in decision.reasons[:1]:
        return f"{who}: {code}" + (f" ({detail})" if detail else "")
    return decision.action


def lose(order: Order, cause: str, why: str) -> None:
    """Keep why an order was not sent or not taken."""
    order.lost, order.objection = cause, why.strip()


def add_fill(order: Order, fill: Fill) -> None:
    """Add an execution; a fee in a third currency is not known in the pair's own."""
    cost = fill.qty * fill.px
    order.filled += fill.qty
    order.cost += cost
    base, _, quote = fill.symbol.partition("/")
    if fill.fee_asset == quote:
        order.fee += fill.fee
    elif fill.fee_asset == base:
        order.fee += fill.fee * fill.px
    elif fill.fee:
        order.fee_is_known = False
