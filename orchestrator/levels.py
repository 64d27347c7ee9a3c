"""The stop and take that guard each holding: those of its opening decision, until its holder moves the stop.

Not here: who watches them (`agents.strategy`), which order at the venue follows from them (`guarding`).

Invariant: what a holder says moves a stop only towards the price (trap T4).
"""

from decimal import Decimal

from parley.messages import Holding, Protect

Pair = tuple[Decimal | None, Decimal | None]


class Levels:
    """Stop and take by agent and symbol; owned by the account."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], Pair] = {}

    def set(
        self, agent: str, symbol: str, stop: Decimal | None, take: Decimal | None, *, is_held: bool
    ) -> None:
        """Take those of an opening decision; without any, what is held keeps its own."""
        if stop is not None or take is not None:
            self._of[agent, symbol] = (stop, take)
        elif not is_held:
            self._of.pop((agent, symbol), None)

    def tighten(self, word: Protect, held: Holding | None) -> bool:
        """Take over a stop that its holder moved nearer to the price; False when that is none of ``held``."""
        before, take = self._of.get((word.agent, word.symbol), (None, None))
        if held is None or held.opened != word.opened:
            return False
        if before is not None and (word.stop - before) * held.qty <= 0:
            return False
        self._of[word.agent, word.symbol] = (word.stop, take)
        return True

    def shown(self, h: Holding) -> Holding:
        """Give a sub-ledger with its levels."""
        stop, take = self._of.get((h.agent, h.symbol), (None, None))
        if stop is None and take is None:
            return h
        return Holding(
            agent=h.agent, symbol=h.symbol, qty=h.qty, avg_px=h.avg_px, opened=h.opened, round=h.round,
            pid=h.pid, stop=stop, take=take,
        )  # fmt: skip
