"""Notice a strategy that is simulated by other rules than those it began with.

Problem: freqtrade's loop reads a strategy's attributes anew at every candle and calls methods of `IStrategy`
that a strategy may replace. The simulation reads both once, before its first candle. A strategy that turns
its stop while it runs, or has its own idea of when the ROI table is met, would silently get other trades.

Not here: what is done about it (`own_loop`). Invariant: inside `steady` no setting the simulation has read
becomes another without `Moved`; afterwards the strategy's class and tables are what they were.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Never, Self

from freqtrade.config_schema.config_schema import CONF_SCHEMA
from freqtrade.strategy.interface import IStrategy

# What freqtrade's loop reads of the strategy at every candle.
SETTINGS: Final = frozenset({
    "minimal_roi", "stoploss", "trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset",
    "trailing_only_offset_is_reached", "use_custom_stoploss", "use_custom_roi", "use_exit_signal",
    "exit_profit_only", "exit_profit_offset", "ignore_roi_if_entry_signal",
    "ignore_buying_expired_candle_after", "order_types", "order_time_in_force", "max_open_trades",
    "position_adjustment_enable", "max_entry_position_adjustment",
})  # fmt: skip
_TABLES: Final = ("minimal_roi", "order_types", "order_time_in_force")
# What it calls besides the callbacks, each with freqtrade's own rules in it.
RULES: Final = (
    "should_exit", "min_roi_reached", "min_roi_reached_entry", "ft_stoploss_reached", "ft_stoploss_adjust",
    "ft_check_timed_out", "_adjust_trade_position_internal", "ignore_expired_candle", "is_pair_locked",
    "lock_pair", "unlock_pair", "unlock_reason",
)  # fmt: skip


# Keys of the configuration that may be read while it trades; a strategy keeps things of its own in others.
_KNOWN: Final = frozenset(CONF_SCHEMA["properties"])


class Moved(BaseException):
    """A strategy changed a setting while it ran; no `Exception`, since a callback's would be forgiven."""


def replaced_rules(strategy: IStrategy) -> tuple[str, ...]:
    """Name the methods of freqtrade's loop that the strategy has replaced by its own."""
    return tuple(
        name
        for name in RULES
        if name in vars(strategy) or getattr(type(strategy), name) is not getattr(IStrategy, name)
    )


@contextmanager
def steady(strategy: IStrategy) -> Iterator[None]:
    """Raise `Moved` as soon as the strategy changes one of the settings its simulation goes by.

    Raises
    ------
    Moved
        Also at the end, where the strategy's own code has caught the first one.
    """
    moved: list[str] = []

    def note(name: str) -> Never:
        moved.append(name)
        raise Moved(name)

    kind = type(strategy)
    own = vars(kind).get("__setattr__")
    write: Any = kind.__setattr__

    def watch(self: IStrategy, name: str, value: Any) -> None:
        if name in SETTINGS and self is strategy and not _same(getattr(self, name, None), value):
            note(name)
        write(self, name, value)

    tables = {name: getattr(strategy, name) for name in _TABLES}
    config = strategy.config
    timeouts = config.get("unfilledtimeout")
    for name, table in tables.items():
        setattr(strategy, name, _Watched(table, name, note))
    if timeouts is not None:
        config["unfilledtimeout"] = _Watched(timeouts, "unfilledtimeout", note)
    strategy.config = watching = _Configuration(config, "configuration", note)
    kind.__setattr__ = watch  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        if own is None:
            del kind.__setattr__
        else:
            kind.__setattr__ = own
        for name, table in tables.items():
            setattr(strategy, name, table)
        if timeouts is not None:
            config["unfilledtimeout"] = timeouts
        if strategy.config is watching:
            config.update({name: value for name, value in watching.items() if name not in _KNOWN})
        else:
            moved.append("configuration")
        strategy.config = config
    if moved:
        raise Moved(moved[0])


def _same(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # an array, say; nothing a setting may be
        return False


class _Watched(dict[Any, Any]):
    """A table that tells of a change; copies of it are ordinary."""

    def __init__(self, table: dict[Any, Any], name: str, note: Callable[[str], Never]) -> None:
        super().__init__(table)
        self._name, self._note = name, note

    def __setitem__(self, key: Any, value: Any) -> None:
        if key not in self or not _same(self[key], value):
            self._note(self._name)

    def __delitem__(self, key: Any) -> None:
        self._note(self._name)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc,override]
        self.update(other)
        return self

    def update(self, *tables: Any, **values: Any) -> None:
        for key, value in dict(*tables, **values).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self._note(self._name)
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        if key in self or not default:
            self._note(self._name)
        return default[0]

    def popitem(self) -> Never:
        self._note(self._name)

    def clear(self) -> None:
        if self:
            self._note(self._name)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Configuration(_Watched):
    """The configuration, in which a strategy may keep what freqtrade does not know."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in _KNOWN:
            super().__setitem__(key, value)
        else:
            dict.__setitem__(self, key, value)

    def __delitem__(self, key: Any) -> None:
        if key in _KNOWN:
            super().__delitem__(key)
        dict.__delitem__(self, key)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        if key in _KNOWN:
            return super().pop(key, *default)
        return dict.pop(self, key, *default)
