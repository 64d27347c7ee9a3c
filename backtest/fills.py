"""What a trade with several fills is: freqtrade's sums over its filled orders, with numbers of any size.

Not here: a trade of one entry and at most one exit, which never leaves compiled code (`parley.kernels.book`).

Invariant: every sum runs over the fills in their order, as freqtrade's recalculation does.
"""

import math
from typing import Any, Final

from backtest.order_view import NEXT, ORDER_FIELDS, WIDTH
from backtest.tables import Tables
from backtest.trade_view import FIELDS, TRADE_WIDTH
from parley.kernels import codes, exact

_IS_ENTRY: Final = ORDER_FIELDS["is_entry"]
_IS_OPEN: Final = ORDER_FIELDS["is_open"]
_FILLED: Final = ORDER_FIELDS["filled"]
_PRICE: Final = ORDER_FIELDS["price"]
_FUNDING: Final = ORDER_FIELDS["funding_fee"]


class Recalculation:
    """Answers `ASK_RECALCULATE`: the trade's slot and whether it closes are in the box.

    The answer there is whether its stop has to follow.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._box: Any = tables.box
        self._fee = tables.settings.fee
        self._futures = tables.settings.trading_mode == "futures"
        self._ticks = tables.ticks[["way", "precision", "mode"]].tolist()

    def renew(self) -> None:
        """Write what the trade's fills make of it."""
        box, tables = self._box, self._tables
        trade = int(box[0]) * TRADE_WIDTH
        closing = box[1] != 0.0
        ints = tables.trade_ints
        floats: Any = tables.trade_floats
        fills, paid = self._fills(ints[trade + FIELDS["first_order"]])
        sums = exact.position(fills)
        short, leverage = ints[trade + FIELDS["is_short"]] != 0, floats[trade + FIELDS["leverage"]]
        fee = -self._fee if short else self._fee
        staked = profits = ratio = profit = 0.0
        all_funding = funding = 0.0
        for fill, fees, average in zip(fills, paid, sums.averages, strict=True):
            funding += fees
            all_funding += fees
            if fill.is_entry:
                staked += exact.value_with_fee(fill.amount, fill.price, fee)
                continue
            closed = exact.value_with_fee(fill.amount, fill.price, -fee)
            if self._futures:
                closed = closed - funding if short else closed + funding
            opened = exact.value_with_fee(fill.amount, average, fee)
            profit = round(opened - closed if short else closed - opened, 8)
            profits += profit
            if staked > 0:
                ratio = (profits / staked) * leverage
            funding = 0.0
        floats[trade + FIELDS["funding_fees"]] = all_funding
        floats[trade + FIELDS["max_stake_amount"]] = sums.max_stake / leverage
        if ratio:
            floats[trade + FIELDS["close_profit"]] = ratio
            floats[trade + FIELDS["realized_profit"]] = profits
            floats[trade + FIELDS["close_profit_abs"]] = profit
        amount = self._cut(ints[trade + FIELDS["pair"]], sums.amount)
        box[0] = 0.0
        if amount > 0.0:
            price = self._rounded(ints[trade + FIELDS["tick"]], sums.price)
            floats[trade + FIELDS["open_rate"]] = price
            floats[trade + FIELDS["amount"]] = amount
            floats[trade + FIELDS["stake_amount"]] = sums.stake / leverage
            floats[trade + FIELDS["open_trade_value"]] = exact.value_with_fee(amount, price, fee)
            # The kernel moves the stop along.
            box[0] = 1.0
        elif closing and staked > 0:
            floats[trade + FIELDS["close_profit"]] = (profits / staked) * leverage
            floats[trade + FIELDS["close_profit_abs"]] = profits

    def _fills(self, order: int) -> tuple[list[exact.Fill], list[float]]:
        """The filled orders of a chain, and the funding fees each of them settled."""
        ints, floats = self._tables.order_ints, self._tables.order_floats
        fills, paid = [], []
        while order >= 0:
            place = order * WIDTH
            amount = floats[place + _FILLED]
            if amount and not ints[place + _IS_OPEN]:
                fills.append(exact.Fill(ints[place + _IS_ENTRY] != 0, amount, floats[place + _PRICE]))
                fees = floats[place + _FUNDING]
                paid.append(0.0 if math.isnan(fees) else fees)
            order = ints[place + NEXT]
        return fills, paid

    def _rounded(self, tick: int, price: float) -> float:
        way, precision, mode = self._ticks[tick]
        if way == codes.UNROUNDED:
            return price
        return exact.price_to_precision(price, precision, mode, exact.ROUND)

    def _cut(self, at: int, amount: float) -> float:
        spec = self._tables.specs[at]
        if spec.amount_precision is None:
            return amount
        mode = self._tables.settings.precision_mode
        size = spec.contract_size
        if not size or size == 1:
            return exact.amount_to_precision(amount, spec.amount_precision, mode)
        contracts = exact.amount_to_precision(exact.quotient(amount, size), spec.amount_precision, mode)
        return exact.value_with_fee(contracts, size, 0.0)
