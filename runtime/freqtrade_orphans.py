"""What a freqtrade strategy holds at the desk without a trade of its own: nobody watches it, so it is sold.

Problem: a strategy's next process may not want again what the one before it bought (a `confirm_trade_entry`
by chance or by network), or a fill comes for an order that was given up. Then the desk's books hold something
for the strategy which no stop, profit table or signal of it looks at.

Not here: selling it (`freqtrade_agent` makes an offer like any other).

Invariant: what a trade stands for, what is being ordered or offered, and what is too little to be sold is
never named.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from parley.instruments import Instrument
from parley.money import decimal
from parley.view import FirmView

# Looks in a row: the account's state and the fills it rests on come one after the other.
PATIENCE: Final = 3
WHY: Final = "no_trade"


class Orphans:
    """Counts how often in a row a position without a trade was seen; ``looks`` by symbol."""

    def __init__(self, agent: str) -> None:
        self.looks: dict[str, int] = {}
        self._agent = agent

    def look(
        self,
        view: FirmView,
        known: Collection[str],
        instruments: Mapping[str, Instrument],
        prices: Mapping[str, float],
    ) -> dict[str, Decimal]:
        """Return what is to be sold, by symbol: held at the desk, and by nothing in ``known``."""
        seen = {}
        for holding in view.state.holdings if view.version else ():
            symbol = holding.symbol
            if holding.agent != self._agent or symbol in known or not prices.get(symbol):
                continue
            qty = instruments[symbol].qty(holding.qty)
            if not instruments[symbol].tradable(qty, decimal(prices[symbol])):
                seen[symbol] = qty
        self.looks = {symbol: self.looks.get(symbol, 0) + 1 for symbol in seen}
        return {symbol: qty for symbol, qty in seen.items() if self.looks[symbol] >= PATIENCE}
