"""The sandbox's configuration: read a JSON file, refuse what it does not know.

A misspelt key that is silently ignored costs an afternoon, so every unknown key is an error that
names the nearest known one. Not here: whether files exist or pairs are there (the feeds check).
Invariant: a `Config` is complete; defaults are filled in here and nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

PROTOCOLS = ("binance", "bybit")
DEFAULT_ASSETS = ("BTC", "ETH", "LTC", "SOL")
DEFAULT_CROSSES = ("ETH/BTC", "LTC/BTC")


class ConfigError(ValueError):
    """The configuration cannot be used; the text says which key and what was expected."""


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One API key and what it owns at the start."""

    api_key: str
    secret: str
    balances: dict[str, str]
    name: str


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """Where market data comes from; which fields matter depends on `kind`."""

    kind: str
    folder: str = ""
    exchange: str = "binance"
    pairs: tuple[str, ...] = ()
    timeframe: str = "1m"
    start: str | int | None = None
    end: str | int | None = None
    files: dict[str, str] = field(default_factory=dict)
    slice_ms: int = 60_000
    assets: tuple[str, ...] = DEFAULT_ASSETS
    quote: str = "USDT"
    crosses: tuple[str, ...] = DEFAULT_CROSSES
    candles: int | None = None
    history: int = 500
    trades_per_candle: int = 4
    parts: int = 1
    decimals: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostilityConfig:
    """Shares of requests for new orders that meet a fate, together at most 1; see `hostility`.

    Executed: ``lost`` unanswered, ``failed`` answered 503, ``late`` up to ``late_ms`` after its connection
    was closed, if still in the request's window or ``past_window``. Not executed: ``dropped`` unanswered,
    ``throttled`` answered 429. Queries show an order ``lookup_lag_ms`` after it came to exist.
    """

    lost: float = 0.0
    failed: float = 0.0
    late: float = 0.0
    dropped: float = 0.0
    throttled: float = 0.0
    late_ms: int = 1500
    past_window: bool = False
    lookup_lag_ms: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the process needs to start."""

    feed: FeedConfig
    truth: str
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    control: str | None = None
    speed: float | None = None
    accounts: tuple[AccountConfig, ...] = ()
    maker_fee: str = "0.001"
    taker_fee: str = "0.001"
    parent_pid: int | None = None
    book_levels: int = 10
    weight_limit: int = 1_000_000
    order_limit: int = 1_000_000
    hostility: HostilityConfig = HostilityConfig()
    protocol: str = "binance"


_FEED_KEYS = {
    "candles": {
        "folder",
        "exchange",
        "pairs",
        "timeframe",
        "start",
        "end",
        "history",
        "trades_per_candle",
        "parts",
        "decimals",
    },
    "trades": {"files", "slice_ms", "start", "end"},
    "synthetic": {
        "assets",
        "quote",
        "crosses",
        "timeframe",
        "candles",
        "history",
        "trades_per_candle",
        "parts",
        "start",
    },
}
_KEYS = {
    "host",
    "port",
    "seed",
    "truth",
    "control",
    "speed",
    "feed",
    "accounts",
    "maker_fee",
    "taker_fee",
    "parent_pid",
    "book_levels",
    "weight_limit",
    "order_limit",
    "hostility",
    "protocol",
}
_SHARES = ("lost", "failed", "late", "dropped", "throttled")
_ACCOUNT_KEYS = {"api_key", "secret", "balances", "name"}
_SPEED_MAX = "max"


def read_config(path: str | Path) -> Config:
    """The configuration in a file."""
    try:
        raw = msgspec.json.decode(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"expected a readable configuration file, got {str(path)!r}: {error.strerror}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected JSON in {str(path)!r}: {error}") from error
    return parse_config(raw)


def parse_config(raw: object) -> Config:
    """A configuration from decoded JSON."""
    values = _object(raw, "the configuration")
    _refuse_unknown(values, _KEYS, "the configuration")
    feed = _parse_feed(values.get("feed"))
    accounts = tuple(
        _parse_account(one, i) for i, one in enumerate(_list(values.get("accounts", []), "accounts"))
    )
    keys = [account.api_key for account in accounts]
    if len(set(keys)) != len(keys) or len({account.name for account in accounts}) != len(accounts):
        raise ConfigError("expected different api_key and name in each of accounts")
    return Config(
        feed=feed,
        truth=_text(values, "truth"),
        host=_text(values, "host", "127.0.0.1"),
        port=_count(values, "port", 0, 0, 65535),
        seed=_count(values, "seed", 0, 0, 2**63),
        control=None if values.get("control") is None else _text(values, "control"),
        speed=_speed(values),
        accounts=accounts,
        maker_fee=_rate(values, "maker_fee"),
        taker_fee=_rate(values, "taker_fee"),
        parent_pid=None if values.get("parent_pid") is None else _count(values, "parent_pid", 0, 1, 2**31),
        book_levels=_count(values, "book_levels", 10, 1, 500),
        weight_limit=_count(values, "weight_limit", 1_000_000, 1, 2**31),
        order_limit=_count(values, "order_limit", 1_000_000, 1, 2**31),
        hostility=_parse_hostility(values.get("hostility", {})),
        protocol=_protocol(values),
    )


def _protocol(values: Mapping[str, Any]) -> str:
    protocol = _text(values, "protocol", PROTOCOLS[0])
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    return protocol


def _parse_feed(raw: object) -> FeedConfig:
    values = _object(raw, "feed")
    kind = _text(values, "kind")
    if kind not in _FEED_KEYS:
        raise ConfigError(f"feed.kind: expected one of {', '.join(_FEED_KEYS)}, got {kind!r}")
    _refuse_unknown(values, _FEED_KEYS[kind] | {"kind"}, f"feed of kind {kind}")
    files = _object(values.get("files", {}), "feed.files")
    files = {pair: _text(files, pair) for pair in _pairs({"files": list(files)}, "files", ())}
    feed = FeedConfig(
        kind=kind,
        folder=_text(values, "folder", ""),
        exchange=_text(values, "exchange", "binance"),
        pairs=_pairs(values, "pairs", ()),
        timeframe=_text(values, "timeframe", "1m"),
        start=_moment(values, "start"),
        end=_moment(values, "end"),
        files=files,
        slice_ms=_count(values, "slice_ms", 60_000, 1000, 86_400_000),
        assets=_texts(values, "assets", DEFAULT_ASSETS),
        quote=_text(values, "quote", "USDT"),
        crosses=_pairs(values, "crosses", DEFAULT_CROSSES if "assets" not in values else ()),
        candles=None if values.get("candles") is None else _count(values, "candles", 0, 1, 2**40),
        history=_count(values, "history", 500, 0, 100_000),
        trades_per_candle=_count(values, "trades_per_candle", 4, 1, 1000),
        parts=_count(values, "parts", 1, 1, 60),
        decimals=_decimals(values),
    )
    if kind == "candles" and not (feed.folder and feed.pairs):
        raise ConfigError("feed of kind candles: expected folder and at least one of pairs")
    if kind == "trades" and not feed.files:
        raise ConfigError("feed of kind trades: expected files as {pair: path}")
    if kind == "synthetic" and not feed.assets:
        raise ConfigError("feed of kind synthetic: expected at least one of assets")
    return feed


def _parse_hostility(raw: object) -> HostilityConfig:
    values = _object(raw, "hostility")
    _refuse_unknown(values, {*_SHARES, "late_ms", "past_window", "lookup_lag_ms"}, "hostility")
    shares = {name: _share(values, name) for name in _SHARES}
    if sum(shares.values()) > 1:
        raise ConfigError(f"hostility: expected shares of at most 1 together, got {sum(shares.values())}")
    past_window = values.get("past_window", False)
    if not isinstance(past_window, bool):
        raise ConfigError(f"hostility.past_window: expected true or false, got {past_window!r}")
    return HostilityConfig(
        **shares,
        late_ms=_count(values, "late_ms", 1500, 1, 60_000),
        past_window=past_window,
        lookup_lag_ms=_count(values, "lookup_lag_ms", 0, 0, 60_000),
    )


def _share(values: Mapping[str, Any], key: str) -> float:
    value = values.get(key, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ConfigError(f"hostility.{key}: expected a share from 0 to 1, got {value!r}")
    return float(value)


def _parse_account(raw: object, index: int) -> AccountConfig:
    values = _object(raw, f"accounts[{index}]")
    _refuse_unknown(values, _ACCOUNT_KEYS, f"accounts[{index}]")
    balances = _object(values.get("balances", {}), f"accounts[{index}].balances")
    return AccountConfig(
        api_key=_text(values, "api_key"),
        secret=_text(values, "secret"),
        balances={asset: _decimal(balances, asset) for asset in balances},
        name=_text(values, "name", f"account{index}"),
    )


def _refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
            raise ConfigError(f"{where} has no key {key!r}; did you mean {near[0]!r}?")


def _object(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: expected a JSON object, got {raw!r}")
    return raw


def _list(raw: object, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise ConfigError(f"{where}: expected a JSON list, got {raw!r}")
    return raw


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise ConfigError(f"{key}: expected a text, got {value!r}")
    return value


def _texts(values: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    texts = _list(values.get(key, list(default)), key)
    if not all(isinstance(text, str) and text for text in texts) or len(set(texts)) != len(texts):
        raise ConfigError(f"{key}: expected different texts, got {texts!r}")
    return tuple(texts)


def _pairs(values: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    pairs = _texts(values, key, default)
    for pair in pairs:
        if len(pair.split("/")) != 2 or not all(part.isalnum() for part in pair.split("/")):
            raise ConfigError(f"{key}: expected pairs such as 'BTC/USDT', got {pair!r}")
    return pairs


def _decimals(values: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Decimals of prices and quantities by pair."""
    found = _object(values.get("decimals", {}), "feed.decimals")
    for pair, both in found.items():
        if not (
            isinstance(both, list) and len(both) == 2 and all(type(n) is int and 0 <= n <= 8 for n in both)
        ):
            raise ConfigError(
                f"feed.decimals of {pair}: expected two whole numbers from 0 to 8, got {both!r}"
            )
    return {pair: (both[0], both[1]) for pair, both in found.items()}


def _count(values: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{key}: expected a whole number from {low} to {high}, got {value!r}")
    return value


def _decimal(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or number.scaleb(8) % 1 or number > 10**15:
        raise ConfigError(
            f"{key}: expected a decimal text of at least 0 with up to 8 decimals, got {value!r}"
        )
    return format(number, "f")


def _rate(values: Mapping[str, Any], key: str) -> str:
    rate = _decimal(values, key, "0.001")
    if Decimal(rate) >= 1:
        raise ConfigError(f"{key}: expected a fee below 1, got {rate!r}")
    return rate


def _moment(values: Mapping[str, Any], key: str) -> str | int | None:
    value = values.get(key)
    if value is not None and not isinstance(value, str | int):
        raise ConfigError(f"{key}: expected a date such as '2021-05-08', got {value!r}")
    return value


def _speed(values: Mapping[str, Any]) -> float | None:
    value = values.get("speed", _SPEED_MAX)
    if value == _SPEED_MAX:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ConfigError(
            f"speed: expected 'max' or a number of market seconds per second above 0, got {value!r}"
        )
    return float(value)
