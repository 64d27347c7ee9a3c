"""May a trigger open a round now, and may that round open positions?

Problem: more triggers may come than can be decided, and an order that cannot be sent need not be thought
about. What is shed says so (`Shed`). Whoever holds or works something is always served, reducing only:
leaving must never wait for a quieter time.

The rate is a token bucket over admission stamps, so that a replay sheds the same; in flight are orders the
venue has not answered.

Not here: how strained the desk is (`Strain`, found by its process), the gate's own limits.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from parley.messages import Shed, Trigger

from .account import REDUCE_LEVEL, Account
from .market import Market
from .table import Table

SECOND_NS: Final = 1_000_000_000
FEW_SYMBOLS: Final = 2  # the level of strain from which on only the best symbols open rounds


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """What a trigger gets: a round, and one that may open positions."""

    is_served: bool
    is_reducing: bool = False


FREELY: Final = Admitted(True)


class Admission:
    """Judges triggers; mutable, owned by the firm."""

    def __init__(self, table: Table, account: Account, market: Market) -> None:
        self._table = table
        self._account = account
        self._market = market
        self._tokens = max(1.0, table.config.max_rounds_per_s)
        self._at: int | None = None

    def judge(self, trigger: Trigger, symbols: Sequence[str]) -> Admitted:
        """Judge a trigger for a round about ``symbols``; one that gets none leaves a record."""
        refusal = self._refusal(symbols)
        if refusal is None:
            return FREELY
        if not self._account.engaged().isdisjoint(symbols):
            return Admitted(True, True)
        code, detail = refusal
        shed = Shed(symbol=trigger.symbol, kind=trigger.kind, code=code, detail=detail, t=self._table.now)
        self._table.emit(shed, cause=trigger.md_seq)
        return Admitted(False)

    def _refusal(self, symbols: Sequence[str]) -> tuple[str, str] | None:
        config, level = self._table.config, self._account.strains.level
        if level >= REDUCE_LEVEL:
            return "strained", self._account.strains.why  # nothing could be opened: nobody is asked
        if level >= FEW_SYMBOLS:
            best = self._market.busiest()[: config.best_symbols]
            if not set(symbols) <= set(best):
                return "strained", f"only the best {config.best_symbols} symbols at level {level}"
        if config.max_in_flight:
            in_flight = self._account.orders.in_flight()
            if in_flight >= config.max_in_flight:
                return "in_flight", f"{in_flight} orders without an answer, at most {config.max_in_flight}"
        if config.max_rounds_per_s and not self._take(config.max_rounds_per_s):
            return "rate", f"more than {config.max_rounds_per_s:g} rounds a second"
        return None

    def _take(self, rate: float) -> bool:
        now = self._table.steady
        if self._at is not None:
            since = (now - self._at) / SECOND_NS
            self._tokens = min(max(1.0, rate), self._tokens + since * rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
