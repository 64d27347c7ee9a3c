"""Answers what a running kernel asks: exact arithmetic, protections, the strategy's callbacks.

Invariant: an exception never crosses the kernel. It is kept, the kernel is told to stop, and `run` raises it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from backtest.callbacks import Callbacks
from backtest.locks import LockBook
from backtest.protections import Closed, Protections
from backtest.result import Rejected
from backtest.tables import Tables
from parley.kernels import codes, exact


class Driver:
    """The other end of a kernel's port."""

    def __init__(self, tables: Tables, locks: LockBook, hooks: Mapping[str, Callable[..., Any]]) -> None:
        self.tables = tables
        self.error: BaseException | None = None
        self.locks = locks
        settings = tables.settings
        self._protections = Protections(settings.protections, locks, tables.starting_balance())
        self._reasons: list[str] = []
        self.rejected: list[Rejected] = []
        locks.watch(self._write_locks)
        self._answers: dict[int, Callable[[Any], None]] = {
            codes.ASK_VALUE: self._value,
            codes.ASK_STAKE: self._stake,
            codes.ASK_QUOTIENT: self._quotient,
            codes.ASK_AVERAGE: self._average,
            codes.ASK_AMOUNT_PRECISION: self._amount_precision,
            codes.ASK_PRICE_PRECISION: self._price_precision,
            codes.ASK_RECALCULATE: self._recalculate,
            codes.ASK_PROTECTIONS: self._protect,
            codes.ASK_REJECTED: self._list_rejected,
            **Callbacks(tables, hooks).answers(),
        }

    def answer(self, code: int) -> int:
        """Called by the kernel."""
        if self.error is not None:
            return 1
        try:
            self._answers[code](self.tables.box)
        except BaseException as error:  # noqa: BLE001 - it is raised again outside the kernel
            self.error = error
            self.tables.desk[0]["status"] = codes.STOPPED
            return 1
        return 0

    def _value(self, box: Any) -> None:
        box[0] = exact.value_with_fee(float(box[0]), float(box[1]), float(box[2]))

    def _stake(self, box: Any) -> None:
        box[0] = exact.stake_of(float(box[0]), float(box[1]), float(box[2]))

    def _quotient(self, box: Any) -> None:
        box[0] = exact.quotient(float(box[0]), float(box[1]))

    def _average(self, box: Any) -> None:
        box[0] = exact.average_price(float(box[0]), float(box[1]))

    def _amount_precision(self, box: Any) -> None:
        precision = self.tables.specs[int(box[1])].amount_precision
        if precision is not None:
            box[0] = exact.amount_to_precision(float(box[0]), precision, self.tables.settings.precision_mode)

    def _price_precision(self, box: Any) -> None:
        box[0] = exact.price_to_precision(float(box[0]), float(box[1]), int(box[2]), int(box[3]))

    def _write_locks(self) -> None:
        for pair, spec in zip(self.tables.pairs, self.tables.specs, strict=True):
            pair["lock_long"] = self.locks.locked_until(spec.pair, "long")
            pair["lock_short"] = self.locks.locked_until(spec.pair, "short")

    def _protect(self, box: Any) -> None:
        tables = self.tables
        trades = tables.closed_trades()
        for k in range(len(self._reasons), len(trades["pair"])):
            at, code, row = (int(trades[name][k]) for name in ("pair", "exit_reason", "exit_row"))
            self._reasons.append(tables.words.reason(at, code, row))
        at = int(box[0])
        closed = Closed(trades, self._reasons)
        self._protections.look(closed, at, tables.specs[at].pair, int(box[1]), box[2] != 0.0)

    def _list_rejected(self, box: Any) -> None:
        at = int(box[0])
        tag = self.tables.words.entry_tag(at, int(box[2]))
        self.rejected.append(Rejected(self.tables.specs[at].pair, int(box[1]), tag))

    def _recalculate(self, box: Any) -> None:
        """What a trade with several fills is; freqtrade's sums with numbers of any size."""
        tables = self.tables
        trade = tables.trades[int(box[0])]
        closing = box[1] != 0.0
        orders = []
        at = int(trade["first_order"])
        while at >= 0:
            order = tables.orders[at]
            if not order["is_open"] and order["filled"]:
                orders.append(order)
            at = int(order["next"])
        fills = [exact.Fill(bool(o["is_entry"]), float(o["filled"]), float(o["price"])) for o in orders]
        sums = exact.position(fills)
        short, leverage = bool(trade["is_short"]), float(trade["leverage"])
        fee = float(tables.desk[0]["fee"])
        open_fee = -fee if short else fee
        futures = bool(tables.desk[0]["futures"])
        total_stake = profits = ratio = profit = 0.0
        all_funding = funding = 0.0
        price = 0.0
        for order, fill, average in zip(orders, fills, sums.averages, strict=True):
            paid = 0.0 if math.isnan(order["funding_fee"]) else float(order["funding_fee"])
            funding += paid
            all_funding += paid
            if fill.is_entry:
                price = fill.price
                total_stake += exact.value_with_fee(fill.amount, price, open_fee)
                continue
            closed = exact.value_with_fee(fill.amount, fill.price, -open_fee)
            if futures:
                closed = closed - funding if short else closed + funding
            opened = exact.value_with_fee(fill.amount, average, open_fee)
            profit = round(opened - closed if short else closed - opened, 8)
            profits += profit
            if total_stake > 0:
                ratio = (profits / total_stake) * leverage
            funding = 0.0
        trade["funding_fees"] = all_funding
        trade["max_stake_amount"] = sums.max_stake / leverage
        if ratio:
            trade["close_profit"] = ratio
            trade["realized_profit"] = profits
            trade["close_profit_abs"] = profit
        box[0] = 0.0
        self._settle(trade, sums, closing, total_stake, profits, open_fee, box)

    def _settle(
        self,
        trade: Any,
        sums: exact.Position,
        closing: bool,
        staked: float,
        profits: float,
        fee: float,
        box: Any,
    ) -> None:
        tables = self.tables
        amount = self._cut(int(trade["pair"]), sums.amount)
        leverage = float(trade["leverage"])
        if amount > 0.0:
            tick = tables.ticks[trade["tick"]]
            price = sums.price
            if tick["way"] != codes.UNROUNDED:
                price = exact.price_to_precision(
                    price, float(tick["precision"]), int(tick["mode"]), exact.ROUND
                )
            trade["open_rate"] = price
            trade["amount"] = amount
            trade["stake_amount"] = sums.stake / leverage
            trade["open_trade_value"] = exact.value_with_fee(amount, price, fee)
            # The kernel moves the stop along.
            box[0] = 1.0
        elif closing and staked > 0:
            trade["close_profit"] = (profits / staked) * leverage
            trade["close_profit_abs"] = profits

    def _cut(self, at: int, amount: float) -> float:
        spec = self.tables.specs[at]
        if spec.amount_precision is None:
            return amount
        mode = self.tables.settings.precision_mode
        size = spec.contract_size
        if not size or size == 1:
            return exact.amount_to_precision(amount, spec.amount_precision, mode)
        contracts = exact.amount_to_precision(exact.quotient(amount, size), spec.amount_precision, mode)
        return exact.value_with_fee(contracts, size, 0.0)
