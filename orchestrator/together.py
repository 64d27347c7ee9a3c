"""How the symbols of a desk move together, by what the desk saw of them itself.

Problem: the gate caps what moves as one. The risk agent has an estimate of its own, but the gate takes no
agent's word for a limit, so the desk folds the mids of its books, once a candle of market time. The numbers
are the risk agent's own defaults: what it lets through is not refused for another estimate.

Not here: the arithmetic (`parley.risk.correlation`), what the gate makes of it (`holding_rules`).

Invariant: a fold over the books and market time; a book that brought nothing new is no return of zero.
"""

from collections.abc import Collection, Mapping

from parley.messages import Book
from parley.risk.correlation import Correlations

DECAY = 0.985
WARM_CANDLES = 30


class Together:
    """One per account; ``symbols`` are those against the account's own money."""

    def __init__(self, tf_ns: int, symbols: Collection[str]) -> None:
        self._tf_ns = tf_ns
        self._symbols = frozenset(symbols)
        self._candle = -1
        self._seen: dict[str, int] = {}
        self._of = Correlations(DECAY, WARM_CANDLES)

    def see(self, books: Mapping[str, Book], t: int) -> None:
        """Take the mids of all books that moved on, where a candle of market time began."""
        candle = t // self._tf_ns
        if candle == self._candle:
            return
        self._candle = candle
        mids: dict[str, float] = {}
        for symbol, book in books.items():
            if symbol in self._symbols and book.bids and book.asks and book.t > self._seen.get(symbol, -1):
                self._seen[symbol] = book.t
                mids[symbol] = book.mid
        if mids:
            self._of.see(mids)

    def with_symbol(self, symbol: str) -> Mapping[tuple[str, str], float]:
        """Give all known correlations of a symbol as of now, by sorted pair."""
        return self._of.with_symbol(symbol)
