"""What a simulation gives back: freqtrade's own result frame, counters and balance."""

from typing import NamedTuple

from pandas import DataFrame

BT_DATA_COLUMNS = (
    "pair", "stake_amount", "max_stake_amount", "amount", "open_date", "close_date", "open_rate",
    "close_rate", "fee_open", "fee_close", "trade_duration", "profit_ratio", "profit_abs", "exit_reason",
    "initial_stop_loss_abs", "initial_stop_loss_ratio", "stop_loss_abs", "stop_loss_ratio", "min_rate",
    "max_rate", "is_open", "enter_tag", "leverage", "is_short", "open_timestamp", "close_timestamp", "orders",
    "funding_fees",
)  # fmt: skip
"""freqtrade's columns in freqtrade's order."""


class PairLock(NamedTuple):
    """A lock as freqtrade's `PairLocks` keeps it; times in ms UTC."""

    pair: str
    """ "*" for all pairs."""
    side: str
    """"long", "short" or "*"."""
    lock_time_ms: int
    lock_end_time_ms: int
    reason: str | None
    active: bool


class Rejected(NamedTuple):
    """A signal that found no free slot: the pair, the candle it would have traded on, its tag."""

    pair: str
    date_ms: int
    enter_tag: str | None


class WalletNotes(NamedTuple):
    """What there was in the wallet, from which candle on: (open time in ms UTC, balance), ascending."""

    money: tuple[tuple[int, float], ...]
    coins: dict[str, tuple[tuple[int, float], ...]]
    """By pair, of its base currency: what freqtrade's wallet has of it when the pair has its turn."""


class Result(NamedTuple):
    """One simulation; the names of freqtrade's `backtest()` dictionary."""

    trades: DataFrame
    """`BT_DATA_COLUMNS`, rows in the order of closing, dtypes as freqtrade's `trade_list_to_dataframe`."""
    final_balance: float
    """Total of the stake currency's wallet at the end."""
    starting_balance: float
    rejected_signals: int
    timedout_entry_orders: int
    timedout_exit_orders: int
    canceled_trade_entries: int
    canceled_entry_orders: int
    replaced_entry_orders: int
    canceled_exit_orders: int
    replaced_exit_orders: int
    locks: tuple[PairLock, ...]
    start_ms: int
    """First and last candle of the trimmed frames: freqtrade's `backtest_start` and `backtest_end`."""
    end_ms: int
    wallet: WalletNotes | None = None
    """Where the simulation was told to write it down."""
    rejected: tuple[Rejected, ...] = ()
    """The signals counted in `rejected_signals`, where the simulation was told to list them."""
    faults: tuple[str, ...] = ()
    """What the run went on in spite of: callbacks that raised, with what they said first and how often, and
    funding that is not known; a line for each."""
