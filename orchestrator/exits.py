"""Leaves what is to be left: on a flatten, a kill, a quarantine, without a market, and at stops.

Problem: positions are left for many reasons, and whatever the reason a holding may be tied up by the stop
that the venue holds for it. So every exit nobody at the table proposed goes through here, and each waits
until its holding is free.

Not here: which holdings there are to leave (`leaving`), the stops (`guarding`), rounds (`firm`).

Invariant: a round for an exit is opened only while no order at the venue guards its holding.
"""

from collections.abc import Callable, Collection, Generator, Sequence

from parley.bus import Answer, Wave
from parley.messages import Proposal, Trigger

from .account import Account
from .gatekeeper import Gatekeeper
from .guarding import Guarding
from .leaving import Blind, exit_of, to_leave, trigger_of
from .market import Market
from .policy import GroupOut
from .table import Table

Flow = Generator[Wave | GroupOut, Sequence[Answer], None]
Open = Callable[[Trigger, Proposal], Flow]


class Exits:
    """One per firm; ``open_`` runs the round that decides an exit."""

    def __init__(
        self, table: Table, account: Account, market: Market, gatekeeper: Gatekeeper, guarding: Guarding,
        open_: Open,
    ) -> None:  # fmt: skip
        self._table = table
        self._account = account
        self._market = market
        self._gatekeeper = gatekeeper
        self._guarding = guarding
        self._open = open_
        self._blind = Blind()

    def is_blind(self) -> int:
        """Give the number of the try to leave that is due while no market comes, 0 when none is."""
        age = self._market.age_ms(self._table.wall) if self._account.flattening else None
        is_dead = age is not None and age > self._gatekeeper.limits.max_data_age_ms
        return self._blind.due(self._table.steady) if is_dead else 0

    def parts(self, seq: int) -> Flow:
        """Leave what single symbols and bots hold that are to be left while the rest goes on."""
        kills = self._account.kills
        if kills.leaving:
            yield from self.all("kill", seq, symbols=kills.leaving)
        if kills.leaving_bots:
            yield from self.all("kill_bot", seq, kills.leaving_bots)
        if gone := self._table.attendance.quarantined:
            yield from self.all("quarantine", seq, gone)  # nobody else would ever leave what they hold

    def all(
        self,
        why: str,
        seq: int,
        of: Collection[str] | None = None,
        symbols: Collection[str] | None = None,
        step: int | None = None,
    ) -> Flow:
        """Propose to leave positions, or those of some agents or symbols, on behalf of whoever holds them."""
        table = self._table
        for n, holding, qty in to_leave(table, self._account, self._market, of, symbols):
            exit_ = exit_of(holding, qty, table.config)
            if self._guarding.is_guarded(holding.agent, holding.symbol):
                self._guarding.hold_back((exit_,), seq)
                continue
            at = self._market.step if step is None else step
            yield from self._open(trigger_of(holding, n, why, seq, table.now, at), exit_)

    def stops(self, seq: int, *, is_market: bool, stopping: bool) -> Flow:
        """Look after the stops at the venue, and leave what waited for one of them or has reached its own."""
        due = yield from self._guarding.turn(seq, is_market=is_market, stopping=stopping)
        for why, n, exit_ in due:
            trigger = Trigger(
                source=why, symbol=exit_.symbol, kind="cmd", payload_hash=b"", md_seq=seq, t=self._table.now,
                nth=n,
            )  # fmt: skip
            yield from self._open(trigger, exit_)
