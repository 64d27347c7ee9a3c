"""What files of market data are called, by us and by freqtrade."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.marketstore.series import Given, Series, parse_name, suffix_of

SERIES = [
    Series("binance", "BTC/USDT", "spot", "1m"),
    Series("binance", "1000SHIB/USDT", "spot", "1w"),
    Series("binanceusdm", "BTC/USDT:USDT", "futures", "5m"),
    Series("bybit", "APE/USDT:USDT", "mark", "8h"),
    Series("okx", "BTC/USD:BTC", "premiumIndex", "1h"),
    Series("kraken", "BTC/USDT", "trades"),
    Series("binance", "ETH/BTC", "aggtrades"),
    Series("hyperliquid", "ETH/USDC:USDC", "funding_rate"),
]


@pytest.mark.parametrize("series", SERIES, ids=str)
@pytest.mark.parametrize("period", ["", "202105", "2022ftx", "20240808"])
def test_own_names_are_read_back(series: Series, period: str) -> None:
    assert parse_name(Path("anywhere") / series.file_name(period)) == series


@pytest.mark.parametrize("series", [one for one in SERIES if one.kind != "aggtrades"], ids=str)
@pytest.mark.parametrize("suffix", [".feather", ".json", ".json.gz", ".parquet", ".csv"])
def test_names_for_freqtrade_are_read_back(series: Series, suffix: str) -> None:
    assert parse_name(Path("user_data/data") / series.freqtrade_path(suffix)) == series


@pytest.mark.parametrize(
    ("path", "series"),
    [  # as freqtrade documents and as its test data is called
        ("data/binance/ETH_BTC-5m.feather", Series("binance", "ETH/BTC", "spot", "5m")),
        (
            "data/binance/futures/XRP_USDT_USDT-1h-mark.feather",
            Series("binance", "XRP/USDT:USDT", "mark", "1h"),
        ),
        (
            "data/bybit/futures/XRP_USDT_USDT-8h-funding_rate.json",
            Series("bybit", "XRP/USDT:USDT", "funding_rate"),
        ),
        ("data/kraken/XRP_ETH-trades.json.gz", Series("kraken", "XRP/ETH", "trades")),
        ("data/somevenue/XRP_ETH-1d.parquet", Series("somevenue", "XRP/ETH", "spot", "1d")),
    ],
)
def test_freqtrade_names(path: str, series: Series) -> None:
    assert parse_name(Path(path)) == series


def test_what_the_name_leaves_open_the_user_says() -> None:
    given = Given(exchange="okx", pair="ETH/USDT", timeframe="15m", kind="mark")

    assert parse_name(Path("export.csv"), given) == Series("okx", "ETH/USDT", "mark", "15m")
    assert parse_name(Path("data/binance/ETH_USDT-15m.csv"), given) == Series(
        "okx", "ETH/USDT", "mark", "15m"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"exchange": "okx"}, "says 'binance', --exchange says 'okx'"),
        ({"pair": "ETH/USDT"}, "says 'BTC/USDT:USDT', --pair says 'ETH/USDT'"),
        ({"timeframe": "1m"}, "says '5m', --timeframe says '1m'"),
        ({"kind": "futures"}, "says 'mark', --kind says 'futures'"),
    ],
)
def test_user_and_name_that_contradict_each_other(words: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_name(Path("binance-BTC_USDT_USDT-5m-mark-2021.csv"), Given(**words))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("downloads/BTC_USDT-1m.csv", "name --exchange"),
        ("binance-BTC_USDT.csv", "name --timeframe"),
        ("binance-spot-bookTicker.parquet", "name --pair and --timeframe|name --exchange and --pair"),
        ("binance-BTC_USDT-1M.parquet", "expected a timeframe"),
        ("binance-BTC_USDT-5m.xlsx", "ends in one of"),
    ],
)
def test_name_that_leaves_something_open_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parse_name(Path(name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"kind": "funding"}, "did you mean 'funding_rate'"),
        ({"pair": "BTCUSDT"}, "expected a pair"),
        ({"timeframe": "5x"}, "expected a timeframe"),
    ],
)
def test_wrong_word_of_the_user_is_one_line(words: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Given(**words)


def test_longest_suffix_wins() -> None:
    assert suffix_of(Path("a.json.gz")) == ".json.gz"
    assert suffix_of(Path("a.csv")) == ".csv"
    assert suffix_of(Path("a.gz")) is None
