"""One freqtrade strategy that trades as candles and prices come: freqtrade's live loop without an exchange.

Problem: `freqtradebot.process` runs every few seconds: look at new candles, leave what is to be left, enter
what is to be entered. Here it runs when somebody says what the market did, and its orders are wishes:
`orders` until `filled` and `done` say what became of each.

Not here: how a strategy gets here (`opening`), the table where its wishes are negotiated
(`runtime.freqtrade_agent`). Invariant: a trade holds what was filled for it, never what was wished; a pair
whose candle, price or callback cannot be relied on is not entered.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, NamedTuple

from freqtrade.exceptions import StrategyError
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.persistence import LocalTrade, Order
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper
from pandas import DataFrame

from freqtrade_bridge.overrides import overridden_hooks
from freqtrade_bridge.paper.bot import Bot
from freqtrade_bridge.paper.clock import market_time
from freqtrade_bridge.paper.guard import CallbackRefused, Guard
from freqtrade_bridge.paper.register import CHANGING, Register
from freqtrade_bridge.paper.saved import Saved, load_register, load_trade, save_register, save_trade
from freqtrade_bridge.paper.venue import Fills, HeldWallets, Quote, Venue
from freqtrade_bridge.paper.window import Candle, Window

STOPS: Final = frozenset({"stop_loss", "trailing_stop_loss", "liquidation", "emergency_exit"})
ADDED: Final = "pos_adjust"  # why more is bought, where the strategy has no tag for it: freqtrade's word
KEPT: Final = 64  # entries that were given up, in case that a fill of one comes late


class Wanted(NamedTuple):
    """An order freqtrade would have sent: ``amount`` in base at ``rate``, its tag or reason in ``why``.

    ``is_own``: the rate is the strategy's, not the market's; ``is_stop``: it must get out.
    """

    id: str
    pair: str
    side: str
    amount: float
    rate: float
    why: str
    leaves: bool
    is_own: bool
    is_stop: bool
    t_candle_ms: int


class Trader:
    """A strategy with its candles, trades and wallet; `opening.open_trader` makes one."""

    def __init__(
        self, bot: Bot, venue: Venue, window: Window, register: Register, guard: Guard,
        wallets: HeldWallets, startup: int,
    ) -> None:  # fmt: skip
        self.window = window
        self.register = register
        self.guard = guard
        self._bot, self._venue = bot, venue
        self._strategy = bot.strategy
        self._wallets = wallets
        self._has_loop_start = "bot_loop_start" in overridden_hooks(bot.strategy)
        self._timeframe = str(bot.config["timeframe"])
        self._startup = startup
        self._fills: dict[str, Fills] = {}
        self._gone: dict[str, LocalTrade] = {}
        self._is_analysed = False  # whether the frames are those of the candles, after a start

    @property
    def name(self) -> str:
        """The strategy's class."""
        return self._strategy.get_strategy_name()

    @property
    def horizon_ms(self) -> int:
        """How long its trades last: the median so far, a dozen candles before there are any."""
        lasted = sorted(
            (trade.close_date_utc - trade.open_date_utc).total_seconds()
            for trade in self.register.closed
            if trade.close_date_utc is not None
        )
        step = timeframe_to_seconds(self._timeframe)
        return int(1000 * max(step, lasted[len(lasted) // 2] if lasted else 12 * step))

    def see(
        self,
        now_ms: int,
        quotes: Mapping[str, Quote],
        candles: Iterable[Candle],
        held: Mapping[str, float] | None = None,
    ) -> tuple[str, ...]:
        """Take what the market did and let the strategy act on it; returns a line for each fault of its code.

        ``quotes`` are the books that changed; an unusable one leaves its pair without a price.
        ``held`` is what the account has for it by currency, where that is known: no exit asks for more.
        """
        candles = tuple(candles)
        if not candles and not self.register.open and not self._has_loop_start:
            self._venue.see(quotes)  # nothing to look at: this is most of what a market says
            return self.guard.take()
        with self._at(now_ms):
            self._wallets.held = dict(held or {})  # type: ignore[misc]
            self._venue.see(quotes)
            fresh, doubted = self._take(candles, now_ms)
            begun = self._begin()
            known = tuple(self.window.pairs) if not self._is_analysed else tuple(fresh)
            analysed = self._analyse(known)
            self._is_analysed = True
            for trade in tuple(self.register.open):
                if trade.pair in self._venue.quotes and not trade.has_open_orders:
                    self._bot.leave(trade)
            if begun:
                self._adjust((fresh - doubted) & analysed)
            ready = [
                pair
                for pair in self._bot.pairlists.whitelist
                if pair in fresh and pair not in doubted and pair in analysed and pair in self._venue.quotes
                and self.window.count(pair) > self._startup
            ]  # fmt: skip
            if begun and ready:
                self._bot.enter(ready)
        return self.guard.take()

    def follow(self, now_ms: int, quotes: Mapping[str, Quote], candles: Iterable[Candle]) -> None:
        """Take what the market did while nobody could have acted on it: no analysis, no wish."""
        with self._at(now_ms):
            self._venue.see(quotes)
            self._take(candles, now_ms)
            self._is_analysed = False

    def orders(self) -> list[Wanted]:
        """Return what it wants and has not heard the end of."""
        return [
            self._wanted(trade, order) for trade in self.register.open for order in trade.open_orders
        ]  # fmt: skip

    def filled(
        self, order_id: str, trade_id: str, amount: float, price: float, fee: float, currency: str, t_ms: int
    ) -> bool:
        """Take a fill of an order, also one that comes late or twice; whether the order is known."""
        found = self._find(order_id)
        if found is None:
            return False
        trade, order = found
        fills = self._fills.setdefault(order_id, _fills_of(trade, order))
        if trade_id in fills.trades or not (amount > 0.0 and price > 0.0):
            return True
        fills.trades.append(trade_id)
        fills.amount += amount
        fills.cost += amount * price
        if price not in fills.prices:
            fills.prices.append(price)
        fills.last_ms = max(fills.last_ms, t_ms)
        if fee:
            fills.fees[currency] = fills.fees.get(currency, 0.0) + fee
        return True

    def done(self, order_id: str, now_ms: int) -> None:
        """Take that nothing more will become of an order: what was filled counts, the rest is canceled."""
        found = self._find(order_id)
        if found is None:
            return
        trade, order = found
        fills = self._fills.get(order_id) or _fills_of(trade, order)
        is_full = fills.amount >= fills.order[2] * (1 - 1e-12)
        moment = _moment(fills.last_ms or now_ms)
        with self._at(int(moment.timestamp() * 1000)):
            if order_id in self._gone and fills.amount:
                self._gone.pop(order_id)
                trade.session.add(trade)  # type: ignore[attr-defined]
            ended = self._venue.closing(order_id, "closed" if is_full else "canceled", fills, moment)
            with self.guard.booking():
                self._bot.settle(trade, order_id, ended)
            self._bot.wallets.update()
        if not fills.amount and order.ft_order_side == trade.entry_side and not self._knows(trade):
            self._gone[order_id] = trade
            while len(self._gone) > KEPT:
                self._gone.pop(next(iter(self._gone)))

    def leave_for_another(self, pair: str, amount: float, why: str, now_ms: int) -> str:
        """Note that somebody else sells what a trade holds; returns the order's id, "" without a trade."""
        trade = next((each for each in self.register.open if each.pair == pair and each.amount > 0), None)
        if trade is None:
            return ""
        with self._at(now_ms):
            made = self._venue.order(
                pair=pair, ordertype="market", side=trade.exit_side, amount=amount, rate=trade.open_rate
            )
            order = Order.parse_from_ccxt_object(made, pair, trade.exit_side, amount, trade.open_rate)
            order.ft_order_tag = trade.exit_reason = why
            trade.orders.append(order)
        return str(made["id"])

    def save(self, now_ms: int) -> Saved:
        """Return all that a restart needs, as plain JSON values."""
        self._forget()
        with self._at(now_ms):
            return {
                "register": save_register(self.register, _moment(now_ms)),
                "told": self.window.told(),
                "quotes": {pair: list(quote) for pair, quote in self._venue.quotes.items()},
                "orders": self._venue.orders,
                "own": sorted(self._venue.own),
                "fills": {order_id: vars(fills) for order_id, fills in self._fills.items()},
                "gone": {order_id: save_trade(trade) for order_id, trade in self._gone.items()},
            }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Become what `save` saw; this trader must be new."""
        load_register(self.register, saved["register"])
        self.window.take_told(saved["told"])
        self._venue.see({pair: Quote(*map(_levels, sides)) for pair, sides in saved["quotes"].items()})
        self._venue.orders = saved["orders"]
        self._venue.own = set(saved["own"])
        for order_id, each in saved["fills"].items():
            self._fills[order_id] = fills = Fills(tuple(each["order"]))
            vars(fills).update({**each, "order": tuple(each["order"])})
        self._gone = {order_id: load_trade(each) for order_id, each in saved["gone"].items()}
        self._is_analysed = False

    @contextmanager
    def _at(self, now_ms: int) -> Iterator[None]:
        self._venue.moment_ms = now_ms
        with self.register.opened(), market_time(_moment(now_ms)):
            yield

    def _take(self, candles: Iterable[Candle], now_ms: int) -> tuple[set[str], set[str]]:
        fresh: set[str] = set()
        doubted: set[str] = set()
        for candle in candles:
            verdict = self.window.add(candle, now_ms)
            if verdict in ("", "gap"):
                fresh.add(candle.pair)
            if verdict not in ("", "repeated"):
                doubted.add(candle.pair)
        return fresh, doubted

    def _begin(self) -> bool:
        """Call what freqtrade calls at the beginning of a loop; whether it went well."""
        if not self._has_loop_start:
            return True
        faults = len(self.guard.faults)
        strategy_safe_wrapper(self._strategy.bot_loop_start, supress_error=True)(
            current_time=_moment(self._venue.moment_ms)
        )
        return len(self.guard.faults) == faults

    def _analyse(self, pairs: tuple[str, ...]) -> set[str]:
        """Let the strategy look at the newest candles; returns the pairs for which that went well."""
        for pair in pairs:
            self._venue.set_candles(pair, self._timeframe, self.window.frame(pair))
        for pair, timeframe in self.window.longer:
            if pair in pairs:
                self._venue.set_candles(pair, timeframe, self.window.frame(pair, timeframe))
        return {pair for pair in pairs if self.window.count(pair) and self._look(pair)}

    def _look(self, pair: str) -> bool:
        provider, strategy = self._bot.dataprovider, self._strategy
        try:
            strategy._analyze_ticker_internal(provider.ohlcv(pair, self._timeframe), {"pair": pair})
        except StrategyError as error:
            cause = error.__cause__ or error
            if self.guard.errors == "default":
                # As freqtrade: the frame of the candle before stays, and with it what it says.
                self.guard.default("analysis", cause)
                return True
            self.guard.note(pair, "analysis", cause)
        except CallbackRefused:
            pass
        else:
            return True
        kind = self._bot.config["candle_type_def"]
        provider._set_cached_df(pair, self._timeframe, DataFrame(), kind)
        return False

    def _adjust(self, pairs: set[str]) -> None:
        """Let the strategy make positions larger or smaller, where a candle has closed as it should."""
        if not self._strategy.position_adjustment_enable:
            return
        for trade in tuple(self.register.open):
            if (
                trade.pair in pairs and trade.pair in self._venue.quotes
                and trade.amount > 0 and not trade.has_open_orders
            ):  # fmt: skip
                self._bot.adjust(trade)

    def _find(self, order_id: str) -> tuple[LocalTrade, Order] | None:
        for trade in self._findable():
            order = trade.select_order_by_order_id(order_id)
            if order is not None:
                return trade, order
        return None

    def _findable(self) -> Iterator[LocalTrade]:
        """Return the trades of whose orders one may hear."""
        return chain(self.register.open, self.register.closed[-CHANGING:], self._gone.values())

    def _forget(self) -> None:
        """Let go of what was noted of orders of which nobody hears any more."""
        known = {order.order_id for trade in self._findable() for order in trade.orders}
        self._fills = {order_id: fills for order_id, fills in self._fills.items() if order_id in known}
        self._venue.own &= known

    def _knows(self, trade: LocalTrade) -> bool:
        return any(trade is each for each in (*self.register.open, *self.register.closed))

    def _wanted(self, trade: LocalTrade, order: Order) -> Wanted:
        leaves = order.ft_order_side == trade.exit_side
        why = order.ft_order_tag or (trade.exit_reason if leaves else _entered(trade)) or ""
        return Wanted(
            id=order.order_id, pair=trade.pair, side=order.ft_order_side, amount=order.safe_amount,
            rate=order.ft_price, why=why, leaves=leaves, is_own=order.order_id in self._venue.own,
            is_stop=leaves and why in STOPS, t_candle_ms=self.window.last_ms(trade.pair),
        )  # fmt: skip


def _entered(trade: LocalTrade) -> str | None:
    return ADDED if trade.nr_of_successful_entries else trade.enter_tag


def _fills_of(trade: LocalTrade, order: Order) -> Fills:
    return Fills((trade.pair, order.ft_order_side, order.safe_amount, order.ft_price, order.order_type or ""))


def _moment(t_ms: int) -> datetime:
    return datetime.fromtimestamp(t_ms / 1000, UTC)


def _levels(side: Iterable[Iterable[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(price), float(amount)) for price, amount in side)
