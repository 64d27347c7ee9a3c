"""The strategy's callbacks at the kernel's questions: freqtrade's arguments in, numbers back.

Errors of a callback are its wrapper's business (`freqtrade_bridge.hooks`): here an exception stops the run.

Invariant: every argument is what freqtrade passes at the same point, to the last bit.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from sys import getrefcount
from typing import Any

from backtest import answers
from backtest.answers import PLAIN, number
from backtest.order_view import OrderView, moment
from backtest.tables import Tables
from backtest.trade_view import TradeView
from parley.kernels import codes, exact
from parley.kernels.records import TRADE

_NAN = float("nan")


class Granted(float):
    """An answer to `confirm_trade_entry` beyond freqtrade's: enter, but with this amount at most."""


_LONGEST_REASON = 255
_PAIR = (TRADE.names or ()).index("pair")
_WIDTH = len(TRADE.names or ())
# Who knows a view after a call: the caller's name and the counting itself.
_OURS = 2
Hook = Callable[..., Any]
_MOST_MOMENTS = 4096


class _Moments(dict[float, datetime]):
    """Times as freqtrade passes them, by ms: all open trades are asked about at the same one."""

    def __init__(self, zone: tzinfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, ms: float) -> datetime:
        if len(self) >= _MOST_MOMENTS:
            self.clear()
        found = self[ms] = moment(ms, self._zone)
        return found


class Callbacks:
    """Answers for the hooks a strategy has; the others are never asked."""

    def __init__(self, tables: Tables, hooks: Mapping[str, Hook]) -> None:
        self.tables = tables
        self.hooks = hooks
        self.words = tables.words
        self._box: Any = tables.box
        self._moments = _Moments(tables.shown.zone)
        settings = tables.settings
        self._names = [spec.pair for spec in tables.specs]
        self._no_least = [spec.cost_min is None and spec.amount_min is None for spec in tables.specs]
        self._amends = settings.amend_last_stake_amount
        self._entry_type = settings.entry_order_type
        self._exit_type = settings.exit_order_type
        self._entry_force = settings.entry_time_in_force
        self._exit_force = settings.exit_time_in_force
        self._custom_stoploss = hooks.get("custom_stoploss")
        self._custom_exit = hooks.get("custom_exit")
        self._adjust_position = hooks.get("adjust_trade_position")

    def answers(self) -> dict[int, Callable[[], None]]:
        """What to call for which question."""
        return {
            codes.ASK_BOT_LOOP_START: self.bot_loop_start,
            codes.ASK_CUSTOM_ENTRY_PRICE: self.entry_price,
            codes.ASK_CUSTOM_EXIT_PRICE: self.exit_price,
            codes.ASK_CUSTOM_STAKE: self.stake,
            codes.ASK_LEVERAGE: self.leverage,
            codes.ASK_CONFIRM_ENTRY: self.confirm_entry,
            codes.ASK_CONFIRM_EXIT: self.confirm_exit,
            codes.ASK_CUSTOM_STOPLOSS: self.stoploss,
            codes.ASK_CUSTOM_EXIT: self.custom_exit,
            codes.ASK_CUSTOM_ROI: self.roi,
            codes.ASK_ADJUST_POSITION: self.adjust_position,
            codes.ASK_ADJUST_ORDER_PRICE: self.order_price,
            codes.ASK_ENTRY_TIMEOUT: self.entry_timeout,
            codes.ASK_EXIT_TIMEOUT: self.exit_timeout,
            codes.ASK_ORDER_FILLED: self.order_filled,
        }

    def _trade(self) -> TradeView:
        return TradeView(self.tables, int(self._box[0]))

    def _order(self) -> OrderView:
        # Of no copy: freqtrade passes the order itself, which is none of the copied trade's.
        return OrderView(self._trade(), int(self._box[1]))

    def _pair_at(self) -> int:
        return int(self.tables.trade_ints[int(self._box[0]) * _WIDTH + _PAIR])

    def bot_loop_start(self) -> None:
        box = self._box
        self.hooks["bot_loop_start"](current_time=self._moments[box[0]])

    def entry_price(self) -> None:
        box = self._box
        at, slot = int(box[0]), int(box[5])
        trade = TradeView(self.tables, slot) if slot >= 0 else None
        rate = self.hooks["custom_entry_price"](
            pair=self._names[at],
            trade=trade,
            current_time=self._moments[box[2]],
            proposed_rate=box[3],
            entry_tag=self.words.entry_tag(at, int(box[6])),
            side="short" if box[4] else "long",
        )
        if trade is not None and getrefcount(trade) > _OURS:
            trade.keep()
        box[0] = answers.price(rate, "custom_entry_price")

    def exit_price(self) -> None:
        box = self._box
        at = self._pair_at()
        trade = self._trade()
        rate = self.hooks["custom_exit_price"](
            pair=self._names[at],
            trade=trade,
            current_time=self._moments[box[1]],
            proposed_rate=box[2],
            current_profit=box[3],
            exit_tag=self.words.reason(at, int(box[4]), int(box[5])),
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        box[0] = answers.price(rate, "custom_exit_price")

    def leverage(self) -> None:
        box = self._box
        at, most = int(box[0]), box[5]
        times = self.hooks["leverage"](
            pair=self._names[at],
            current_time=self._moments[box[2]],
            current_rate=box[3],
            proposed_leverage=1.0,
            max_leverage=most,
            side="short" if box[4] else "long",
            entry_tag=self.words.entry_tag(at, int(box[6])),
        )
        box[0] = answers.leverage(times)
        self.tables.shown.note_leverage(times, most)

    def stake(self) -> None:
        box = self._box
        at = int(box[0])
        stake = self.hooks["custom_stake_amount"](
            pair=self._names[at],
            current_time=self._moments[box[2]],
            current_rate=box[3],
            # Where the last stake is amended to nothing, freqtrade proposes the whole number 0.
            proposed_stake=box[5] or (0 if self._amends else box[5]),
            min_stake=0 if self._no_least[at] else box[7],
            max_stake=box[8],
            leverage=self.tables.shown.leverages.get(box[9], box[9]),
            entry_tag=self.words.entry_tag(at, int(box[6])),
            side="short" if box[4] else "long",
        )
        if stake.__class__ not in PLAIN:
            none = not stake or isinstance(stake, str)
            stake = 0.0 if none else number(stake, "custom_stake_amount", "a stake")
        box[0] = stake

    def confirm_entry(self) -> None:
        box = self._box
        at = int(box[0])
        agreed = self.hooks["confirm_trade_entry"](
            pair=self._names[at],
            order_type=self._entry_type,
            amount=box[5],
            rate=box[3],
            time_in_force=self._entry_force,
            current_time=self._moments[box[2]],
            entry_tag=self.words.entry_tag(at, int(box[6])),
            side="short" if box[4] else "long",
        )
        if isinstance(agreed, Granted):
            box[0] = agreed
        else:
            box[0] = box[5] if agreed else 0.0

    def confirm_exit(self) -> None:
        box = self._box
        at = self._pair_at()
        reason = self.words.reason(at, int(box[4]), int(box[5]))
        trade = self._trade()
        agreed = self.hooks["confirm_trade_exit"](
            pair=self._names[at],
            trade=trade,
            order_type=self._exit_type,
            amount=box[3],
            rate=box[2],
            time_in_force=self._exit_force,
            sell_reason=reason,
            exit_reason=reason,
            current_time=self._moments[box[1]],
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        box[0] = 1.0 if agreed else 0.0

    def stoploss(self) -> None:
        box = self._box
        if self._custom_stoploss is None:
            box[0] = self.tables.settings.stoploss
            return
        tables, slot = self.tables, int(box[0])
        trade = TradeView(tables, slot)
        stop = self._custom_stoploss(
            pair=self._names[tables.trade_ints[slot * _WIDTH + _PAIR]],
            trade=trade,
            current_time=self._moments[box[4]],
            current_rate=box[1],
            current_profit=box[2],
            after_fill=box[3] != 0.0,
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        if stop is None:
            stop = _NAN
        elif stop.__class__ not in PLAIN:
            stop = number(stop, "custom_stoploss", "a ratio or None")
        box[0] = stop

    def custom_exit(self) -> None:
        box = self._box
        tables, slot = self.tables, int(box[0])
        trade = TradeView(tables, slot)
        reason = self._custom_exit(  # type: ignore[misc]  # asked only when the strategy has it
            pair=self._names[tables.trade_ints[slot * _WIDTH + _PAIR]],
            trade=trade,
            current_time=self._moments[box[1]],
            current_rate=box[2],
            current_profit=box[3],
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        if not reason:
            box[0] = codes.NONE
        elif isinstance(reason, str):
            box[0] = self.words.code_of_reason(reason[:_LONGEST_REASON])
        else:
            box[0] = codes.CUSTOM_EXIT

    def roi(self) -> None:
        box = self._box
        hook = self.hooks.get("custom_roi")
        if hook is None:
            box[0] = _NAN
            return
        trade = self._trade()
        ratio = hook(
            pair=trade.pair,
            trade=trade,
            current_time=self._moments[box[1]],
            trade_duration=int(box[2]),
            entry_tag=trade.enter_tag,
            side=trade.trade_direction,
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        if ratio.__class__ not in PLAIN:
            ratio = _NAN if ratio is None else number(ratio, "custom_roi", "a ratio or None")
        box[0] = ratio

    def adjust_position(self) -> None:
        box = self._box
        hook = self._adjust_position
        if hook is None:
            box[0] = 0.0
            return
        tables, slot = self.tables, int(box[0])
        at = tables.trade_ints[slot * _WIDTH + _PAIR]
        least, rate, profit = box[4], box[2], box[3]
        trade = TradeView(tables, slot)
        answer = hook(
            trade=trade,
            current_time=self._moments[box[1]],
            current_rate=rate,
            current_profit=profit,
            min_stake=None if self._no_least[at] else least,
            max_stake=box[5],
            current_entry_rate=rate,
            current_exit_rate=rate,
            current_entry_profit=profit,
            current_exit_profit=profit,
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        if answer is None:
            box[0] = 0.0
            return
        stake, tag = answer, ""
        if isinstance(answer, tuple):
            stake = answer[0] if answer else None
            tag = answer[1] or "" if len(answer) > 1 else ""
        if stake.__class__ not in PLAIN:
            wanted = "a stake, a stake and a tag, or None"
            stake = 0.0 if stake is None else number(stake, "adjust_trade_position", wanted)
        box[0] = stake
        box[1] = self.words.code_of_tag(tag) if tag else -1
        if stake < 0.0:
            trade = TradeView(tables, slot)
            part = exact.multiply(exact.number(stake), exact.number(trade.amount))
            box[2] = abs(exact.to_float(exact.divide(part, exact.number(trade.stake_amount))))
            box[3] = self.words.code_of_reason(tag) if tag else codes.PARTIAL_EXIT

    def order_price(self) -> None:
        box = self._box
        trade = self._trade()
        order = self._order()
        rate = self.hooks["adjust_order_price"](
            trade=trade,
            order=order,
            pair=trade.pair,
            current_time=self._moments[box[2]],
            proposed_rate=box[3],
            current_order_rate=order.price,
            entry_tag=trade.enter_tag,
            side=trade.trade_direction,
            is_entry=order._is_entry,
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        box[0] = answers.price(rate, "adjust_order_price")

    def _timeout(self, name: str) -> None:
        box = self._box
        trade = self._trade()
        late = self.hooks[name](
            pair=trade.pair,
            trade=trade,
            order=self._order(),
            current_time=self._moments[box[2]],
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
        box[0] = 1.0 if late else 0.0

    def entry_timeout(self) -> None:
        self._timeout("check_entry_timeout")

    def exit_timeout(self) -> None:
        self._timeout("check_exit_timeout")

    def order_filled(self) -> None:
        box = self._box
        trade = self._trade()
        self.hooks["order_filled"](
            pair=trade.pair,
            trade=trade,
            order=self._order(),
            current_time=self._moments[box[2]],
        )
        if getrefcount(trade) > _OURS:
            trade.keep()
