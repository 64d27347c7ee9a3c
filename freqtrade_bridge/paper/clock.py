"""Market time for freqtrade's own code.

Problem: a live bot asks the computer's clock how late it is. Played candles have a time of their own, and the
same code has to see that: whether a candle is outdated, a lock over, a trade two hours old.

Not here: a strategy file that asks the computer itself; it gets the computer's time, as it would live.
Invariant: inside `market_time` every `now` of freqtrade's bot, strategy base class, locks and trades is the
given moment; outside everything is as it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Any, Final

from freqtrade import freqtradebot
from freqtrade.data import dataprovider
from freqtrade.exchange import exchange_utils_timeframe
from freqtrade.persistence import pairlock_middleware, trade_model
from freqtrade.plugins import protectionmanager
from freqtrade.strategy import interface
from freqtrade.util import datetime_helpers

# Every module of freqtrade's that asks for the time on the way of a trade; `dt_now` lives in the last one.
_ASKING: Final[tuple[ModuleType, ...]] = (
    freqtradebot, dataprovider, exchange_utils_timeframe, pairlock_middleware, trade_model, protectionmanager,
    interface, datetime_helpers,
)  # fmt: skip


class _MarketTime(datetime):
    """Stands for the class `datetime` in those modules; what it makes are plain datetimes."""

    moment: datetime

    def __new__(cls, *given: Any, **named: Any) -> Any:
        return datetime(*given, **named)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return cls.moment.astimezone(tz) if tz is not None else cls.moment.replace(tzinfo=None)


@contextmanager
def market_time(moment: datetime) -> Iterator[None]:
    """Let freqtrade's code see this moment (with a zone) until the end of the block."""
    before = [(module, vars(module)["datetime"]) for module in _ASKING]
    earlier = getattr(_MarketTime, "moment", moment)
    _MarketTime.moment = moment
    for module in _ASKING:
        vars(module)["datetime"] = _MarketTime
    try:
        yield
    finally:
        _MarketTime.moment = earlier
        for module, kept in before:
            vars(module)["datetime"] = kept
