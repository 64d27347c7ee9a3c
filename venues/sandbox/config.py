"""The sandbox's configuration: read a JSON file, refuse what it does not know.

A misspelt key that is silently ignored costs an afternoon, so every unknown key is an error that
names the nearest known one. Not here: whether files exist or pairs are there (the feeds check).
Invariant: a `Config` is complete; defaults are filled in here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from venues.sandbox.config_values import (
    ConfigError,
    count_of,
    decimal_of,
    list_of,
    moment_of,
    object_of,
    pairs_of,
    rate_of,
    refuse_unknown,
    text_of,
    texts_of,
)
from venues.sandbox.hostility.settings import HostilityConfig, parse_hostility
from venues.sandbox.perpetual.settings import PerpetualConfig, parse_perpetuals

PROTOCOLS = ("binance", "binanceusdm", "bybit", "okx", "coinbase", "kucoin", "hyperliquid", "kraken")
CONTRACT_PROTOCOLS = ("binanceusdm",)
DEFAULT_ASSETS = ("BTC", "ETH", "LTC", "SOL")
DEFAULT_CROSSES = ("ETH/BTC", "LTC/BTC")


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One API key, what it owns at the start, and whether it may withdraw; OKX's keys have a passphrase."""

    api_key: str
    secret: str
    balances: dict[str, str]
    name: str
    can_withdraw: bool = False
    passphrase: str = ""


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
class Config:
    """Everything the process needs to start."""

    feed: FeedConfig
    truth: str
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    books: str = ""  # another word, other books around the same prices
    control: str | None = None
    speed: float | None = None
    accounts: tuple[AccountConfig, ...] = ()
    maker_fee: str = "0.001"
    taker_fee: str = "0.001"
    parent_pid: int | None = None
    book_levels: int = 10
    weight_limit: int = 1_000_000
    order_limit: int = 1_000_000
    hostility: HostilityConfig = field(default_factory=HostilityConfig)
    protocol: str = "binance"
    perpetuals: PerpetualConfig = field(default_factory=PerpetualConfig)


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
    "books",
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
    "perpetuals",
}
_ACCOUNT_KEYS = {"api_key", "secret", "passphrase", "balances", "name", "can_withdraw"}
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
    values = object_of(raw, "the configuration")
    refuse_unknown(values, _KEYS, "the configuration")
    feed = _parse_feed(values.get("feed"))
    accounts = tuple(
        _parse_account(one, i) for i, one in enumerate(list_of(values.get("accounts", []), "accounts"))
    )
    keys = [account.api_key for account in accounts]
    if len(set(keys)) != len(keys) or len({account.name for account in accounts}) != len(accounts):
        raise ConfigError("expected different api_key and name in each of accounts")
    return Config(
        feed=feed,
        truth=text_of(values, "truth"),
        host=text_of(values, "host", "127.0.0.1"),
        port=count_of(values, "port", 0, 0, 65535),
        seed=count_of(values, "seed", 0, 0, 2**63),
        books=text_of(values, "books", ""),
        control=None if values.get("control") is None else text_of(values, "control"),
        speed=_speed(values),
        accounts=accounts,
        maker_fee=rate_of(values, "maker_fee"),
        taker_fee=rate_of(values, "taker_fee"),
        parent_pid=None if values.get("parent_pid") is None else count_of(values, "parent_pid", 0, 1, 2**31),
        book_levels=count_of(values, "book_levels", 10, 1, 500),
        weight_limit=count_of(values, "weight_limit", 1_000_000, 1, 2**31),
        order_limit=count_of(values, "order_limit", 1_000_000, 1, 2**31),
        hostility=parse_hostility(values.get("hostility", {})),
        protocol=_protocol(values),
        perpetuals=parse_perpetuals(values.get("perpetuals", {})),
    )


def _protocol(values: Mapping[str, Any]) -> str:
    protocol = text_of(values, "protocol", PROTOCOLS[0])
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise ConfigError(f"protocol: expected one of {known}, got {protocol!r}")
    if values.get("perpetuals") is not None and protocol not in CONTRACT_PROTOCOLS:
        raise ConfigError(
            f"perpetuals: expected with one of {', '.join(CONTRACT_PROTOCOLS)}, got {protocol!r}"
        )
    return protocol


def _parse_feed(raw: object) -> FeedConfig:
    values = object_of(raw, "feed")
    kind = text_of(values, "kind")
    if kind not in _FEED_KEYS:
        raise ConfigError(f"feed.kind: expected one of {', '.join(_FEED_KEYS)}, got {kind!r}")
    refuse_unknown(values, _FEED_KEYS[kind] | {"kind"}, f"feed of kind {kind}")
    files = object_of(values.get("files", {}), "feed.files")
    files = {pair: text_of(files, pair) for pair in pairs_of({"files": list(files)}, "files", ())}
    feed = FeedConfig(
        kind=kind,
        folder=text_of(values, "folder", ""),
        exchange=text_of(values, "exchange", "binance"),
        pairs=pairs_of(values, "pairs", ()),
        timeframe=text_of(values, "timeframe", "1m"),
        start=moment_of(values, "start"),
        end=moment_of(values, "end"),
        files=files,
        slice_ms=count_of(values, "slice_ms", 60_000, 1000, 86_400_000),
        assets=texts_of(values, "assets", DEFAULT_ASSETS),
        quote=text_of(values, "quote", "USDT"),
        crosses=pairs_of(values, "crosses", DEFAULT_CROSSES if "assets" not in values else ()),
        candles=None if values.get("candles") is None else count_of(values, "candles", 0, 1, 2**40),
        history=count_of(values, "history", 500, 0, 100_000),
        trades_per_candle=count_of(values, "trades_per_candle", 4, 1, 1000),
        parts=count_of(values, "parts", 1, 1, 60),
        decimals=_decimals(values),
    )
    if kind == "candles" and not (feed.folder and feed.pairs):
        raise ConfigError("feed of kind candles: expected folder and at least one of pairs")
    if kind == "trades" and not feed.files:
        raise ConfigError("feed of kind trades: expected files as {pair: path}")
    if kind == "synthetic" and not feed.assets:
        raise ConfigError("feed of kind synthetic: expected at least one of assets")
    return feed


def _parse_account(raw: object, index: int) -> AccountConfig:
    values = object_of(raw, f"accounts[{index}]")
    refuse_unknown(values, _ACCOUNT_KEYS, f"accounts[{index}]")
    balances = object_of(values.get("balances", {}), f"accounts[{index}].balances")
    can_withdraw = values.get("can_withdraw", False)
    if not isinstance(can_withdraw, bool):
        raise ConfigError(f"accounts[{index}].can_withdraw: expected true or false, got {can_withdraw!r}")
    return AccountConfig(
        api_key=text_of(values, "api_key"),
        secret=text_of(values, "secret"),
        balances={asset: decimal_of(balances, asset) for asset in balances},
        name=text_of(values, "name", f"account{index}"),
        can_withdraw=can_withdraw,
        passphrase=text_of(values, "passphrase", ""),
    )


def _decimals(values: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Decimals of prices and quantities by pair."""
    found = object_of(values.get("decimals", {}), "feed.decimals")
    for pair, both in found.items():
        if not (
            isinstance(both, list) and len(both) == 2 and all(type(n) is int and 0 <= n <= 8 for n in both)
        ):
            raise ConfigError(
                f"feed.decimals of {pair}: expected two whole numbers from 0 to 8, got {both!r}"
            )
    return {pair: (both[0], both[1]) for pair, both in found.items()}


def _speed(values: Mapping[str, Any]) -> float | None:
    value = values.get("speed", _SPEED_MAX)
    if value == _SPEED_MAX:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ConfigError(
            f"speed: expected 'max' or a number of market seconds per second above 0, got {value!r}"
        )
    return float(value)
