"""Leaves what is to be left: on a flatten, a kill, a quarantine, without a market, at stops, and for its age.

Problem: positions are left for many reasons, and whatever the reason a holding may be tied up by the stop
that the venue holds for it. So every exit nobody at the table proposed goes through here, and each waits
until its holding is free.

Not here: which holdings there are to leave (`leaving`), the stops (`guarding`), rounds (`firm`).

Invariant: a round for an exit is opened only while no order at the venue guards its holding; nothing is left
for its age while anybody else leaves it.
"""

from collections.abc import Callable, Collection, Generator, Sequence

from parley.bus import Answer, Wave
from parley.messages import Holding, Proposal, Trigger
from parley.risk.limits import HOUR_NS
from parley.risk.nodes import longest_age_h
from parley.risk.states import FLATTENING, HALTED

from .account import Account
from .gatekeeper import Gatekeeper
from .guarding import MAX_DOUBLINGS, Guarding
from .leaving import Blind, exit_of, to_leave, trigger_of
from .market import Market
from .policy import GroupOut
from .table import Table

Flow = Generator[Wave | GroupOut, Sequence[Answer], None]
Open = Callable[[Trigger, Proposal], Flow]
AGE = "max_position_age"


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
        # by holder and symbol, when it was last tried to leave, and how often a stop was lifted for it
        self._old: dict[tuple[str, str], tuple[int, int]] = {}

    def is_blind(self) -> int:
        """Give the number of the try to leave that is due while no market comes, 0 when none is."""
        age = self._market.age_ms(self._table.wall) if self._account.trading == FLATTENING else None
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
        """Look after the stops at the venue, and leave what waited for one of them or has reached its own.

        What is held longer than it may be is left first: it needs no stop any more.
        """
        if is_market and not stopping and self._account.trading != FLATTENING:
            yield from self._aged(seq)
        due = yield from self._guarding.turn(seq, is_market=is_market, stopping=stopping)
        for why, n, exit_ in due:
            # whoever asks why something was left reads its round's trigger
            source = f"{AGE}/{why}" if exit_.why == AGE else why
            trigger = Trigger(
                source=source, symbol=exit_.symbol, kind="cmd", payload_hash=b"", md_seq=seq,
                t=self._table.now, nth=n,
            )  # fmt: skip
            yield from self._open(trigger, exit_)

    def _aged(self, seq: int) -> Flow:
        """Leave what is held for too long: one exit at a time, tried again a candle later."""
        account, table, market = self._account, self._table, self._market
        tree = self._gatekeeper.limits.tree
        if account.trading == HALTED or all(each.max_position_age_h is None for each in tree.values()):
            return
        held = {(holding.agent, holding.symbol) for holding in account.holdings()}
        self._old = {key: t for key, t in self._old.items() if key in held}
        for n, holding, qty in to_leave(table, account, market):
            if not self._is_too_old(holding):
                continue
            key = (holding.agent, holding.symbol)
            if self._guarding.is_lifting(*key):
                continue  # somebody leaves already, or the stop is being moved
            is_guarded = self._guarding.is_guarded(*key)
            self._old[key] = table.now, self._old.get(key, (0, 0))[1] + is_guarded
            exit_ = exit_of(holding, qty, table.config, why=AGE)
            if is_guarded:
                self._guarding.hold_back((exit_,), seq)
                continue
            yield from self._open(trigger_of(holding, n, AGE, seq, table.now, market.step), exit_)

    def _is_too_old(self, holding: Holding) -> bool:
        agent, symbol, now = holding.agent, holding.symbol, self._table.now
        kills = self._account.kills
        if not holding.pid or kills.bars(agent) or symbol in kills.symbols:
            return False  # nobody decided to hold it, or the kill says what becomes of it
        if self._table.attendance.is_quarantined(agent):
            return False  # it is being left
        most = longest_age_h(self._gatekeeper.limits.tree, agent, symbol)
        if most is None or now - holding.opened <= most * HOUR_NS:
            return False
        tried = self._old.get((agent, symbol))
        if tried is None:
            return True
        at, lifted = tried  # what lifts a stop and comes to nothing waits longer before it does so again
        return now - at >= self._table.config.tf_ns << min(max(lifted - 1, 0), MAX_DOUBLINGS)
