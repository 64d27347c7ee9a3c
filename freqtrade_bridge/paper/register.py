"""The trades, locks and notes of one strategy, where freqtrade's own code looks for them.

Problem: freqtrade keeps trades in a database, or for a backtest in lists that belong to classes. Here are
those lists, one set for each strategy: they lie in freqtrade's classes only while that strategy's code
runs.

Not here: their JSON (`saved`), what fills do to a trade (`freqtrade.persistence`). Invariant: inside
`opened` freqtrade sees exactly these trades, a closed one among the closed; outside nothing of it is left
behind.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from freqtrade import freqtradebot
from freqtrade.persistence import CustomDataWrapper, LocalTrade, PairLocks, Trade

# Class attributes of freqtrade's cannot be two strategies' at a time.
_ONE_AT_A_TIME: Final = threading.RLock()
CHANGING: Final = 64  # of the closed trades, the last so many may change once more, by a fill that comes late


class _Session:
    """Stands for freqtrade's database session: what would be written down is put in order instead."""

    def add(self, trade: LocalTrade) -> None:
        """Take a new trade into the open ones."""
        if not any(trade is known for known in LocalTrade.bt_trades_open):
            LocalTrade.add_bt_trade(trade)
        self.commit()

    def commit(self) -> None:
        """Move what was closed to the closed trades, and let orders know their trade."""
        for trade in tuple(LocalTrade.bt_trades_open):
            for order in trade.orders:
                order._trade_bt = trade
            if not trade.is_open:
                LocalTrade.close_bt_trade(trade)


_SESSION: Final = _Session()


class PaperTrade(LocalTrade):
    """freqtrade's trade as its bot makes it, kept in a `Register`."""

    session: ClassVar[_Session] = _SESSION
    # As in the database, where nothing is known yet; with the lists' own "" no fee would ever be looked at.
    fee_open_currency: str | None = None
    fee_close_currency: str | None = None
    exit_reason: str | None = None

    def delete(self) -> None:
        """Forget a trade of which nothing was filled."""
        LocalTrade.remove_bt_trade(self)
        CustomDataWrapper.delete_custom_data(trade_id=self.id)

    @staticmethod
    def commit() -> None:
        """Put in order what changed."""
        _SESSION.commit()


class Register:
    """One strategy's open and closed trades, pair locks and custom data."""

    def __init__(self, timeframe: str) -> None:
        self.timeframe = timeframe
        self.open: list[LocalTrade] = []
        self.closed: list[LocalTrade] = []
        self.locks: list[Any] = []
        self.notes: list[Any] = []
        self.last_id = 0
        self.packs: list[str] = []  # the closed trades that do not change any more, as `saved` writes them

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Put everything where freqtrade looks for it, until the end of the block."""
        with _ONE_AT_A_TIME:
            places = self._places()
            before = [(owner, name, getattr(owner, name, None)) for owner, name, _ in places]
            for owner, name, value in places:
                setattr(owner, name, value)
            try:
                yield
            finally:
                self._take_back()
                for owner, name, value in before:
                    setattr(owner, name, value)

    def number(self, trade: LocalTrade) -> None:
        """Give a new trade its id; freqtrade's database would."""
        if not trade.id:
            self.last_id += 1
            trade.id = self.last_id

    def _places(self) -> list[tuple[Any, str, Any]]:
        by_pair: dict[str, list[LocalTrade]] = defaultdict(list)
        for trade in self.open:
            by_pair[trade.pair].append(trade)
        profit = sum(trade.close_profit_abs or 0.0 for trade in self.closed)
        return [
            (LocalTrade, "bt_trades", self.closed), (LocalTrade, "bt_trades_open", self.open),
            (LocalTrade, "bt_trades_open_pp", by_pair), (LocalTrade, "bt_total_profit", profit),
            (LocalTrade, "bt_open_open_trade_count", len(self.open)), (Trade, "use_db", False),
            (Trade, "session", _SESSION), (PairLocks, "use_db", False), (PairLocks, "locks", self.locks),
            (PairLocks, "timeframe", self.timeframe), (CustomDataWrapper, "use_db", False),
            (CustomDataWrapper, "custom_data", self.notes), (freqtradebot, "Trade", self._trade_class()),
        ]  # fmt: skip

    def _trade_class(self) -> type[PaperTrade]:
        register = self

        class Numbered(PaperTrade):
            def __init__(self, **given: Any) -> None:
                super().__init__(**given)
                register.number(self)

        return Numbered

    def _take_back(self) -> None:
        # freqtrade replaces some of its lists when it changes them.
        self.open, self.closed = LocalTrade.bt_trades_open, LocalTrade.bt_trades
        self.locks, self.notes = PairLocks.locks, CustomDataWrapper.custom_data
