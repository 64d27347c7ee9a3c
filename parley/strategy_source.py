"""What a trading idea is to the agent that trades it: a pure source of entries and exits.

The agent owns money, orders, costs and stops; a source only sees closed candles and
opinions, and says what it would do. It holds its state per symbol, never raises for
a market reason, and gives the same answers after `restore(snapshot())`. Sources are
injected (``Callable[[params], StrategySource]``); agents never import one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from .messages.market import Bar
from .messages.signals import Opinion


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A position worth opening.

    ``direction`` +1 long, -1 short; ``edge_bps`` the expected move in its favour before
    costs; ``conf`` the probability that it ends with a gain; ``stop`` and ``take`` prices.
    ``evidence`` are the ids of the opinions that spoke for it.
    """

    direction: int
    edge_bps: float
    conf: float
    stop: float
    take: float
    horizon_ms: int
    why: str
    urgency: str = "normal"
    evidence: tuple[bytes, ...] = ()


class Pass(msgspec.Struct, frozen=True):
    """No position worth opening: a reason code and its numbers."""

    code: str
    detail: str = ""


class Leave(msgspec.Struct, frozen=True):
    """The reason to hold is gone: a reason code and its numbers."""

    code: str
    detail: str = ""
    urgency: str = "normal"


class Stay(msgspec.Struct, frozen=True):
    """Keep holding; ``stop`` is where the source would put it now (NaN: no wish)."""

    stop: float
    detail: str = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a symbol: ``direction`` +1 or -1, mean entry price, market ns of the opening."""

    direction: int
    entry_px: float
    opened: int


class StrategySource(Protocol):
    """One trading idea over any number of symbols."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def params(self) -> msgspec.Struct: ...

    @property
    def warmup_bars(self) -> int:
        """Candles of the desk's length it needs before it can say anything."""
        ...

    def on_bar(self, bar: Bar) -> None:
        """Take a closed candle; one that is unusable or not newer than the last changes nothing."""
        ...

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        """Say whether to open now; ``bar`` is the last usable candle, ``opinions`` the valid ones."""
        ...

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        """Say whether to go on holding; stops and takes are the agent's to watch."""
        ...

    def snapshot(self) -> bytes: ...

    def restore(self, blob: bytes) -> None: ...


SourceFactory = Callable[[Mapping[str, object]], StrategySource]
