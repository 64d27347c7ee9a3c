"""What a venue does not say of a mark is not known, never zero."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from venues.ccxt_feed import CcxtFeed
from venues.ccxt_marks import mark_of, number_of

BTC = "BTC/USDT:USDT"


def binance(**over: object) -> dict[str, Any]:
    raw = {"e": "markPriceUpdate", "E": 1_700_000_000_123, "s": "BTCUSDT", "p": "60000.10000000",
           "r": "0.00010000", "T": 1_700_006_400_000}  # fmt: skip
    info = raw | over
    return {"symbol": BTC, "timestamp": info["E"], "markPrice": info["p"], "info": info}


def test_the_rate_of_binance_comes_with_its_mark() -> None:
    assert number_of(binance()) == 1_700_000_000_123
    assert mark_of(binance(), None) == (60_000.1, 0.0001, 1_700_006_400_000 * 10**6)
    assert mark_of(binance(r="-0.00250000"), None)[1] == -0.0025


@pytest.mark.parametrize("rate", ["", None, "nan", "-"])
def test_a_rate_that_is_not_told_is_not_known(rate: object) -> None:
    # contracts that expire pay none: r is empty and T is 0
    assert mark_of(binance(r=rate, T=0), None) == (60_000.1, None, 0)


@pytest.mark.parametrize("px", [None, "", "nan", "inf", "0", "-1"])
def test_a_mark_without_a_price_was_not_heard(px: object) -> None:
    assert number_of(binance(p=px)) == -1


def test_a_rate_with_a_stream_of_its_own_is_taken_from_there() -> None:
    ticker = {"timestamp": 5, "markPrice": 7.5, "info": {"markPx": "7.5"}}
    assert mark_of(ticker, None) == (7.5, None, 0)
    assert mark_of(ticker, {"fundingRate": -0.0002, "fundingTimestamp": 9}) == (7.5, -0.0002, 9_000_000)


class Listing:
    """A client of a venue that lists a pair and a contract."""

    timeframes = {"1m": "1m"}  # noqa: RUF012 - ccxt's way
    symbols = ["BTC/USDT", BTC]  # noqa: RUF012
    markets = {"BTC/USDT": {"id": "B", "contract": False}, BTC: {"id": "BP", "contract": True}}  # noqa: RUF012
    fundingRates: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, *, streams_marks: bool = True) -> None:
        self.has = {"watchMarkPrices": streams_marks}
        self.tickers = {each: binance() for each in self.symbols}

    def parse_timeframe(self, timeframe: str) -> int:
        return 60

    async def load_markets(self) -> None:
        """They are here."""


def feed_of(*symbols: str, **client: bool) -> CcxtFeed:
    words: Any = None
    return CcxtFeed(
        Listing(**client), words, symbols=symbols, timeframe="1m", streams=["book", "mark"], pause_s=1
    )


@pytest.mark.parametrize(
    ("feed", "streams"),
    [
        (feed_of("BTC/USDT"), {"book"}),
        (feed_of(BTC, streams_marks=False), {"book"}),
        (feed_of("BTC/USDT", BTC), {"book", "mark"}),
    ],
    ids=["pairs", "venue_without_marks", "both"],
)
def test_marks_are_of_contracts_whose_venue_streams_them(feed: CcxtFeed, streams: set[str]) -> None:
    asyncio.run(feed.connect())
    assert feed.streams == streams
    assert feed.mark_number("BTC/USDT") == -1
