"""What a callback may not ask yet: other trades and the wallet, while a simulation runs.

Problem: freqtrade keeps open trades, closed trades and the wallet in objects that any callback can read. Here
the simulation has them and those objects stay empty, so an answer from them would be wrong without a sound.

Not here: the trade a callback is shown. Invariant: inside `alone` every such question raises a `UserError`;
outside everything is as freqtrade left it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from freqtrade.persistence import LocalTrade
from freqtrade.strategy.interface import IStrategy

from parley.errors import UserError

_TRADES = (
    "bt_trades", "bt_trades_open", "bt_trades_open_pp", "bt_open_open_trade_count", "bt_total_profit",
)  # fmt: skip


class _NotKept:
    """Stands where freqtrade keeps something; looking at it is refused."""

    def __init__(self, strategy: IStrategy, what: str) -> None:
        self._told = (
            f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__}): a callback asks for {what},"
            " which is not supported yet"
        )

    def _refuse(self, *_: Any) -> NoReturn:
        raise UserError(self._told)

    __iter__ = __len__ = __getitem__ = __contains__ = __bool__ = __int__ = __float__ = __repr__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()


@contextmanager
def alone(strategy: IStrategy) -> Iterator[None]:
    """Refuse questions about trades and wallet until the end of the block."""
    kept = {name: getattr(LocalTrade, name) for name in _TRADES}
    wallets = strategy.wallets
    for name in _TRADES:
        setattr(
            LocalTrade, name, _NotKept(strategy, "trades of the run (Trade.get_trades_proxy and the like)")
        )
    strategy.wallets = _NotKept(strategy, "the wallet (self.wallets)")
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(LocalTrade, name, value)
        strategy.wallets = wallets
