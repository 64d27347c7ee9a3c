"""freqtrade's own bot without its database, its exchange and its messengers: the rules of a trade.

Problem: what freqtrade asks a strategy, in which order, and what follows from the answers is written down
in one place, its bot. So that nothing of it is written twice, this is that bot with other surroundings.

Not here: when it is asked (`trader`), prices and orders (`venue`), where trades are kept (`register`).
Invariant: a callback that was refused ends what was done for its pair, and for no other.
"""

import logging
from collections.abc import Sequence
from threading import Lock
from typing import Any

from freqtrade.constants import Config
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import State
from freqtrade.exceptions import DependencyException, OperationalException
from freqtrade.exchange import Exchange
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.mixins import LoggingMixin
from freqtrade.persistence import LocalTrade
from freqtrade.plugins.pairlistmanager import PairListManager
from freqtrade.plugins.protectionmanager import ProtectionManager
from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.paper.guard import CallbackRefused

log = logging.getLogger(__name__)


class _Silent:
    """Stands for freqtrade's messengers."""

    def send_msg(self, *_: Any) -> None:
        """Say nothing."""


class Bot(FreqtradeBot):
    """freqtrade's bot with a strategy that was started; made inside its register and its market time."""

    def __init__(
        self, config: Config, exchange: Exchange, strategy: IStrategy, provider: DataProvider,
        pairlists: PairListManager,
    ) -> None:  # fmt: skip
        # Not freqtrade's own constructor, which opens a database and asks the exchange.
        self.config, self.exchange, self.strategy = config, exchange, strategy
        self.state = State.RUNNING
        self.dataprovider, self.pairlists = provider, pairlists
        if strategy.wallets is None:
            raise OperationalException("a strategy needs its wallets before it is traded")
        self.wallets = strategy.wallets
        self.trading_mode, self.margin_mode = exchange.trading_mode, exchange.margin_mode
        self.active_pair_whitelist: list[str] = []
        self.rpc = _Silent()  # type: ignore[assignment]
        self.protections = ProtectionManager(config, strategy.protections)
        self._exit_lock = Lock()
        self._exit_reason_cache: Any = {}
        LoggingMixin.__init__(self, log, 3600)

    def enter(self, pairs: Sequence[str]) -> None:
        """Let freqtrade look for entries in these pairs, as far as it has slots left."""
        self.active_pair_whitelist = list(pairs)
        free = self.get_free_open_trades()
        if free > 0:
            self.wallets.update()
            self.enter_positions(free)

    def leave(self, trade: LocalTrade) -> None:
        """Let freqtrade look whether it leaves a trade."""
        self._exit_reason_cache.clear()
        try:
            self.exit_positions([trade])  # type: ignore[list-item]
        except CallbackRefused:
            log.debug("exit_refused pair=%s", trade.pair)

    def adjust(self, trade: LocalTrade) -> None:
        """Let freqtrade ask whether a position becomes more or less."""
        self.wallets.update()
        try:
            self.check_and_call_adjust_trade_position(trade)  # type: ignore[arg-type]
        except CallbackRefused:
            log.debug("adjustment_refused pair=%s", trade.pair)
        except DependencyException as error:
            log.debug("adjustment_impossible pair=%s error=%s", trade.pair, error)

    def create_trade(self, pair: str) -> bool:
        """Enter one pair, unless the strategy's own code fails."""
        try:
            return bool(super().create_trade(pair))
        except CallbackRefused:
            return False

    def settle(self, trade: LocalTrade, order_id: str, ended: dict[str, Any]) -> None:
        """Book how an order ended, as freqtrade does when its exchange tells it."""
        order = trade.select_order_by_order_id(order_id)
        if order is None:
            raise DependencyException(f"there is no order {order_id} of {trade}")
        if order.ft_order_side == trade.entry_side:
            # freqtrade looks at the fee of a trade's first entry only; what it takes of the coin bought is
            # not held, whichever entry it was.
            trade.fee_open_currency = None
        if ended["filled"]:
            self.update_trade_state(trade, order_id, ended)  # type: ignore[arg-type]
            if ended["status"] != "closed" and order.ft_order_side == trade.exit_side and trade.is_open:
                trade.exit_reason = trade.close_rate = trade.close_rate_requested = None
        elif order.ft_order_side == trade.entry_side:
            self.update_trade_state(trade, order_id, ended)  # type: ignore[arg-type]
            self.handle_cancel_enter(trade, ended, order, "")  # type: ignore[arg-type]
        else:
            self.handle_cancel_exit(trade, ended, order, "")  # type: ignore[arg-type]

    def handle_onexchange_order(self, trade: Any) -> bool:
        """Nothing else is known of an order than what was told."""
        return False

    def _notify_enter(self, *_: Any, **__: Any) -> None:
        pass

    def _notify_enter_cancel(self, *_: Any, **__: Any) -> None:
        pass

    def _notify_exit(self, *_: Any, **__: Any) -> None:
        pass

    def _notify_exit_cancel(self, *_: Any, **__: Any) -> None:
        pass
