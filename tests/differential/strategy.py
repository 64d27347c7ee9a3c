"""The strategy of a case as the text of a file, as a freqtrade user would write it.

Problem: hooks have to be real methods, since freqtrade asks whether a class overrides them, and the same file
has to load on both sides. So a case's strategy is written out as source text.

Not here: which hooks a case has and what they answer (`hooks`).

Invariant: the file needs nothing but freqtrade, and what its methods answer follows from their arguments.
"""

from __future__ import annotations

from pathlib import Path

from tests.differential.case import CARRIED, SIGNAL_COLUMNS, STRATEGY, Case

_HEAD = """
import zlib
from datetime import timedelta

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy


class {name}(IStrategy):
    INTERFACE_VERSION = 3
{attributes}
    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        return self.carry(dataframe, ("enter_long", "enter_short", "enter_tag"))

    def populate_exit_trend(self, dataframe, metadata):
        return self.carry(dataframe, ("exit_long", "exit_short", "exit_tag"))

    def carry(self, dataframe, names):
        for name in names:
            if "{carried}" + name in dataframe.columns:
                dataframe[name] = dataframe["{carried}" + name]
        return dataframe
"""

# A number in [0, 1) that follows from the arguments, so that both sides draw the same one, and a view of the
# trade that goes into it, so that one wrong bit in what a hook sees changes what the hook answers.
_DRAWING = """
    def draw(self, *parts):
        # Whole numbers as floats: freqtrade gives 0 here and 0.0 there, which no sane strategy tells apart.
        told = [float(part) if type(part) is int else part for part in (*parts, *self.asked())]
        return zlib.crc32(repr(told).encode()) / 2.0**32

    def seen(self, trade):
        return (
            trade.pair, trade.open_rate, trade.amount, trade.stake_amount, trade.leverage, trade.is_short,
            trade.stop_loss, trade.initial_stop_loss, trade.max_rate, trade.min_rate, trade.enter_tag,
            trade.nr_of_successful_entries, trade.nr_of_successful_exits, trade.has_open_orders,
            trade.open_date_utc.timestamp(), trade.date_last_filled_utc.timestamp(), trade.liquidation_price,
        )

    def asked(self):
        # What the strategy learns of the rest of the run: other trades, the wallet, other pairs' candles.
        asks = getattr(self, "asks", ())
        return [answer for name in asks for answer in getattr(self, "asked_" + name)()]

    def asked_trades(self):
        opened, closed = Trade.get_trades_proxy(is_open=True), Trade.get_trades_proxy(is_open=False)
        told = [len(opened), len(closed), Trade.get_open_trade_count(), len(Trade.get_open_trades())]
        told += [Trade.total_open_trades_stakes(), Trade.get_total_closed_profit()]
        for trade in opened[-4:]:
            told += [*self.seen(trade), trade.realized_profit, trade.is_open, len(trade.orders)]
            told += [order.side + order.status for order in trade.orders]
        for trade in closed[-2:]:
            told += [*self.seen(trade), trade.id, trade.close_rate, trade.close_profit]
            told += [trade.close_profit_abs, trade.close_date_utc.timestamp(), trade.exit_reason]
            told += [trade.is_open, trade.funding_fees, trade.realized_profit, trade.open_trade_value]
            told += [trade.is_stop_loss_trailing, len(trade.orders)]
            told += [trade.exit_order_status, trade.fee_open_cost, trade.calc_profit_ratio(trade.open_rate)]
        if closed:
            since = closed[-1].close_date - timedelta(hours=2)
            told.append(len(Trade.get_trades_proxy(pair=closed[-1].pair)))
            told.append(len(Trade.get_trades_proxy(pair=closed[-1].pair, is_open=False, close_date=since)))
            told.append(len(Trade.get_trades_proxy(open_date=since)))
        return told

    def asked_wallet(self):
        wallets = self.wallets
        told = [wallets.get_total_stake_amount(), wallets.get_available_stake_amount()]
        told += [wallets.get_starting_balance(), wallets.get_collateral()]
        for currency in ("USDT", *("COIN" + str(number) for number in range(6))):
            told += [wallets.get_free(currency), wallets.get_used(currency), wallets.get_total(currency)]
        for pair in self.config["exchange"]["pair_whitelist"]:
            told.append(wallets.get_owned(pair, pair.split("/")[0]))
        told += sorted(wallets.get_all_balances())
        for pair, position in wallets.get_all_positions().items():
            told += [pair, position.position, position.leverage, position.collateral, position.side]
        return told

    def asked_candles(self):
        told = []
        for pair in self.config["exchange"]["pair_whitelist"]:
            candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
            told.append(len(candles))
            if len(candles):
                told += [candles["date"].iloc[-1].timestamp(), float(candles["close"].iloc[-1])]
        return told

    def asked_update(self):
        # Takes a snapshot of the wallet where freqtrade would not have taken one.
        self.wallets.update()
        return []
"""


def source_text(case: Case) -> str:
    """Return the text of the strategy file of `case`."""
    attributes = "".join(f"    {name} = {value!r}\n" for name, value in case.attributes.items())
    attributes = attributes.replace("= inf\n", "= float('inf')\n")
    head = _HEAD.format(name=STRATEGY, attributes=attributes, carried=CARRIED)
    return head + (_DRAWING if case.hooks else "") + "".join(case.hooks.values())


def write_strategy(case: Case, folder: Path) -> Path:
    """Write the strategy file of `case` into `folder` and return its path."""
    path = folder / f"{STRATEGY}.py"
    path.write_text(source_text(case))
    return path


def carried(case: Case, pair: str) -> dict[str, str]:
    """Return how the signal columns of `pair` are called in the candles that the strategy is handed."""
    return {name: CARRIED + name for name in SIGNAL_COLUMNS if name in case.frames[pair].columns}
