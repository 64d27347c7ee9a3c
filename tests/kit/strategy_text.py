"""The smallest strategy that trades, as a file's text: tests change a line of it to see what is told.

Invariant: it enters at every candle and leaves at a profit of one percent.
"""

from __future__ import annotations

RETURN = "        return dataframe\n"
_TEXT = """
from freqtrade.strategy import IStrategy

class {name}(IStrategy):
    timeframe = "5m"
    minimal_roi = {{"0": 0.01}}
    stoploss = -0.1
    startup_candle_count = 5

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""


def strategy_text(name: str) -> str:
    """Return the text of a file with one strategy of this name."""
    return _TEXT.format(name=name)
