"""What a series of market data is called: as a key, and as a file of ours or of freqtrade's.

Problem: a file name is all that says which exchange, pair and timeframe rows belong to, and there are two
spellings: ours leads with the exchange (``binance-BTC_USDT-5m-202105.parquet``), freqtrade puts files into
a folder per exchange (``binance/futures/BTC_USDT_USDT-8h-mark.feather``).

Not here: what is in the files. Invariant: `parse_name` of a name made here gives the series it was made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from parley.errors import UserError, nearest
from venues.recorded import STORE_CANDLES, CandleError, timeframe_ms

CANDLE_KINDS: Final = ("spot", "futures", "mark", "index", "premiumIndex")
TRADE_KINDS: Final = ("trades", "aggtrades")
FUNDING: Final = "funding_rate"
KINDS: Final = (*CANDLE_KINDS, *TRADE_KINDS, FUNDING)
SUFFIXES: Final = (".parquet", ".feather", ".json", ".json.gz", ".csv", ".csv.gz")
FUTURES_FOLDER, TRADES_FOLDER = "futures", "trades"

_NAME = re.compile(
    r"(?:(?P<exchange>[a-z0-9]+)-)?"
    r"(?P<base>[^\W_]+)_(?P<quote>[^\W_]+)(?:_(?P<settle>[^\W_]+))?"
    r"(?:-(?P<timeframe>[1-9][0-9]*(?:[smhdwM]|Mo)))?"
    rf"(?:-(?P<kind>{'|'.join(KINDS)}))?"
    r"(?:-(?P<period>[^.]+))?"
)
_PAIR = re.compile(r"(?P<base>[^\W_]+)/(?P<quote>[^\W_]+)(?::(?P<settle>[^\W_]+))?")
ALL: Final = "ALL"
_EXCHANGES: Final = frozenset(
    [
        "binance",
        "binanceus",
        "binanceusdm",
        "binancecoinm",
        "bingx",
        "bitget",
        "bitfinex",
        "bitmart",
        "bitmex",
        "bitstamp",
        "bittrex",
        "bybit",
        "coinbase",
        "cryptocom",
        "gate",
        "gateio",
        "htx",
        "huobi",
        "hyperliquid",
        "kraken",
        "krakenfutures",
        "kucoin",
        "mexc",
        "okx",
        "poloniex",
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One series; ``pair`` as ccxt writes it, ``timeframe`` empty for trades and funding."""

    exchange: str
    pair: str
    kind: str
    timeframe: str = ""

    def __str__(self) -> str:
        words = (self.exchange, self.pair, self.timeframe, "" if self.kind == "spot" else self.kind)
        return " ".join(word for word in words if word)

    @property
    def is_candles(self) -> bool:
        """Does it consist of open, high, low, close and volume?"""
        return self.kind in CANDLE_KINDS

    @property
    def step_ms(self) -> int:
        """Length of a candle; 0 for trades and funding."""
        return timeframe_ms(self.timeframe) if self.is_candles else 0

    @property
    def folder(self) -> str:
        """Folder of its files in a market store."""
        if self.kind in TRADE_KINDS:
            return TRADES_FOLDER
        return STORE_CANDLES if self.kind == "spot" else FUTURES_FOLDER

    def file_name(self, period: str = "", suffix: str = ".parquet") -> str:
        """Name a file of it the way a market store does."""
        kind = "" if self.kind == "spot" else self.kind
        words = (self.exchange, _in_name(self.pair), self.timeframe, kind, period)
        return "-".join(word for word in words if word) + suffix

    def freqtrade_path(self, suffix: str, settles_every: str = "8h") -> str:
        """Name a file of it the way freqtrade looks for it below its ``data`` folder.

        freqtrade calls a file of funding rates by a timeframe, which the series has not: `settles_every`.
        """
        if self.kind in TRADE_KINDS:
            name = f"{_in_name(self.pair)}-trades{suffix}"
            return f"{self.exchange}/{FUTURES_FOLDER + '/' if ':' in self.pair else ''}{name}"
        timeframe = settles_every if self.kind == FUNDING else self.timeframe
        if self.kind == "spot":
            return f"{self.exchange}/{_in_name(self.pair)}-{timeframe}{suffix}"
        return f"{self.exchange}/{FUTURES_FOLDER}/{_in_name(self.pair)}-{timeframe}-{self.kind}{suffix}"


@dataclass(frozen=True, slots=True)
class Given:
    """What a user says about a file; what is empty is taken from its name."""

    exchange: str = ""
    pair: str = ""
    timeframe: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if self.kind and self.kind not in KINDS:
            raise UserError(f"there is no kind {self.kind!r} of data; {nearest(self.kind, list(KINDS))}")
        if self.pair and not _PAIR.fullmatch(self.pair):
            raise UserError(f"expected a pair such as 'BTC/USDT' or 'BTC/USDT:USDT', got {self.pair!r}")
        if self.timeframe:
            check_timeframe(self.timeframe)


def check_timeframe(timeframe: str) -> str:
    """Return a timeframe that candles can have.

    Raises
    ------
    UserError
        When it is none; months have no fixed length and are not supported.
    """
    try:
        timeframe_ms(timeframe)
    except CandleError as error:
        raise UserError(str(error)) from None
    return timeframe


def suffix_of(path: Path) -> str | None:
    """Return the file's format as its suffix, None when it is none of those read here."""
    return next(
        (suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(suffix)), None
    )


class UnclearName(UserError):
    """A file's name does not say which series it holds; in a folder such a file is something else."""


def parse_name(path: Path, given: Given | None = None) -> Series:
    """Say which series a file holds; a base of ``ALL`` stands for a file with a column of pairs.

    Raises
    ------
    UnclearName
        When the name and what was given leave a part open.
    UserError
        When they contradict each other.
    """
    given = given or Given()
    suffix = suffix_of(path)
    if suffix is None:
        raise UnclearName(f"expected a file that ends in one of {', '.join(SUFFIXES)}, got {str(path)!r}")
    found = _NAME.fullmatch(path.name.removesuffix(suffix))
    part = {name: text or "" for name, text in (found.groupdict() if found else {}).items()}
    said = {name: part.get(name, "") for name in ("exchange", "timeframe", "kind")} | {"pair": _pair(part)}
    said["timeframe"] = said["timeframe"].replace("Mo", "M")
    for name, text in said.items():
        wanted = getattr(given, name)
        if text and wanted and text != wanted:
            raise UserError(f"the name of {str(path)!r} says {text!r}, --{name} says {wanted!r}")
        said[name] = wanted or text
    said["kind"] = said["kind"] or (FUTURES_FOLDER if ":" in said["pair"] else "spot")
    said["exchange"] = said["exchange"] or _exchange_of_folder(path)
    needed = ("exchange", "pair", "timeframe") if said["kind"] in CANDLE_KINDS else ("exchange", "pair")
    missing = [f"--{name}" for name in needed if not said[name]]
    if missing:
        raise UnclearName(
            f"expected a name such as binance-BTC_USDT-5m{suffix} or binance/BTC_USDT-5m{suffix}, got "
            f"{str(path)!r}: name {' and '.join(missing)}"
        )
    if "timeframe" not in needed:
        return Series(said["exchange"], said["pair"], said["kind"])
    try:
        check_timeframe(said["timeframe"])
    except UserError as error:
        raise UnclearName(f"{path}: {error}") from None
    return Series(said["exchange"], said["pair"], said["kind"], said["timeframe"])


def of_pair(series: Series, pair: str) -> Series:
    """Return the same series of another pair, as in a file with a column of pairs.

    Raises
    ------
    UserError
        When the text is no pair.
    """
    if not _PAIR.fullmatch(pair):
        raise UserError(f"expected a pair such as 'BTC/USDT' or 'BTC/USDT:USDT', got {pair!r}")
    return replace(series, pair=pair)


def is_of_many(series: Series) -> bool:
    """Does it stand for a file with a column of pairs?"""
    return series.pair.startswith(f"{ALL}/")


def _pair(part: dict[str, str]) -> str:
    if not part:
        return ""
    return f"{part['base']}/{part['quote']}" + (f":{part['settle']}" if part["settle"] else "")


def _in_name(pair: str) -> str:
    return pair.replace("/", "_").replace(":", "_")


def _exchange_of_folder(path: Path) -> str:
    folder = path.resolve().parent
    if folder.name == FUTURES_FOLDER:
        folder = folder.parent
    # Any other folder, such as "downloads", says nothing about an exchange.
    if folder.name in _EXCHANGES or folder.parent.name == "data":
        return folder.name
    return ""
