"""Answers what a callback asks besides its trade: freqtrade's static questions about trades, and the wallet.

Problem: freqtrade keeps open trades, closed trades and the wallet in objects that any callback can read. Here
the simulation has them, so while it runs freqtrade's own questions (`Trade.get_trades_proxy` and the like,
`strategy.wallets`) are answered from it.

Not here: where the answers lie (`backtest.surroundings`), candles of other pairs (`provider`), freqtrade's
lists and locks, which are not answered for (`kept_state`). Invariant:
inside `asking` every answer is the simulation's of that moment, and what cannot be answered raises a
`UserError`; outside everything is as freqtrade left it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from freqtrade.enums import TradingMode
from freqtrade.persistence import LocalTrade, Order, Trade
from freqtrade.strategy.interface import IStrategy
from freqtrade.wallets import PositionWallet, Wallet, Wallets

from freqtrade_bridge.provider import OfflineDataProvider
from parley.errors import UserError

_ASKED: Final = (
    (Trade, "get_trades_proxy"), (LocalTrade, "get_trades_proxy"), (LocalTrade, "get_open_trade_count"),
    (Trade, "get_total_closed_profit"),
)  # fmt: skip


class Shown(Protocol):
    """How a simulation shows a strategy what it has."""

    def as_of(self, trade: type, order: type, trading_mode: Any) -> None: ...


class Simulation(Protocol):
    """What a running simulation answers; trades and holdings by freqtrade's names of their fields."""

    asking: Callable[[], str | None]

    @property
    def shown(self) -> Shown: ...

    def open_count(self) -> int: ...
    def open_trades(self) -> Sequence[Any]: ...
    def closed_trades(self, pair: str | None = None) -> Sequence[Any]: ...
    def closed_profit(self) -> float: ...
    def purse(self) -> tuple[float, float, float]: ...
    def holdings(self) -> Sequence[Any]: ...
    def renew_wallet(self) -> None: ...
    def rows_seen(self, pair: str) -> int: ...


class RunWallets(Wallets):
    """freqtrade's wallets over the simulation's; sums and rules on top of them are freqtrade's own."""

    def __init__(self, wallets: Wallets, simulation: Simulation) -> None:
        self._config, self._is_backtest = wallets._config, True
        self._exchange = wallets._exchange
        self._stake_currency, self._start_cap = wallets._stake_currency, wallets._start_cap
        self._simulation = simulation

    def update(self, require_update: bool = True) -> None:
        """Take a snapshot; the simulation goes on with it, as freqtrade's would."""
        self._simulation.renew_wallet()

    def get_free(self, currency: str) -> float:
        """Return what is free of a currency."""
        return self._of(currency).free or 0

    def get_used(self, currency: str) -> float:
        """Return what is bound by orders, or for futures by positions."""
        return self._of(currency).used or 0

    def get_total(self, currency: str) -> float:
        """Return all that is there of a currency."""
        return self._of(currency).total or 0

    def _of(self, currency: str) -> Wallet:
        if currency == self._stake_currency:
            return Wallet(currency, *self._simulation.purse())
        return self._wallets.get(currency) or Wallet(currency)

    @property  # type: ignore[misc]
    def _wallets(self) -> dict[str, Wallet]:  # type: ignore[override]
        found: dict[str, Wallet] = {}
        if self._config.get("trading_mode", "spot") != "futures":
            for held in self._simulation.holdings():
                own = self._start_cap.get(held.base_currency, 0)
                found[held.base_currency] = Wallet(
                    held.base_currency, own + held.amount - held.pending, held.pending, held.amount + own
                )
        found[self._stake_currency] = Wallet(self._stake_currency, *self._simulation.purse())
        for currency, amount in self._start_cap.items():
            found.setdefault(currency, Wallet(currency, amount, 0, amount))
        return found

    @property  # type: ignore[misc]
    def _positions(self) -> dict[str, PositionWallet]:  # type: ignore[override]
        if self._config.get("trading_mode", "spot") != "futures":
            return {}
        return {
            held.pair: PositionWallet(
                held.pair, position=held.amount, leverage=held.leverage, collateral=held.stake,
                side="short" if held.is_short else "long",
            )
            for held in self._simulation.holdings()
        }  # fmt: skip


@contextmanager
def asking(strategy: IStrategy, provider: OfflineDataProvider) -> Iterator[Callable[[Simulation], None]]:
    """Answer the strategy's questions until the end of the block; yields what takes the simulation.

    Several strategies may be asking at a time, each in a thread of its own.
    """
    wallets = strategy.wallets
    who = f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__})"
    before = vars(_HERE).copy()

    def opened(simulation: Simulation) -> None:
        simulation.asking = lambda: provider.pair
        mode = TradingMode(strategy.config.get("trading_mode", "spot"))
        simulation.shown.as_of(LocalTrade, Order, mode)
        provider.attend(simulation)
        if wallets is not None:
            strategy.wallets = RunWallets(wallets, simulation)
        _HERE.simulation = simulation

    _HERE.who, _HERE.simulation = who, None
    strategy.wallets = _NotKept(f"{who}: a callback asks for the wallet of a run that nobody opened to it")
    try:
        with _answered():
            yield opened
    finally:
        provider.attend(None)
        vars(_HERE).clear()
        vars(_HERE).update(before)
        strategy.wallets = wallets


# Whose callbacks run in this thread, and in which simulation.
_HERE = threading.local()
_LOCK = threading.Lock()
# For every open block what freqtrade had when it opened; the first one's is put back by whoever ends last.
_OPEN: list[list[tuple[type, str, Any]]] = []


@contextmanager
def _answered() -> Iterator[None]:
    with _LOCK:
        _OPEN.append([(owner, name, vars(owner)[name]) for owner, name in _ASKED])
        for owner, name in _ASKED:
            setattr(owner, name, _ANSWERS[name])
    try:
        yield
    finally:
        with _LOCK:
            for owner, name, value in _OPEN.pop():
                setattr(owner, name, value)


def _simulation() -> Simulation:
    simulation: Simulation | None = getattr(_HERE, "simulation", None)
    if simulation is None:
        who = getattr(_HERE, "who", "a strategy")
        raise UserError(f"{who}: a callback asks for trades of a run that nobody opened to it")
    return simulation


def _get_trades_proxy(
    *,
    pair: str | None = None,
    is_open: bool | None = None,
    open_date: datetime | None = None,
    close_date: datetime | None = None,
) -> list[Any]:
    simulation = _simulation()
    found: list[Any] = []
    if not is_open:
        found += simulation.closed_trades(pair or None)
    if is_open or is_open is None:
        found += [trade for trade in simulation.open_trades() if not pair or trade.pair == pair]
    if open_date:
        found = [trade for trade in found if trade.open_date > open_date]
    if close_date:
        found = [trade for trade in found if trade.close_date and trade.close_date > close_date]
    return found


class _NotKept:
    """Stands where a run has not said yet what is there; looking at it is refused."""

    def __init__(self, told: str) -> None:
        self._told = told

    def _refuse(self, *_: Any) -> NoReturn:
        raise UserError(self._told)

    __iter__ = __len__ = __getitem__ = __contains__ = __bool__ = __int__ = __float__ = __repr__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()


_ANSWERS: Final[dict[str, Any]] = {
    "get_trades_proxy": staticmethod(_get_trades_proxy),
    "get_open_trade_count": staticmethod(lambda: _simulation().open_count()),
    "get_total_closed_profit": staticmethod(lambda: _simulation().closed_profit() or 0),
}
