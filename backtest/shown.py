"""What a strategy is shown of a run besides numbers: freqtrade's own classes, time zone, its notes on trades.

Problem: a callback's trade is made of the kernel's numbers, and a strategy looks at more than those: it asks
whether the trade is a `LocalTrade`, keeps custom data with it, prints the leverage it answered. freqtrade's
classes come from whoever binds the callbacks (`as_of`), since nothing here imports freqtrade.

Not here: the trade itself (`trade_view`). Invariant: what cannot be shown is refused with `NotSupported`, and
`refused` has it even where the strategy's own code caught the error.
"""

import json
import logging
from datetime import UTC, tzinfo
from typing import Any, Final, NoReturn

from backtest.errors import NotSupported

_AS_TEXT: Final = ("bool", "float", "int", "str")
# The same logger as freqtrade's, so that its log and ours read alike.
_LOG: Final = logging.getLogger("freqtrade.persistence.custom_data")


class Shown:
    """Of one simulation."""

    def __init__(self, trading_mode: str) -> None:
        self.trading_mode: Any = trading_mode
        self.trade_class: type | None = None
        self.order_class: type | None = None
        self.zone: tzinfo = UTC
        """That of the candles' dates: freqtrade passes its moments on as they are there."""
        self.notes = Notes()
        self.leverages: dict[float, float] = {}
        """What was answered for leverage: freqtrade keeps a whole number whole, the kernel has floats."""
        self.refused: str | None = None

    def as_of(self, trade: type, order: type, trading_mode: Any) -> None:
        """Show trades, orders and the trading mode as freqtrade's."""
        self.trade_class, self.order_class, self.trading_mode = trade, order, trading_mode

    def refuse(self, told: str) -> NoReturn:
        """Say that only freqtrade's own loop can do this.

        Raises
        ------
        NotSupported
            Always.
        """
        self.refused = self.refused or f"not simulated: {told}"
        raise NotSupported(self.refused)

    def note_leverage(self, answer: float, most: float) -> None:
        """Remember as which kind of number freqtrade keeps an answered leverage."""
        kept = min(max(answer, 1.0), most)
        if kept.__class__ is not float and kept.__class__ is not int:
            self.refuse(f"leverage answers a {kept.__class__.__name__} (freqtrade goes on in it)")
        if self.leverages.setdefault(kept, kept).__class__ is not kept.__class__:
            self.refuse(f"leverage answers {kept} as a whole number and as another (freqtrade shows both)")


class _Note:
    """One entry of custom data, as text."""

    __slots__ = ("key", "kind", "text")

    def __init__(self, key: str, kind: str, text: str) -> None:
        self.key, self.kind, self.text = key, kind, text

    def value(self) -> Any:
        """Read it as what it was first; what cannot be read so is a ValueError, as in freqtrade."""
        if self.kind not in _AS_TEXT:
            return json.loads(self.text)
        if self.kind == "bool":
            return self.text.lower() == "true"
        if self.kind == "int":
            return int(self.text)
        return float(self.text) if self.kind == "float" else self.text


class Notes:
    """Custom data of trades: what freqtrade's `CustomDataWrapper` keeps without a database, step by step."""

    def __init__(self) -> None:
        self._by_trade: dict[int, list[_Note]] = {}

    def _found(self, trade: int, key: str) -> list[tuple[_Note, Any]]:
        # The comparison stands inside: freqtrade looks at the key only where there is an entry to compare.
        notes = self._by_trade.get(trade, ())
        if key is not None:
            notes = [note for note in notes if note.key.casefold() == key.casefold()]
        return [(note, note.value()) for note in notes]

    def set(self, trade: int, key: str, value: Any) -> None:
        """Write; what JSON cannot hold is left out with a line in the log."""
        kind = type(value).__name__
        if kind in _AS_TEXT:
            text = str(value)
        else:
            try:
                text = json.dumps(value)
            except TypeError as error:
                _LOG.warning(f"could not serialize {key} value due to {error}")
                return
        found = self._found(trade, key)
        if found:
            found[0][0].text = text  # and the first writing's kind stays
        else:
            self._by_trade.setdefault(trade, []).append(_Note(key, kind, text))

    def get(self, trade: int, key: str, default: Any = None) -> Any:
        """Read a fresh value."""
        found = self._found(trade, key)
        return found[0][1] if found else default

    def delete(self, trade: int, key: str | None = None) -> None:
        """Forget one, or all of a trade."""
        self._by_trade[trade] = [
            note
            for note in self._by_trade.get(trade, ())
            if key is not None and note.key.casefold() != key.casefold()
        ]
