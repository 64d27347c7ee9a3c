"""Notice a callback that reaches into what freqtrade keeps in its classes while it backtests.

Problem: pair locks, trades and custom data lie in class attributes, which a strategy can read and write past
its own methods (`PairLocks.lock_pair`, `LocalTrade.bt_trades`). The simulation keeps them elsewhere: what is
written there would be lost, and what is read there would be empty.

Not here: questions that are answered (`asking`), what is done about it (`own_loop`). Invariant: inside
`watched` the simulation's thread cannot use these attributes without `Reached`, by whichever name it came to
them: imports, subclasses and functions taken off a class earlier all end here. Another thread gets what
freqtrade has, and since it may be the strategy's, every simulation then under way ends with `Reached` too.
Afterwards the classes are as they were.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from freqtrade.persistence import CustomDataWrapper, LocalTrade, PairLocks, Trade

# Written at the start of every run, also of one in another thread, and read by what is watched anyway.
_SETTINGS: Final = ("use_db", "timeframe")
_KEPT: Final[tuple[tuple[type, str], ...]] = (
    *((PairLocks, name) for name in vars(PairLocks) if name[0] != "_" and name not in _SETTINGS),
    *(
        (CustomDataWrapper, name)
        for name in vars(CustomDataWrapper)
        if name.endswith("custom_data") and name[0] != "_"
    ),
    *(
        (LocalTrade, name)
        for name in (
            "bt_trades", "bt_trades_open", "bt_trades_open_pp", "bt_open_open_trade_count", "bt_total_profit",
        )
    ),
)  # fmt: skip


class Reached(BaseException):
    """A callback used freqtrade's own state; no `Exception`, since a callback's would be forgiven."""


# What the simulation of this thread reached; none where no simulation runs. `unwatched`: whose use is known.
_HERE = threading.local()
_LOCK = threading.Lock()
# What each simulation under way reached, by the identity of the list.
_OPEN: dict[int, list[str]] = {}


class _Place:
    """Stands in a class where freqtrade keeps something."""

    def __init__(self, owner: type, name: str) -> None:
        self.what, self.genuine = f"{owner.__name__}.{name}", vars(owner)[name]

    def __get__(self, instance: Any, kind: type | None = None) -> Any:
        noted: list[str] | None = getattr(_HERE, "noted", None)
        if noted is not None:
            noted.append(self.what)
            raise Reached(self.what)
        if not getattr(_HERE, "unwatched", False):
            for each in tuple(_OPEN.values()):
                each.append(self.what)
        bind = getattr(type(self.genuine), "__get__", None)
        return self.genuine if bind is None else bind(self.genuine, instance, kind)


_PLACES: dict[tuple[type, str], _Place] = {}


@contextmanager
def watched() -> Iterator[None]:
    """Raise `Reached` as soon as this thread uses freqtrade's own state.

    Raises
    ------
    Reached
        Also at the end, where the strategy's own code has caught the first one or only wrote.
    """
    noted: list[str] = []
    with _LOCK:
        if not _OPEN:
            _PLACES.update({(owner, name): _Place(owner, name) for owner, name in _KEPT})
            _put(_PLACES)
        _OPEN[id(noted)] = noted
    before = _here(noted=noted, unwatched=False)
    try:
        yield
    except Exception:
        if noted:
            raise Reached(noted[0]) from None
        raise
    finally:
        vars(_HERE).update(before)
        with _LOCK:
            noted += [
                place.what for (owner, name), place in _PLACES.items() if vars(owner)[name] is not place
            ]
            del _OPEN[id(noted)]
            if not _OPEN:
                _put({key: place.genuine for key, place in _PLACES.items()})
                _PLACES.clear()
    if noted:
        raise Reached(noted[0])


@contextmanager
def unwatched() -> Iterator[None]:
    """Let this thread use freqtrade's own state: what runs here is freqtrade, and no simulation."""
    before = _here(noted=None, unwatched=True)
    try:
        yield
    finally:
        vars(_HERE).update(before)


def reset() -> None:
    """Forget the locks, trades and custom data of the strategy before, as freqtrade does before each one."""
    with _LOCK:
        if not _OPEN:
            PairLocks.reset_locks()
            Trade.reset_trades()
            CustomDataWrapper.reset_custom_data()
            return
        # Another thread simulates: what stands in the classes is watched, what stood there may go.
        for place in _PLACES.values():
            if isinstance(place.genuine, list):
                place.genuine = []


def is_used() -> bool:
    """Say whether anything was left there since `reset`."""
    with unwatched():
        return bool(PairLocks.locks or CustomDataWrapper.custom_data or LocalTrade.bt_trades_open)


def _here(**now: Any) -> dict[str, Any]:
    before = {name: getattr(_HERE, name, None) for name in now}
    vars(_HERE).update(now)
    return before


def _put(values: Mapping[tuple[type, str], Any]) -> None:
    for (owner, name), value in values.items():
        setattr(owner, name, value)
