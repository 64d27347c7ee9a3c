"""Times in sentences about trades.

Invariant: to the minute and in UTC, as freqtrade shows candles.
"""

from datetime import UTC, datetime


def at(t_ms: int) -> str:
    """Show a market time, ms."""
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
