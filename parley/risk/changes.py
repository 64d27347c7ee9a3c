"""Changing one limit of a table: which keys there are, what a value may be, and which of two is tighter.

A key is a name of `limits.Limits`, ``breakers.NAME`` or ``tree.NODE.NAME``; a value is a text: a number, true
or false, ``A/B,C/D`` for a list of symbols (``none``: an empty one), ``none`` for a node that says nothing
about something.

Not here: who may change what and how it is recorded (`runtime.limit_switch`, `orchestrator.firm`).

Invariant: pure. A change that is not known to tighten loosens; nobody goes beyond what the platform's node
says, and that node itself is never looser than a run began with.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from parley.errors import ConfigError, nearest

from .limits import Breakers, Limits, limits_of
from .nodes import NodeLimits, level_of

NONE: Final = "none"
PLATFORM: Final = "platform"
_LISTS: Final = ("whitelist", "blacklist")
# Of these more is less risk; of all other numbers less is.
_MORE_IS_TIGHTER: Final = frozenset({
    "min_uninvested", "headroom", "duplicate_window_ms", "breakers.daily_pause_min",
    "breakers.drawdown_pause_min", "breakers.api_pause_min", "breakers.loss_streak_pause_min",
    "breakers.stale_pause_min", "breakers.reject_pause_min", "breakers.pnl_jump_pause_min",
})  # fmt: skip
# What these do depends on the rest: a change counts as loosening, whichever way it goes.
_EITHER_WAY: Final = frozenset({"min_resize", "breakers.lookback_trades", "breakers.reject_window_min"})
_OFF: Final = {"max_book_age_ms": Decimal(0)}  # the value that switches a limit off
_LONGEST: Final = 40  # characters of a number, and digits to either side of its point: see `_plain`
_LONGEST_LIST: Final = 10_000
_PLATFORMS_NAME: Final = {"self_match_prevention": "self_match"}


class LimitBook(msgspec.Struct, frozen=True):
    """The table of a run: as it began, as it is, the number of its last change, and all that was changed."""

    start: Limits
    table: Limits
    n: int = 0
    values: tuple[tuple[str, str], ...] = ()

    @property
    def told(self) -> tuple[int, dict[str, str]]:
        """What whoever follows this table has to know of it."""
        return self.n, dict(self.values)

    def after(self, n: int, key: str, value: str) -> "LimitBook":
        """Return the book after a change.

        Raises
        ------
        ConfigError
            When the change cannot be made; the book stays as it is.
        """
        table = changed(self.table, key, value)
        refuse_beyond_platform(self.start, self.table, key, value)
        values = dict(self.values) | {key: value_of(table, key)}
        return LimitBook(self.start, table, n, tuple(sorted(values.items())))

    def passed(self, n: int) -> "LimitBook":
        """Return the book after a change that was refused."""
        return msgspec.structs.replace(self, n=n)


def keys_of(limits: Limits) -> list[str]:
    """Return every key whose value a table says, sorted; of a tree node those it says something about."""
    found = [name for name in _names(Limits) if name not in ("version", "breakers", "tree")]
    found += [f"breakers.{name}" for name in _names(Breakers)]
    for node, said in limits.tree.items():
        found += [f"tree.{node}.{name}" for name in _names(NodeLimits) if getattr(said, name) is not None]
    return sorted(found)


def value_of(limits: Limits, key: str) -> str:
    """Return the value of a key as a text.

    Raises
    ------
    ConfigError
        When there is no such key, naming the nearest.
    """
    group, node, name = _split(limits, key)
    if group == "tree":
        said = limits.tree.get(node)
        return _text(None if said is None else getattr(said, name))
    return _text(getattr(limits.breakers if group else limits, name))


def changed(limits: Limits, key: str, value: str) -> Limits:
    """Return the table with another value for a key, as its next version.

    Raises
    ------
    ConfigError
        When there is no such key, or the value is none it can have.
    """
    return changed_all(limits, {key: value})


def changed_all(limits: Limits, values: Mapping[str, str]) -> Limits:
    """Return the table with other values for some keys at once, as its next version.

    Raises
    ------
    ConfigError
        As `changed`.
    """
    told: dict[str, object] = msgspec.to_builtins(limits)
    breakers: dict[str, object] = msgspec.to_builtins(limits.breakers)
    tree: dict[str, dict[str, object]] = msgspec.to_builtins(limits.tree)
    for key, value in values.items():
        group, node, name = _split(limits, key)
        place = tree.setdefault(node, {}) if group == "tree" else breakers if group else told
        place[name] = _read(group, name, value.strip())
    return limits_of(told | {"breakers": breakers, "tree": tree, "version": limits.version + 1})


def loosens(limits: Limits, key: str, value: str) -> bool:
    """Whether a change lets more through, or may; one that changes nothing does not.

    Raises
    ------
    ConfigError
        As `changed`.
    """
    before, after = value_of(limits, key), value_of(changed(limits, key, value), key)
    return before != after and not is_tighter(key, after, before)


def is_tighter(key: str, value: str, than: str) -> bool:
    """Whether a value of a key lets less through than another, for certain; both as `value_of` says."""
    name = key.rpartition(".")[2] if key.startswith("tree.") else key
    if name in _EITHER_WAY or value == than:
        return False
    if name in _LISTS:
        return _is_narrower(name, value, than)
    if value == NONE or than == NONE:
        return than == NONE  # a node that says nothing leaves all
    if {value, than} <= {"true", "false"}:
        return value == "true"
    ours, theirs = Decimal(value), Decimal(than)
    if name in _OFF and _OFF[name] in (ours, theirs):
        return theirs == _OFF[name]
    return ours > theirs if name in _MORE_IS_TIGHTER else ours < theirs


def tightest(key: str, values: list[str]) -> str:
    """Return the one of several values that lets least through; where that is not certain, the first."""
    found = values[0]
    for each in values[1:]:
        if is_tighter(key, each, found):
            found = each
    return found


def refuse_beyond_platform(start: Limits, limits: Limits, key: str, value: str) -> None:
    """Refuse a value that lets more through than the platform's node says.

    ``start`` is the table the run began with: the platform's own node is never looser than there.

    Raises
    ------
    ConfigError
        When it would.
    """
    group, node, name = _split(limits, key)
    after = value_of(changed(limits, key, value), key)
    if group == "tree" and node == PLATFORM:
        least = value_of(start, key)
        if after != least and not is_tighter(key, after, least):
            raise ConfigError(
                f"{key} of a running desk can only be tightened: it began with {least}, was to be {after}"
            )
        return
    platform = limits.tree.get(PLATFORM)
    name = _PLATFORMS_NAME.get(name, name)
    if group == "breakers" or platform is None or name not in _names(NodeLimits):
        return
    most = _text(getattr(platform, name))
    if most != NONE and after != most and not is_tighter(key, after, most):
        raise ConfigError(f"{key} must not be beyond the platform's limit {most}, was {after}")


def _is_narrower(name: str, value: str, than: str) -> bool:
    ours, theirs = _symbols(value), _symbols(than)
    if name == "blacklist":
        return ours > theirs
    return not theirs or (bool(ours) and ours < theirs)  # an empty whitelist allows every symbol


def _symbols(text: str) -> set[str]:
    return set() if text == NONE else set(text.split(","))


def _read(group: str, name: str, value: str) -> object:
    if group == "" and name in _LISTS:
        symbols = [] if value == NONE else [each.strip() for each in value.split(",")]
        if len(value) > _LONGEST_LIST or not all(symbols):
            raise ConfigError(
                f"{name} must be symbols such as A/B,C/D in {_LONGEST_LIST} characters, was {value[:60]!r}"
            )
        return symbols
    _plain(name, value)
    return None if group == "tree" and value == NONE else value


def _plain(name: str, value: str) -> None:
    """Refuse a number whose text is small and that is not: 1e-9000000 written out is nine million zeros."""
    try:
        digits = Decimal(value).as_tuple().exponent
    except InvalidOperation:
        digits = 0  # what is no number is refused for being none
    if len(value) > _LONGEST or (isinstance(digits, int) and abs(digits) > _LONGEST):
        raise ConfigError(f"{name} must be a number of at most {_LONGEST} digits, was {value[:60]!r}")


def _text(value: object) -> str:
    match value:
        case None | ():
            return NONE
        case bool():
            return "true" if value else "false"
        case tuple():
            return ",".join(sorted(value))
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _split(limits: Limits, key: str) -> tuple[str, str, str]:
    """Return (group, node, name) of a key."""
    head, _, rest = key.partition(".")
    node, _, name = rest.rpartition(".")
    if head == "tree" and node and name in _names(NodeLimits):
        level_of(node)
        return head, node, name
    if head == "breakers" and rest in _names(Breakers):
        return head, "", rest
    if key in _names(Limits) and key not in ("version", "breakers", "tree"):
        return "", "", key
    known = keys_of(limits) + ([f"tree.{node}.{each}" for each in _names(NodeLimits)] if node else [])
    raise ConfigError(f"there is no limit {key!r}: {nearest(key, known)}")


def _names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_fields__
