"""The switches of hostility, read from the configuration's `hostility`; all of them are off unless given.

Not here: what they do (the other modules of this package), how values are read (`config_values`). Invariant:
shares that compete for the same request or event are at most 1 together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeVar, get_args

from venues.recorded import CandleError, moment_ms
from venues.sandbox.config_values import (
    ConfigError,
    count_of,
    moment_of,
    object_of,
    refuse_unknown,
    share_of,
    text_of,
)

_HOUR_MS: Final = 3_600_000
_MOST_SKEW_MS: Final = 24 * _HOUR_MS
_MOST_ROWS: Final = 1000
Uniqueness = Literal["none", "open", "forever", "idempotent"]


@dataclass(frozen=True, slots=True)
class CancelShares:
    """Shares of requests to cancel that meet a fate.

    Carried out: ``lost`` unanswered, ``failed`` answered 503, ``late`` as orders are, so that the order may
    trade before. Not: ``dropped`` unanswered, ``throttled``.
    """

    lost: float = 0.0
    failed: float = 0.0
    late: float = 0.0
    dropped: float = 0.0
    throttled: float = 0.0


@dataclass(frozen=True, slots=True)
class EventShares:
    """Shares of an account's events that are never told, told twice, or told behind their neighbour."""

    lost: float = 0.0
    duplicated: float = 0.0
    swapped: float = 0.0


@dataclass(frozen=True, slots=True)
class MarketShares:
    """Shares of public messages: differences of a book that are ``lost``, and those and trades told twice."""

    lost: float = 0.0
    duplicated: float = 0.0


@dataclass(frozen=True, slots=True)
class BanConfig:
    """Who is told ``after`` times within a minute that it asks too much is turned away for ``ms``.

    The next ban lasts twice as long. 0 means that nobody is.
    """

    after: int = 0
    ms: int = 120_000


@dataclass(frozen=True, slots=True)
class MaintenanceConfig:
    """Shut for ``ms``, from a moment ``at`` of the market or so long ``after_ms`` the exchange was ready.

    By the clock it may come again ``every_ms``, 0 for once.
    """

    ms: int
    at: int | None = None
    after_ms: int | None = None
    every_ms: int = 0


@dataclass(frozen=True, slots=True)
class HostilityConfig:
    """Shares of requests for new orders that meet a fate, together at most 1, and all other switches.

    Executed: ``lost`` unanswered, ``failed`` answered 503, ``late`` up to ``late_ms`` after its connection
    was closed, if still in the request's window or ``past_window``. Not executed: ``dropped`` unanswered,
    ``throttled`` answered 429. Queries show an order ``lookup_lag_ms`` after it came to exist.

    ``page_limit`` rows are the most that a list of orders or trades answers, 0 as many as the venue would.
    The venue's clock is ``clock_skew_ms`` ahead. ``client_ids`` says how often an id may be used, empty as
    the protocol's venue does. ``delistings`` are pairs and when their market ends, ms.

    ``first`` and ``first_cancels`` are the fates of the first requests of their kind, in this order, so that
    a short run meets each; the others are by share.
    """

    lost: float = 0.0
    failed: float = 0.0
    late: float = 0.0
    dropped: float = 0.0
    throttled: float = 0.0
    late_ms: int = 1500
    past_window: bool = False
    lookup_lag_ms: int = 0
    page_limit: int = 0
    clock_skew_ms: int = 0
    client_ids: Uniqueness | Literal[""] = ""
    cancels: CancelShares = CancelShares()
    private: EventShares = EventShares()
    public: MarketShares = MarketShares()
    ban: BanConfig = BanConfig()
    maintenance: MaintenanceConfig | None = None
    delistings: dict[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    first_cancels: tuple[str, ...] = ()


Shares = TypeVar("Shares", CancelShares, EventShares, MarketShares)
_ORDER_SHARES: Final = ("lost", "failed", "late", "dropped", "throttled")
_KEYS: Final = {each.name for each in fields(HostilityConfig)}


def parse_hostility(raw: object) -> HostilityConfig:
    """The switches from decoded JSON."""
    values = object_of(raw, "hostility")
    refuse_unknown(values, _KEYS, "hostility")
    past_window = values.get("past_window", False)
    if not isinstance(past_window, bool):
        raise ConfigError(f"hostility.past_window: expected true or false, got {past_window!r}")
    return HostilityConfig(
        **_shares(values, _ORDER_SHARES, "hostility"),
        late_ms=count_of(values, "late_ms", 1500, 1, 60_000),
        past_window=past_window,
        lookup_lag_ms=count_of(values, "lookup_lag_ms", 0, 0, 60_000),
        page_limit=count_of(values, "page_limit", 0, 0, _MOST_ROWS),
        clock_skew_ms=count_of(values, "clock_skew_ms", 0, -_MOST_SKEW_MS, _MOST_SKEW_MS),
        client_ids=_uniqueness(values),
        cancels=_group(values, "cancels", CancelShares),
        private=_group(values, "private", EventShares),
        public=_group(values, "public", MarketShares),
        ban=_ban(values),
        maintenance=_maintenance(values.get("maintenance")),
        delistings=_delistings(values),
        first=_first(values, "first"),
        first_cancels=_first(values, "first_cancels"),
    )


def _first(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key, [])
    if not isinstance(found, list) or not set(found) <= set(_ORDER_SHARES):
        raise ConfigError(f"hostility.{key}: expected a list of {', '.join(_ORDER_SHARES)}, got {found!r}")
    return tuple(found)


def _shares(values: Mapping[str, Any], names: tuple[str, ...], where: str) -> dict[str, float]:
    shares = {name: share_of(values, name, where) for name in names}
    if sum(shares.values()) > 1:
        raise ConfigError(f"{where}: expected shares of at most 1 together, got {sum(shares.values())}")
    return shares


def _group(values: Mapping[str, Any], key: str, kind: type[Shares]) -> Shares:
    where = f"hostility.{key}"
    found = object_of(values.get(key, {}), where)
    names = tuple(each.name for each in fields(kind))
    refuse_unknown(found, set(names), where)
    return kind(**_shares(found, names, where))


def _uniqueness(values: Mapping[str, Any]) -> Uniqueness | Literal[""]:
    asked = text_of(values, "client_ids", "")
    for each in get_args(Uniqueness):
        if asked == each:
            found: Uniqueness = each
            return found
    if asked:
        raise ConfigError(
            f"hostility.client_ids: expected one of {', '.join(get_args(Uniqueness))}, got {asked!r}"
        )
    return ""


def _ban(values: Mapping[str, Any]) -> BanConfig:
    found = object_of(values.get("ban", {}), "hostility.ban")
    refuse_unknown(found, {"after", "ms"}, "hostility.ban")
    return BanConfig(
        after=count_of(found, "after", 0, 0, 1_000_000), ms=count_of(found, "ms", 120_000, 1, 72 * _HOUR_MS)
    )


def _maintenance(raw: object) -> MaintenanceConfig | None:
    if raw is None:
        return None
    values = object_of(raw, "hostility.maintenance")
    refuse_unknown(values, {"ms", "at", "after_ms", "every_ms"}, "hostility.maintenance")
    if (values.get("at") is None) == (values.get("after_ms") is None):
        raise ConfigError("hostility.maintenance: expected either at or after_ms")
    ms = count_of(values, "ms", 0, 1, _HOUR_MS)
    if values.get("at") is not None:
        if values.get("every_ms"):
            raise ConfigError("hostility.maintenance: expected every_ms beside after_ms only")
        return MaintenanceConfig(ms=ms, at=_market_ms(values, "at", "hostility.maintenance"))
    every_ms = count_of(values, "every_ms", 0, 0, 24 * _HOUR_MS)
    if 0 < every_ms <= ms:
        raise ConfigError(f"hostility.maintenance: expected every_ms above ms, got {every_ms} and {ms}")
    return MaintenanceConfig(
        ms=ms, after_ms=count_of(values, "after_ms", 0, 0, 24 * _HOUR_MS), every_ms=every_ms
    )


def _delistings(values: Mapping[str, Any]) -> dict[str, int]:
    found = object_of(values.get("delistings", {}), "hostility.delistings")
    return {pair: _market_ms(found, pair, "hostility.delistings") for pair in found}


def _market_ms(values: Mapping[str, Any], key: str, where: str) -> int:
    try:
        found = moment_ms(moment_of(values, key))
    except CandleError as error:
        raise ConfigError(f"{where}.{key}: {error}") from error
    if found is None:
        raise ConfigError(f"{where}.{key}: expected a moment of the market, got None")
    return found
