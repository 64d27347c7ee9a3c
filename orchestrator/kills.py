"""What a kill means to a desk: a state of the whole account, symbols and bots that stop, and who must leave.

The gateway reads the kill file and lets nothing through that it forbids; the desk is told so that it does not
propose what cannot be sent, ends what it was working on, and leaves positions where that is asked for. A bot
is an agent: what it holds is its sub-ledger's.

Not here: the file, and what is cancelled (the gateway cancels).

Invariant: a mode that nobody knows counts as block; a scope that nobody knows is the whole account.
"""

from parley.messages import Killed
from parley.risk.states import ACTIVE, FLATTENING, HALTED

SYMBOL = "symbol:"
BOT = "bot:"
FLATTEN = "flatten"
NOTHING = Killed(standing=(), t=0)


class Kills:
    """What stands, as the gateway said last; never changed."""

    __slots__ = ("_bots", "ending", "leaving", "leaving_bots", "state", "symbols")

    def __init__(self, killed: Killed = NOTHING) -> None:
        whole = [mode for scope, mode, _ in killed.standing if not scope.startswith((SYMBOL, BOT))]
        parts = _named(killed, SYMBOL)
        self._bots = _named(killed, BOT)
        self.state = FLATTENING if whole and set(whole) == {FLATTEN} else HALTED if whole else ACTIVE
        self.symbols = frozenset(parts)
        # a symbol or bot is left where nothing stricter lies over all of it
        self.leaving = frozenset(
            symbol for symbol, mode in parts.items() if mode == FLATTEN and self.state != HALTED
        )
        self.leaving_bots = frozenset(
            bot for bot, mode in self._bots.items() if mode == FLATTEN and self.state != HALTED
        )
        self.ending = bool(whole)

    def ends(self, symbol: str, agent: str) -> bool:
        """Whether what is being worked in a symbol for an agent is over."""
        return self.ending or symbol in self.symbols or agent in self._bots

    def bars(self, agent: str, *, reduces: bool = False) -> bool:
        """Whether an agent is killed, so that nothing of its leaves; one that flattens lets exits pass."""
        mode = self._bots.get(agent)
        return mode is not None and not (reduces and mode == FLATTEN)

    def with_symbols(self, blocked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the symbols nothing may open in, those that are blocked for other reasons included."""
        return tuple(sorted(self.symbols.union(blocked))) if self.symbols else blocked


def _named(killed: Killed, level: str) -> dict[str, str]:
    return {scope.removeprefix(level): mode for scope, mode, _ in killed.standing if scope.startswith(level)}
