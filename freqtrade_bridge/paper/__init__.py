"""A freqtrade strategy that trades as the market moves, by freqtrade's own rules and without its exchange."""

from freqtrade_bridge.paper.opening import open_trader
from freqtrade_bridge.paper.trader import Trader, Wanted
from freqtrade_bridge.paper.venue import Quote
from freqtrade_bridge.paper.window import Candle

__all__ = ["Candle", "Quote", "Trader", "Wanted", "open_trader"]
