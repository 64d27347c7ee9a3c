"""What a desk has of the market, said to a hub that it has not met before.

Problem: a hub that follows another one, or that meets a desk with a past, knows neither how far that desk's
steps and candles go nor what was told while nobody listened. The desk knows it: from what it admitted, which
its journal holds.

Not here: what a hub makes of it (`hub_batches`), the line it is said on (`hub_line`).

Invariant: what a desk says it has, it has admitted.
"""

from typing import Final

import msgspec

from parley.errors import ProtocolError
from parley.messages import MarketBatch

HAVE: Final = "have:"
_MS: Final = 1_000_000


class Have(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a desk is: ``bars`` when its last candle opened, by symbol; ``begun`` the first batch's time.

    Times are market time, of ``bars`` in ms, else in ns. ``steps`` counts batches, ``candles`` bars.
    """

    step: int = 0
    t: int = 0
    begun: int = 0
    steps: int = 0
    candles: int = 0
    bars: dict[str, int] = {}

    def take(self, batch: MarketBatch) -> None:
        """Note a batch that was admitted."""
        self.begun = self.begun or batch.t
        self.step, self.t = max(self.step, batch.step), max(self.t, batch.t)
        self.steps += 1
        self.candles += len(batch.bars)
        for bar in batch.bars:
            self.bars[bar.symbol] = max(self.bars.get(bar.symbol, -1), bar.t_open // _MS)

    def last_bar(self, symbol: str, tf_ms: int) -> int:
        """When the last candle of a symbol opened that the desk needs no more, ms; -1: nobody knows.

        Before its first one that is the one before the candle that formed when the desk began.
        """
        if symbol in self.bars or not self.begun:
            return self.bars.get(symbol, -1)
        return (self.begun // _MS // tf_ms - 1) * tf_ms

    def text(self) -> str:
        """Return the control text."""
        return HAVE + msgspec.json.encode(self).decode()


def read_have(body: bytes) -> Have | None:
    """Read a control text; None when it is another one.

    Raises
    ------
    ProtocolError
        When it should be one and is not.
    """
    if not body.startswith(HAVE.encode()):
        return None
    try:
        return msgspec.json.decode(body[len(HAVE) :], type=Have)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{HAVE} must say how far the desk is: {error}") from error
