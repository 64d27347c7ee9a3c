"""The kernel's tables, filled from settings, pair rules and candles.

Invariant: `Tables` owns every array whose address the desk holds, for as long as the simulation runs.
"""

import decimal
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest import pair_rules
from backtest.candles import SIGNALS, PairCandles
from backtest.compile import entry_point
from backtest.errors import NotSupported, SimulationError
from backtest.shown import Shown
from backtest.words import Words
from parley.kernels import codes, liquidation, reading
from parley.kernels.quiet import trailing_is_monotone
from parley.kernels.records import BLOCK, BOX, DESK, FILED, ORDER, PAIR, ROI_STEPS, TRADE
from parley.kernels.settings import PairSpec, SimulationSettings
from parley.kernels.wallet import SUMS

_NONE = math.nan
_FLAGS = {
    "bot_loop_start": "hook_bot_loop_start",
    "custom_entry_price": "hook_entry_price",
    "custom_exit_price": "hook_exit_price",
    "custom_stake_amount": "hook_stake",
    "leverage": "hook_leverage",
    "confirm_trade_entry": "hook_confirm_entry",
    "confirm_trade_exit": "hook_confirm_exit",
    "custom_exit": "hook_exit",
    "order_filled": "hook_order_filled",
    "check_entry_timeout": "hook_entry_timeout",
    "check_exit_timeout": "hook_exit_timeout",
}
"""Callbacks that are asked whenever the strategy has them; the others need a setting as well."""
_ORDER_PRICE = ("adjust_order_price", "adjust_entry_price", "adjust_exit_price")
_FORMULAS = {"binance": liquidation.BINANCE, "bybit": liquidation.BYBIT, "bitget": liquidation.BITGET}
_KINDS = {
    np.dtype(np.float64): reading.FLOATS,
    np.dtype(np.int64): reading.WHOLE,
    np.dtype(np.uint8): reading.BYTES,
}
_PLACES = {name: offset // 8 for name, (_, offset, *_) in (DESK.fields or {}).items()}
_FILED = {name: place for place, name in enumerate((TRADE.names or ())[:FILED])}
_ENTRIES = codes.ENTER_LONG | codes.ENTER_SHORT
_MOST_ORDERS = 1 << 20
"""Where tables start at most; they grow when a run needs more."""
_EACH_CANDLE = ("hook_stoploss", "hook_exit", "hook_roi", "hook_adjust_position")
"""With one of these every candle of an open trade counts."""


def address(array: NDArray[Any]) -> int:
    # Half the time of `array.ctypes`, a thousand times per simulation of many pairs.
    place: int = array.__array_interface__["data"][0]
    return place


class Tables:
    """Arrays of one simulation and the desk that points to them."""

    def __init__(
        self,
        settings: SimulationSettings,
        specs: Sequence[PairSpec],
        candles: Sequence[PairCandles],
        funding: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    ) -> None:
        self.settings = settings
        self.specs = specs
        self.candles = candles
        self.words = Words(candles)
        self.shown = Shown(settings.trading_mode)
        """What a strategy sees of the run besides numbers."""
        self.desk = np.zeros(1, DESK)
        box = _PLACES["box"]
        self.box = memoryview(self.desk.view(np.float64))[box : box + BOX]  # type: ignore[arg-type]
        self.pairs = np.zeros(len(specs), PAIR)
        self.next_step = np.zeros(len(specs), np.int64)
        self.exit_order = np.zeros(len(specs), np.int64)
        self._kept: list[Any] = []
        self._set_time(settings, candles)
        self._set_rules(settings)
        self._set_pairs(settings, specs, candles, funding)
        slots = 2 * len(specs) + 2 * len(specs)
        self.trades = np.zeros(slots, TRADE)
        self.open_slots = np.zeros(slots, np.int64)
        self.line = np.zeros(slots, np.int64)
        self.sums = np.zeros(SUMS * slots)
        self.free_slots = np.arange(slots - 1, -1, -1, dtype=np.int64)
        self.orders = np.zeros(0, ORDER)
        self.closed = np.zeros((0, FILED, BLOCK), np.int64)
        self.kept = np.zeros(0, TRADE)
        """Whole records of the closed trades, for callbacks that ask for them."""
        desk = self.desk[0]
        desk["free_count"] = slots
        desk["slot_count"] = slots
        desk["free_order"] = -1
        # The first snapshot of the wallet, before any trade.
        desk["wallet_free"] = desk["wallet_total"] = settings.dry_run_wallet
        if settings.timeframe_detail_ms is not None:
            desk["detail_ms"] = settings.timeframe_detail_ms
            desk["expire_ms"] = settings.ignore_buying_expired_candle_after_s * 1000
            desk["skips"] = 0
        entries = int(np.count_nonzero(self.signals & _ENTRIES))
        # Virtual memory: pages nobody writes cost nothing.
        steps = settings.timeframe_ms // (settings.timeframe_detail_ms or settings.timeframe_ms)
        self._size_books(min(3 * entries, _MOST_ORDERS) + 64 * len(specs) * (steps + 1) + 4096)

    def add_detail(self, detail: Mapping[str, PairCandles]) -> None:
        """The candles of the detail timeframe, for the pairs that have some."""
        for pair, spec in zip(self.pairs, self.specs, strict=True):
            found = detail.get(spec.pair)
            if found is None:
                continue
            self._kept.append(found)
            pair["detail_rows"] = len(found.dates)
            pair["detail_dates"] = address(found.dates)
            pair["detail_opens"] = address(found.opens)
            pair["detail_highs"] = address(found.highs)
            pair["detail_lows"] = address(found.lows)
            pair["detail_closes"] = address(found.closes)

    def connect(self, answers: Mapping[int, Callable[[], None]]) -> None:
        """Let the kernel ask: it calls the function of a question, whose numbers lie in the box."""
        self._answers = dict(answers)
        self._port = np.zeros(codes.PLACES, np.int64)
        for code, answer in self._answers.items():
            self._port[code] = id(answer)
        self.desk[0]["port"] = address(self._port)

    def starting_balance(self) -> float:
        """freqtrade's `starting_balance`: what the wallet may trade with."""
        settings = self.settings
        if settings.available_capital is not None:
            return settings.available_capital
        return (settings.dry_run_wallet - 0 + 0) * settings.tradable_balance_ratio

    def had_its_turn(self, at: int, here: int) -> bool:
        """Whether a pair was processed in this step already, when it is the turn of the pair `here`."""
        count = int(self.desk[0]["line_count"])
        if count < 0 or at == here:
            return True
        first = self.line[:count].tolist()
        if at in first:
            return here not in first or first.index(at) < first.index(here)
        return here not in first and at < here

    def closed_trades(self) -> Mapping[str, NDArray[Any]]:
        """The closed trades so far: field to column, in the order of closing."""
        return _Columns(self.closed, int(self.desk[0]["closed_count"]))

    def grow(self) -> None:
        """Make whatever may be short larger; the kernel goes on between two steps."""
        desk = self.desk[0]
        if desk["free_count"] < 2 * len(self.specs):
            self._add_slots(len(self.trades))
        self._size_books(2 * len(self.orders))

    def _size_books(self, orders: int) -> None:
        # Pages never written cost nothing, so the tables may be generous.
        desk = self.desk[0]
        used = self.orders[: desk["order_count"]]
        self.orders = np.empty(orders, ORDER)
        self.orders[: len(used)] = used
        blocks = -(-int(desk["closed_count"]) // BLOCK)
        done = self.closed[:blocks]
        most = orders // 2 + 2 * len(self.specs) + len(self.trades)
        self.closed = np.empty((-(-most // BLOCK), FILED, BLOCK), np.int64)
        self.closed[:blocks] = done
        if desk["watched"]:
            kept = self.kept[: desk["closed_count"]]
            self.kept = np.empty(len(self.closed) * BLOCK, TRADE)
            self.kept[: len(kept)] = kept
        desk["order_capacity"] = len(self.orders)
        desk["closed_capacity"] = len(self.closed) * BLOCK
        self._point()

    def _add_slots(self, more: int) -> None:
        desk = self.desk[0]
        size = len(self.trades)
        self.trades = np.concatenate([self.trades, np.zeros(more, TRADE)])
        self.open_slots = np.concatenate([self.open_slots, np.zeros(more, np.int64)])
        self.line = np.zeros(size + more, np.int64)
        self.sums = np.zeros(SUMS * (size + more))
        desk["summed"] = 0
        free = self.free_slots[: desk["free_count"]]
        fresh = np.arange(size + more - 1, size - 1, -1, dtype=np.int64)
        self.free_slots = np.concatenate([fresh, free, np.zeros(size - len(free), np.int64)])
        desk["free_count"] += more
        desk["slot_count"] = size + more

    def _point(self) -> None:
        desk = self.desk[0]
        for name, array in (
            ("pairs", self.pairs),
            ("trades", self.trades),
            ("orders", self.orders),
            ("closed", self.closed),
            ("kept", self.kept),
            ("ticks", self.ticks),
            ("tiers", self.tiers),
            ("open_slots", self.open_slots),
            ("free_slots", self.free_slots),
            ("next_step", self.next_step),
            ("line", self.line),
            ("last_order", self.exit_order),
            ("sums", self.sums),
        ):
            desk[name] = address(array)
        # The same numbers as Python's own, for whoever looks at single ones.
        self.trade_floats, self.trade_ints = numbers(self.trades)
        self.order_floats, self.order_ints = numbers(self.orders)

    def _set_time(self, settings: SimulationSettings, candles: Sequence[PairCandles]) -> None:
        filled = [c for c in candles if len(c.dates)]
        if not filled:
            raise SimulationError("no candles left after trimming to start and startup candles")
        desk = self.desk[0]
        self.start_ms = int(min(c.dates[0] for c in filled))
        self.end_ms = int(max(c.dates[-1] for c in filled))
        desk["timeframe_ms"] = settings.timeframe_ms
        desk["timeframe_min"] = settings.timeframe_ms // 60_000
        desk["start_ms"] = self.start_ms
        desk["end_ms"] = self.end_ms
        desk["last_step"] = (self.end_ms - self.start_ms) // settings.timeframe_ms

    def _set_rules(self, settings: SimulationSettings) -> None:
        desk = self.desk[0]
        desk["fee"] = settings.fee
        desk["fee_hi"], desk["fee_lo"] = pair_of(settings.fee)
        unlimited = settings.stake_amount == "unlimited"
        desk["stake_amount"] = _NONE if unlimited else settings.stake_amount
        desk["start_cap"] = settings.dry_run_wallet
        capital = settings.available_capital
        desk["available_capital"] = _NONE if capital is None else capital
        desk["tradable_ratio"] = settings.tradable_balance_ratio
        desk["amend_last"] = settings.amend_last_stake_amount
        desk["last_min_ratio"] = settings.last_stake_amount_min_ratio
        desk["margin_reserve"] = 1.0 + settings.amount_reserve_percent
        desk["max_open_trades"] = settings.max_open_trades
        desk["stacking"] = settings.position_stacking
        futures = settings.trading_mode == "futures"
        desk["futures"] = futures
        desk["cross"] = settings.margin_mode == "cross"
        desk["can_short"] = futures and settings.can_short
        desk["liquidation_formula"] = _FORMULAS.get(settings.liquidation_formula, liquidation.DEFAULT)
        desk["liquidation_buffer"] = settings.liquidation_buffer
        desk["funding_ms"] = settings.funding_fee_timeframe_ms
        # From 3.12 on Python's sum keeps what additions lose, and freqtrade sums with it.
        desk["compensated"] = sys.version_info >= (3, 12)
        if len(settings.minimal_roi) > ROI_STEPS:
            raise NotSupported(f"minimal_roi: {len(settings.minimal_roi)} steps, at most {ROI_STEPS}")
        desk["roi_steps"] = len(settings.minimal_roi)
        for k, (minutes, ratio) in enumerate(settings.minimal_roi):
            desk["roi_minutes"][k] = minutes
            desk["roi_ratios"][k] = ratio
        desk["stoploss"] = settings.stoploss
        desk["trailing_stop"] = settings.trailing_stop
        positive = settings.trailing_stop_positive
        desk["trailing_positive"] = _NONE if positive is None else positive
        desk["trailing_offset"] = settings.trailing_stop_positive_offset
        desk["trailing_only_offset"] = settings.trailing_only_offset_is_reached
        desk["use_exit_signal"] = settings.use_exit_signal
        desk["exit_profit_only"] = settings.exit_profit_only
        desk["exit_profit_offset"] = settings.exit_profit_offset
        desk["ignore_roi"] = settings.ignore_roi_if_entry_signal
        desk["entry_limit"] = settings.entry_order_type == "limit"
        desk["exit_limit"] = settings.exit_order_type == "limit"
        for name, timeout in (
            ("entry_timeout_ms", settings.unfilledtimeout_entry_s),
            ("exit_timeout_ms", settings.unfilledtimeout_exit_s),
        ):
            desk[name] = _NONE if timeout is None else timeout * 1000
        desk["protections"] = settings.enable_protections and bool(settings.protections)
        for hook, flag in _FLAGS.items():
            desk[flag] = hook in settings.hooks
        desk["hook_stoploss"] = settings.use_custom_stoploss
        desk["hook_roi"] = settings.use_custom_roi
        desk["hook_adjust_position"] = settings.position_adjustment_enable
        desk["hook_adjust_order"] = any(name in settings.hooks for name in _ORDER_PRICE)
        desk["stop_after_fill"] = settings.stop_uses_after_fill
        # A callback may ask for any trade and for the wallet; which one will is not known before.
        desk["watched"] = bool(settings.hooks)
        desk["max_entry_adjustment"] = settings.max_entry_position_adjustment
        desk["skips"] = not (
            any(desk[name] for name in _EACH_CANDLE)
            or settings.position_stacking
            or desk["cross"]
            or (
                settings.trailing_stop
                and not trailing_is_monotone(desk["trailing_positive"], settings.stoploss)
            )
        )

    def _set_pairs(
        self,
        settings: SimulationSettings,
        specs: Sequence[PairSpec],
        candles: Sequence[PairCandles],
        funding: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    ) -> None:
        desk = self.desk[0]
        desk["pair_count"] = len(specs)
        self._read_columns(candles)
        for name in ("opens", "highs", "lows", "closes"):
            self.pairs[name] = [address(getattr(candle, name)) for candle in candles]
        self.pairs["rank"] = np.arange(len(specs))
        steps = pair_rules.steps_of(
            [candle.dates for candle in candles], self.pairs["gaps"], self.start_ms, settings.timeframe_ms
        )
        self.pairs["first_step"] = steps.first
        self.pairs["steps"] = [0 if each is None else address(each) for each in steps.irregular]
        if not steps.are_exact:
            # Row and step disagree about the time; look at every candle.
            desk["skips"] = 0
        # Pairs come to life at their first row; ties in the order of the list.
        self.exit_order[:] = np.argsort(steps.alive, kind="stable")
        self.ticks = pair_rules.set_ticks(self.pairs, specs, settings)
        self.tiers = pair_rules.set_tiers(self.pairs, specs)
        pair_rules.set_limits(self.pairs, specs, settings)
        desk["last_tier_only"] = settings.exchange in pair_rules.TIERS_ALONE
        self._kept += [steps, *self._set_funding(specs, funding)]

    def _set_funding(
        self,
        specs: Sequence[PairSpec],
        funding: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    ) -> list[NDArray[Any]]:
        kept: list[NDArray[Any]] = []
        for pair, spec in zip(self.pairs, specs, strict=True):
            if spec.pair not in funding:
                continue
            times = np.ascontiguousarray(funding[spec.pair][0], dtype=np.int64)
            fees = np.ascontiguousarray(funding[spec.pair][1], dtype=np.float64)
            kept += [times, fees]
            pair["funding_rows"] = len(times)
            pair["funding_dates"] = address(times)
            pair["funding_fees"] = address(fees)
        return kept

    def _read_columns(self, candles: Sequence[PairCandles]) -> None:
        """Turn signal columns into bits and look for gaps, in compiled code."""
        rows = np.array([len(candle.dates) for candle in candles])
        places = np.concatenate([[0], np.cumsum(rows)])
        self.signals = np.zeros(int(places[-1]), np.uint8)
        self.pairs["rows"] = rows
        self.pairs["dates"] = [address(candle.dates) for candle in candles]
        self.pairs["signals"] = address(self.signals) + places[:-1]
        for name in SIGNALS:
            found = [candle.columns.get(name) for candle in candles]
            self.pairs[name] = [0 if values is None else address(values) for values in found]
            self.pairs[f"{name}_kind"] = [
                reading.MISSING if values is None else _KINDS[values.dtype] for values in found
            ]
        self.desk[0]["pairs"] = address(self.pairs)
        entry_point(reading.read_columns)(address(self.desk))


class _Columns(dict[str, NDArray[Any]]):
    """Columns of closed trades, each put together from its blocks when somebody asks for it."""

    def __init__(self, closed: NDArray[np.int64], count: int) -> None:
        super().__init__()
        self._blocks, self._count = closed[: -(-count // BLOCK)], count

    def __missing__(self, name: str) -> NDArray[Any]:
        column = self._blocks[:, _FILED[name]].reshape(-1)[: self._count]
        self[name] = column if TRADE[name] == np.int64 else column.view(np.float64)
        return self[name]


def numbers(table: NDArray[Any]) -> tuple[memoryview, memoryview]:
    """A table of eight-byte fields as floats and as integers."""
    return memoryview(table.view(np.float64)), memoryview(table.view(np.int64))  # type: ignore[arg-type]


def pair_of(x: float) -> tuple[float, float]:
    """The decimal a float prints as, as a pair of floats."""
    lost = decimal.Decimal(repr(float(x))) - decimal.Decimal(x)
    return float(x), float(lost)
