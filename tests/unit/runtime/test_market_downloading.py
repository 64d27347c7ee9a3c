"""A download asks for what is missing, once, from venues with holes, short pages and late listings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parley.errors import ParleyError, UserError
from runtime.marketstore import downloading
from runtime.marketstore.downloading import Downloaded, download, lacking
from runtime.marketstore.importing import add_downloaded
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore
from tests.kit.market import DAY, HOUR, MINUTE, MINUTES, RATES, START, candles, settlements, trades

DEALS = Series("binance", "BTC/USDT", "aggtrades")


class Recorded:
    """A venue that has these rows and answers in pages; it fails after `breaks_after` requests."""

    def __init__(
        self, rows: pa.Table | None = None, deals: pa.Table | None = None, rates: pa.Table | None = None,
        page: int = 100, window: int = 0, breaks_after: int = 10**9,
    ) -> None:  # fmt: skip
        self.rows = [] if rows is None else _ohlcv(rows)
        self.deals = [] if deals is None else deals.to_pylist()
        self.rates = [] if rates is None else _ohlcv(rates)
        self.page, self.window, self.left = page, window, breaks_after
        self.asked: list[int] = []

    def _ask(self, since_ms: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise ParleyError("the line went dead")
        self.asked.append(since_ms)
        return since_ms + self.window if self.window else 10**15

    def candles(self, pair: str, kind: str, timeframe: str, since_ms: int) -> list[list[float]]:
        end = self._ask(since_ms)
        return [row for row in self.rows if since_ms <= row[0] < end][: self.page]

    def newest_candle(self, pair: str, kind: str, timeframe: str) -> int | None:
        return int(self.rows[-1][0]) if self.rows else None

    def trades(self, pair: str, since_ms: int) -> list[dict[str, Any]]:
        end = self._ask(since_ms)
        return [row for row in self.deals if since_ms <= row["timestamp"] < end][: self.page]

    def newest_trade(self, pair: str) -> int | None:
        return int(self.deals[-1]["timestamp"]) if self.deals else None

    def funding(self, pair: str, since_ms: int) -> list[tuple[int, float]]:
        self._ask(since_ms)
        return [(int(row[0]), row[1]) for row in self.rates if row[0] >= since_ms][: self.page]


def _ohlcv(table: pa.Table) -> list[list[float]]:
    columns = [
        table["date"].cast(pa.int64()).to_pylist(),
        *(column.to_pylist() for column in table.columns[1:]),
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "market")


def fetch(venue: Recorded, store: MarketStore, series: Series, span: tuple[int, int]) -> Downloaded:
    told = Downloaded(series=str(series))
    for part in lacking(store, series, span):
        download(venue, store, series, part, told, lambda _: None)
    return told


def test_newest_candle_is_left_for_later(store: MarketStore) -> None:
    table = candles(250)
    span = (START, START + DAY)

    told = fetch(Recorded(table), store, MINUTES, span)

    assert (told.added, told.asked) == (249, 3)
    assert store.read(MINUTES).equals(table.slice(0, 249))
    changed = pa.concat_tables([table.slice(0, 249), candles(2, begin=START + 249 * MINUTE, seed=2)])
    told = fetch(Recorded(changed), store, MINUTES, span)
    assert (told.added, told.asked) == (1, 1)
    assert store.read(MINUTES).equals(changed.slice(0, 250))


def test_span_is_kept_to(store: MarketStore) -> None:
    told = fetch(Recorded(candles(500)), store, MINUTES, (START + 50 * MINUTE, START + 170 * MINUTE))

    assert told.added == 120
    assert store.read(MINUTES).equals(candles(500).slice(50, 120))
    assert lacking(store, MINUTES, (START, START + 200 * MINUTE)) == [
        (START, START + 50 * MINUTE), (START + 170 * MINUTE, START + 200 * MINUTE)
    ]  # fmt: skip


def test_hole_of_the_venue_is_asked_for_once(store: MarketStore) -> None:
    table = candles(300)
    venue = Recorded(pa.concat_tables([table.slice(0, 90), table.slice(200)]))
    span = (START, START + 250 * MINUTE)

    assert fetch(venue, store, MINUTES, span).added == 140
    venue.asked.clear()
    assert fetch(venue, store, MINUTES, span).added == 0
    assert venue.asked == []


def test_hole_left_by_an_import_is_filled(store: MarketStore) -> None:
    table = candles(300)
    with store.change() as change:
        change.add(MINUTES, table.slice(0, 100), "test")
        change.add(MINUTES, table.slice(130), "test")
    venue = Recorded(table)

    told = fetch(venue, store, MINUTES, (START, START + 300 * MINUTE))

    assert (told.added, venue.asked) == (30, [START + 100 * MINUTE])


@pytest.mark.parametrize("window", [0, 1000 * MINUTE])
def test_pair_that_was_listed_later(store: MarketStore, window: int) -> None:
    """One venue answers with the first candles it has, another with nothing for an early window."""
    table = candles(50, begin=START + 5 * DAY)

    told = fetch(Recorded(table, window=window), store, MINUTES, (START, START + 6 * DAY))

    assert told.added == 49
    assert told.asked == (8 if window else 1)  # 5 days are 7,200 minutes


def test_file_that_was_removed_is_downloaded_again(store: MarketStore) -> None:
    table = candles(60 * 24 * 3, begin=START + 22 * DAY)  # into June
    span = (START + 22 * DAY, START + 30 * DAY)
    fetch(Recorded(table, page=1000), store, MINUTES, span)
    june = store.files(MINUTES)[1]
    june.unlink()

    told = fetch(Recorded(table, page=1000), store, MINUTES, span)

    assert told.added == 60 * 24 - 1
    assert store.read(MINUTES).equals(table.slice(0, len(table) - 1))
    assert fetch(Recorded(table), store, MINUTES, span).asked == 0


def test_pair_without_any_data(store: MarketStore) -> None:
    told = fetch(Recorded(), store, MINUTES, (START, START + DAY))

    assert (told.added, told.asked) == (0, 0)
    assert store.series() == []


def test_what_came_before_a_failure_stays(store: MarketStore) -> None:
    table = candles(1000)

    with pytest.raises(ParleyError, match="went dead"):
        fetch(Recorded(table, breaks_after=4), store, MINUTES, (START, START + DAY))

    assert store.read(MINUTES).equals(table.slice(0, 400))
    venue = Recorded(table)
    assert fetch(venue, store, MINUTES, (START, START + DAY)).added == 599
    assert venue.asked[0] == START + 400 * MINUTE


def test_pages_are_put_into_the_store_as_they_come(
    store: MarketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(downloading, "PAGES_PER_COMMIT", 2)

    def counted(*arguments: Any) -> Any:
        sizes.append(len(arguments[2]))
        return add_downloaded(*arguments)

    monkeypatch.setattr(downloading, "add_downloaded", counted)
    fetch(Recorded(candles(451)), store, MINUTES, (START, START + DAY))

    assert sizes == [200, 200, 50]


def test_trades_that_share_a_millisecond_with_the_end_of_a_page(store: MarketStore) -> None:
    table = trades(1000)  # three to a millisecond, so a page of a hundred ends within one

    told = fetch(Recorded(deals=table), store, DEALS, (START, START + DAY))

    assert told.added == 1000
    assert store.read(DEALS).equals(table)


def test_quiet_hours_between_trades(store: MarketStore) -> None:
    one, two = trades(30), trades(30, begin=START + 9 * HOUR, seed=5)
    two = two.set_column(1, "id", pa.array([str(2000 + n) for n in range(30)]))
    venue = Recorded(deals=pa.concat_tables([one, two]), window=HOUR)

    assert fetch(venue, store, DEALS, (START, START + DAY)).added == 60
    assert fetch(venue, store, DEALS, (START, START + DAY)).added == 0


def test_more_trades_in_a_millisecond_than_a_page_is_an_error(store: MarketStore) -> None:
    table = trades(400, every=0)

    with pytest.raises(UserError, match="more trades in one millisecond"):
        fetch(
            Recorded(deals=pa.concat_tables([table, trades(3, begin=START + HOUR)])),
            store,
            DEALS,
            (START, START + DAY),
        )


def test_settlements_are_continued(store: MarketStore) -> None:
    table = settlements(250)
    span = (START, START + 90 * DAY)

    assert fetch(Recorded(rates=table.slice(0, 200)), store, RATES, span).added == 200
    venue = Recorded(rates=table)
    assert fetch(venue, store, RATES, span).added == 50
    assert venue.asked[0] == START + 199 * 8 * HOUR + 1
    assert store.read(RATES).equals(table)


def test_impossible_candle_of_a_venue_is_refused(store: MarketStore) -> None:
    table = candles(10)
    wrong = table.set_column(4, "close", pa.array([1e9] * 10))

    with pytest.raises(UserError, match="download of binance BTC/USDT 1m: row 0: expected high"):
        fetch(Recorded(wrong), store, MINUTES, (START, START + DAY))
    assert store.series() == []
