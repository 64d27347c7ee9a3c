"""What a simulation comes to, in freqtrade's figures and freqtrade's files."""

from freqtrade_bridge.report.files import plain, store_result
from freqtrade_bridge.report.outcome import Lock, Outcome
from freqtrade_bridge.report.records import TradeRecords
from freqtrade_bridge.report.signals import signal_candles
from freqtrade_bridge.report.strategy import compare_strategies, strategy_figures
from freqtrade_bridge.report.wallet import WalletCourse, WalletRun, wallet_course
from freqtrade_bridge.report.wallet_figures import wallet_figures

__all__ = [
    "Lock",
    "Outcome",
    "TradeRecords",
    "WalletCourse",
    "WalletRun",
    "compare_strategies",
    "plain",
    "signal_candles",
    "store_result",
    "strategy_figures",
    "wallet_course",
    "wallet_figures",
]
