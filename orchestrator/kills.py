"""What a kill means to a desk: a state of the whole account, symbols in which nothing opens, and who must
leave.

The gateway reads the kill file and lets nothing through that it forbids; the desk is told so that it does not
propose what cannot be sent, ends what it was working on, and leaves positions where that is asked for.

Not here: the file, and what is cancelled (the gateway cancels).

Invariant: a mode that nobody knows counts as block.
"""

from parley.messages import Killed
from parley.risk.states import ACTIVE, FLATTENING, HALTED

SYMBOL = "symbol:"
NOTHING = Killed(standing=(), t=0)


class Kills:
    """What stands, as the gateway said last; never changed."""

    __slots__ = ("ending", "leaving", "state", "symbols")

    def __init__(self, killed: Killed = NOTHING) -> None:
        whole = [mode for scope, mode, _ in killed.standing if not scope.startswith(SYMBOL)]
        parts = {
            scope.removeprefix(SYMBOL): mode for scope, mode, _ in killed.standing if scope.startswith(SYMBOL)
        }
        self.state = FLATTENING if whole and set(whole) == {"flatten"} else HALTED if whole else ACTIVE
        self.symbols = frozenset(parts)
        # a symbol is left where nothing stricter lies over all of it
        self.leaving = frozenset(
            symbol for symbol, mode in parts.items() if mode == "flatten" and self.state != HALTED
        )
        self.ending = bool(whole)

    def ends(self, symbol: str) -> bool:
        """Whether what is being worked in a symbol is over."""
        return self.ending or symbol in self.symbols

    def with_symbols(self, blocked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the symbols nothing may open in, those that are blocked for other reasons included."""
        return tuple(sorted(self.symbols.union(blocked))) if self.symbols else blocked
