"""A trade as a strategy's callback sees it: freqtrade's names, read from the kernel's tables.

freqtrade hands callbacks a deep copy, so whatever they write is gone afterwards. A view is made for one call:
reading goes to the table, writing stays in the view. One that a strategy keeps becomes a copy (`keep`).
Custom data lives with the simulation, by trade id (`shown`).

Not here: which callback is called (`callbacks`), trades a callback looks up itself (`surroundings`).

Invariant: values are Python's own floats, ints, strings and datetimes, None where freqtrade has None.
"""

from datetime import datetime
from typing import Any, NamedTuple

from backtest.order_view import NEXT, WIDTH, Derived, Field, Likeness, OrderView, moment
from backtest.tables import Tables, numbers
from parley.kernels import codes, exact
from parley.kernels.records import TRADE

FIELDS = {name: place for place, name in enumerate(TRADE.names or ())}
TRADE_WIDTH = len(FIELDS)
_PAIR = FIELDS["pair"]
_LEVERAGE = FIELDS["leverage"]


def _trade(name: str, kind: str = "float") -> Any:
    return Field(FIELDS, name, kind)


class Profit(NamedTuple):
    """freqtrade's `ProfitStruct`."""

    profit_abs: float
    profit_ratio: float
    total_profit: float
    total_profit_ratio: float


class _Numbers(Likeness):
    """The numbers of an open trade's record."""

    id = _trade("id", "int")
    is_open = _trade("is_open", "bool")
    is_short = _trade("is_short", "bool")
    open_rate = _trade("open_rate")
    open_rate_requested = _trade("open_rate_requested")
    close_rate = _trade("close_rate", "float?")
    amount = _trade("amount", "float0")
    amount_requested = _trade("amount_requested")
    stake_amount = _trade("stake_amount")
    max_stake_amount = _trade("max_stake_amount")
    open_trade_value = _trade("open_trade_value")
    close_profit = _trade("close_profit", "float?")
    close_profit_abs = _trade("close_profit_abs", "float?")
    realized_profit = _trade("realized_profit", "float0")
    stop_loss = _trade("stop_loss")
    stop_loss_pct = _trade("stop_loss_pct")
    initial_stop_loss = _trade("initial_stop_loss")
    initial_stop_loss_pct = _trade("initial_stop_loss_pct", "float?")
    is_stop_loss_trailing = _trade("trailing", "bool")
    liquidation_price = _trade("liquidation", "float?")
    funding_fees = _trade("funding_fees")
    funding_fee_running = _trade("funding_running", "float?")
    open_date = _trade("open_date", "date")
    open_date_utc = _trade("open_date", "utc")
    close_date = _trade("close_date", "date")
    close_date_utc = _trade("close_date", "utc")
    nr_of_successful_entries = _trade("filled_entries", "int")
    nr_of_successful_exits = _trade("filled_exits", "int")
    interest_rate = 0.0
    close_rate_requested = None
    fee_open_currency = fee_close_currency = ""
    fee_close_cost = None
    # Cancelled orders are taken out of the trade, so none is ever counted.
    fully_canceled_entry_order_count = canceled_exit_order_count = 0
    strategy = ""
    use_db = False
    record_version = 2
    has_open_sl_orders = False
    stoploss_last_update_utc = None

    def __init__(self, tables: Any, slot: int) -> None:
        self._tables = tables
        self._floats = tables.trade_floats
        self._ints = tables.trade_ints
        self._at = slot * TRADE_WIDTH

    def _int(self, name: str) -> int:
        return int(self._ints[self._at + FIELDS[name]])

    @Derived
    def leverage(self) -> float:
        times: float = self._floats[self._at + _LEVERAGE]
        answered: float = self._tables.shown.leverages.get(times, times)
        return answered


class _Market(_Numbers):
    """What it trades, and under which rules."""

    @property
    def _pair_at(self) -> int:
        return self._int("pair")

    @property
    def pair(self) -> str:
        # Asked for at every candle by whoever wraps a callback that is not told the pair.
        name: str = self._tables.specs[self._ints[self._at + _PAIR]].pair
        return name

    @property
    def base_currency(self) -> str:
        return self._tables.specs[self._int("pair")].base_currency

    safe_base_currency = base_currency

    @property
    def stake_currency(self) -> str:
        return self._tables.settings.stake_currency

    safe_quote_currency = stake_currency

    @property
    def exchange(self) -> str:
        return self._tables.settings.exchange

    @property
    def trading_mode(self) -> Any:
        return self._tables.shown.trading_mode

    @property
    def timeframe(self) -> int:
        return self._tables.settings.timeframe_ms // 60_000

    @Derived
    def fee_open(self) -> float:
        return self._tables.settings.fee

    fee_close = fee_open

    @property
    def amount_precision(self) -> float | None:
        return self._tables.specs[self._int("pair")].amount_precision

    @property
    def price_precision(self) -> float | None:
        tick = self._tables.ticks[self._int("tick")]
        return None if tick["way"] == codes.UNROUNDED else float(tick["precision"])

    @property
    def precision_mode_price(self) -> int:
        return int(self._tables.ticks[self._int("tick")]["mode"])

    @property
    def contract_size(self) -> float | None:
        return self._tables.specs[self._int("pair")].contract_size

    @property
    def precision_mode(self) -> int:
        return self._tables.settings.precision_mode


class _Words(_Market):
    """Its sides, tags and state."""

    @property
    def entry_side(self) -> str:
        return "sell" if self.is_short else "buy"

    @property
    def exit_side(self) -> str:
        return "buy" if self.is_short else "sell"

    @property
    def trade_direction(self) -> str:
        return "short" if self.is_short else "long"

    @Derived
    def enter_tag(self) -> str | None:
        return self._tables.words.entry_tag(self._int("pair"), self._int("enter_tag"))

    buy_tag = enter_tag

    @Derived
    def exit_reason(self) -> str:
        return self._tables.words.reason(self._int("pair"), self._int("exit_reason"), self._int("exit_row"))

    sell_reason = exit_reason

    @Derived
    def max_rate(self) -> float | None:
        return self._floats[self._at + FIELDS["max_rate"]] or None

    @Derived
    def min_rate(self) -> float | None:
        return self._floats[self._at + FIELDS["min_rate"]] or None

    @property
    def exit_order_status(self) -> str:
        return "" if self.is_open else "closed"

    @property
    def fee_open_cost(self) -> float | None:
        return self.fee_open * float(self.max_stake_amount) if self.amount else None

    @property
    def has_no_leverage(self) -> bool:
        return self.leverage == 1.0 and not self.is_short

    @property
    def borrowed(self) -> float:
        if self.has_no_leverage:
            return 0.0
        if not self.is_short:
            return float((self.amount * self.open_rate) * ((self.leverage - 1) / self.leverage))
        return float(self.amount)

    @property
    def stoploss_or_liquidation(self) -> float:
        if self.liquidation_price:
            pick = min if self.is_short else max
            return float(pick(self.stop_loss, self.liquidation_price))
        return float(self.stop_loss)

    @property
    def has_open_position(self) -> bool:
        return bool(self.amount > 0)

    @property
    def has_open_orders(self) -> bool:
        return self._int("open_orders") > 0


class _Orders(_Words):
    """Its orders."""

    @property
    def orders(self) -> list[OrderView]:
        found = []
        ints = self._tables.order_ints
        place = self._int("first_order")
        while place >= 0:
            found.append(OrderView(self, place))
            place = ints[place * WIDTH + NEXT]
        return found

    @property
    def open_orders(self) -> list[OrderView]:
        return [order for order in self.orders if order.ft_is_open]

    @property
    def open_sl_orders(self) -> list[OrderView]:
        return []

    sl_orders = open_sl_orders

    @property
    def open_orders_ids(self) -> list[str]:
        return [order.order_id for order in self.open_orders]

    def select_filled_orders(self, order_side: str | None = None) -> list[OrderView]:
        return [
            order
            for order in self.orders
            if (order_side is None or order.ft_order_side == order_side)
            and not order.ft_is_open
            and order.filled
        ]

    def select_filled_or_open_orders(self) -> list[OrderView]:
        return [order for order in self.orders if order.ft_is_open or order.filled]

    def select_order(
        self, order_side: str | None = None, is_open: bool | None = None, only_filled: bool = False
    ) -> OrderView | None:
        for order in reversed(self.orders):
            if order_side and order.ft_order_side != order_side:
                continue
            if is_open is not None and order.ft_is_open != is_open:
                continue
            if is_open is False and only_filled and not order.filled:
                continue
            return order
        return None

    def select_order_by_order_id(self, order_id: str) -> OrderView | None:
        return next((order for order in self.orders if order.order_id == order_id), None)

    @property
    def nr_of_successful_buys(self) -> int:
        return len(self.select_filled_orders("buy"))

    @property
    def nr_of_successful_sells(self) -> int:
        return len(self.select_filled_orders("sell"))

    @property
    def date_last_filled_utc(self) -> datetime:
        return moment(max(self._int("open_date"), self._int("last_filled")))

    @property
    def date_entry_fill_utc(self) -> datetime | None:
        dates = [order.order_filled_utc for order in self.select_filled_orders(self.entry_side)]
        return min((date for date in dates if date), default=None)


class _Profit(_Orders):
    """What it earns at a rate."""

    def calc_close_trade_value(self, rate: float, amount: float | None = None) -> float:
        fee = self.fee_close if self.is_short else -self.fee_close
        value = exact.value_with_fee(amount or self.amount, rate, fee)
        if self.trading_mode != "futures":
            return value
        return float(value - self.funding_fees if self.is_short else value + self.funding_fees)

    def _open_value(self, amount: float, rate: float) -> float:
        return exact.value_with_fee(amount, rate, -self.fee_open if self.is_short else self.fee_open)

    def calc_profit_ratio(
        self, rate: float, amount: float | None = None, open_rate: float | None = None
    ) -> float:
        closed = self.calc_close_trade_value(rate, amount)
        if amount is None and open_rate is None:
            opened = self.open_trade_value
        else:
            opened = self._open_value(amount or self.amount, open_rate or self.open_rate)
        return self._ratio(opened, closed)

    def _ratio(self, opened: float, closed: float) -> float:
        if opened == 0.0:
            return 0.0
        share = 1 - (closed / opened) if self.is_short else (closed / opened) - 1
        return round(share * self.leverage, 8)

    def calculate_profit(
        self, rate: float, amount: float | None = None, open_rate: float | None = None
    ) -> Profit:
        closed = self.calc_close_trade_value(rate, amount)
        if amount is None or open_rate is None:
            opened = self.open_trade_value
        else:
            opened = self._open_value(amount, open_rate)
        profit = opened - closed if self.is_short else closed - opened
        total = profit + self.realized_profit
        share = 0.0
        if self.max_stake_amount:
            most = self.max_stake_amount * (1 - self.fee_open if self.is_short else 1 + self.fee_open)
            share = round(total / most, 8)
        return Profit(round(profit, 8), self._ratio(opened, closed), round(total, 8), share)

    def calc_profit(self, rate: float, amount: float | None = None, open_rate: float | None = None) -> float:
        return self.calculate_profit(rate, amount, open_rate).profit_abs

    def calc_close_rate_for_roi(self, target_roi: float) -> float:
        opened = self._open_value(self.amount, self.open_rate)
        at_zero = self.calc_close_trade_value(0.0)
        slope = self.calc_close_trade_value(1.0) - at_zero
        side = -1.0 if self.is_short else 1.0
        adjusted = 1.0 + ((float(target_roi) / self.leverage) / side)
        return float((adjusted * opened - at_zero) / slope)

    @property
    def safe_close_rate(self) -> float:
        return self.close_rate or 0.0


# Static questions of freqtrade's class, which whoever binds the callbacks answers there.
_ASKED = frozenset(("get_trades_proxy", "get_open_trades", "get_open_trade_count"))


class TradeView(_Profit):
    """One trade, for one call of a callback."""

    @property
    def _kind(self) -> type | None:
        kind: type | None = self._tables.shown.trade_class
        return kind

    def __getattr__(self, name: str) -> Any:
        if name in _ASKED:
            return getattr(self._kind, name)
        return super().__getattr__(name)

    def set_custom_data(self, key: str, value: Any) -> None:
        self._tables.shown.notes.set(self.id, key, value)

    def get_custom_data(self, key: str, default: Any = None) -> Any:
        return self._tables.shown.notes.get(self.id, key, default)

    def delete_custom_data(self, key: str | None = None) -> None:
        self._tables.shown.notes.delete(self.id, key)

    def keep(self) -> None:
        """Become a copy, for a strategy that goes on looking at this trade as it is now."""
        tables = self._tables
        self._tables = copy = _Copied(tables, self._at // TRADE_WIDTH)
        self._floats, self._ints, self._at = copy.trade_floats, copy.trade_ints, 0


class _Copied:
    """The tables a kept view reads: one trade and its orders."""

    def __init__(self, tables: Tables, slot: int) -> None:
        self.settings, self.specs, self.words = tables.settings, tables.specs, tables.words
        self.ticks, self.shown = tables.ticks, tables.shown
        trade = tables.trades[slot : slot + 1].copy()
        places, place = [], int(trade[0]["first_order"])
        while place >= 0:
            places.append(place)
            place = int(tables.orders[place]["next"])
        orders = tables.orders[places]
        orders["next"] = [*range(1, len(places)), -1][: len(places)]
        trade["first_order"] = 0 if places else -1
        trade["last_order"] = len(places) - 1
        self.trade_floats, self.trade_ints = numbers(trade)
        self.order_floats, self.order_ints = numbers(orders)
