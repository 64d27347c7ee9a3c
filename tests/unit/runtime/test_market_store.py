"""The market store changes as a whole, equal rows are equal files, and contradictions change nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from parley.errors import DataError, UserError
from runtime.marketstore.manifest import joined, without
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore, split
from tests.kit.market import (
    DAY,
    DEALS,
    HOUR,
    MINUTE,
    MINUTES,
    RATES,
    START,
    candles,
    content,
    settlements,
    trades,
)
from venues.recorded import CandleError, load_candles


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "market")


def add(store: MarketStore, series: Series, table: pa.Table) -> int:
    with store.change() as change:
        return change.add(series, table, "test")


def add_both(store: MarketStore, deals: pa.Table, minutes: pa.Table) -> None:
    with store.change() as change:
        change.add(DEALS, deals, "test")
        change.add(MINUTES, minutes, "test")


def test_rows_come_back_in_order_from_several_periods(store: MarketStore) -> None:
    table = candles(3 * 31 * 24, step=HOUR)
    hours = Series("binance", "BTC/USDT", "spot", "30m")
    halves = candles(3 * 31 * 48, step=30 * MINUTE)

    assert add(store, hours, halves) == len(halves)
    assert add(store, Series("binance", "BTC/USDT", "spot", "1h"), table) == len(table)

    assert [path.name[-14:-8] for path in store.files(hours)] == ["202105", "202106", "202107", "202108"]
    assert store.read(hours).equals(halves)
    assert store.series() == [
        Series("binance", "BTC/USDT", "spot", "1h"), Series("binance", "BTC/USDT", "spot", "30m")
    ]  # fmt: skip
    assert len(store.files(Series("binance", "BTC/USDT", "spot", "1h"))) == 1


def test_every_kind_has_its_folder(store: MarketStore) -> None:
    add(store, MINUTES, candles(5))
    add(store, DEALS, trades(5))
    add(store, RATES, settlements(5))

    assert sorted(name for name in content(store.root)) == [
        "candles/binance-BTC_USDT-1m-202105.parquet",
        "futures/binanceusdm-BTC_USDT_USDT-funding_rate-2021.parquet", "manifest.json",
        "trades/kraken-BTC_USDT-trades-20210508.parquet",
    ]  # fmt: skip


def test_importing_twice_changes_no_byte(store: MarketStore) -> None:
    add(store, MINUTES, candles(500))
    before = content(store.root)
    times = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.parquet")}

    assert add(store, MINUTES, candles(500)) == 0

    assert content(store.root) == before
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*.parquet")} == times


def test_overlapping_rows_are_stored_once(store: MarketStore) -> None:
    table = candles(500)
    add(store, MINUTES, table.slice(100, 300))

    assert add(store, MINUTES, table.slice(0, 200)) == 100
    assert add(store, MINUTES, table.slice(350)) == 100
    assert store.read(MINUTES).equals(table)


def test_contradiction_names_both_values_and_changes_nothing(store: MarketStore) -> None:
    add(store, MINUTES, candles(10))
    before = content(store.root)

    with pytest.raises(
        DataError, match=r"test: expected what is stored already for binance BTC/USDT 1m at 2021"
    ):
        add(store, MINUTES, candles(50, seed=2))
    with pytest.raises(DataError, match="stored already"):
        add_both(store, trades(10), candles(5, seed=2))

    assert content(store.root) == before


def test_error_within_a_change_leaves_nothing(store: MarketStore) -> None:
    def fail() -> None:
        with store.change() as change:
            change.add(MINUTES, candles(10), "test")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert not store.root.exists()
    add(store, MINUTES, candles(5))
    before = content(store.root)
    with pytest.raises(RuntimeError):
        fail()
    assert content(store.root) == before


def test_two_tables_of_one_change_are_joined(store: MarketStore) -> None:
    table = candles(100)
    with store.change() as change:
        assert change.add(MINUTES, table.slice(0, 60), "one") == 60
        assert change.add(MINUTES, table.slice(40), "two") == 40

    assert store.read(MINUTES).equals(table)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and no clean-up is believed."""


def die_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> Callable[[], int]:
    """Let the n-th renaming or removal end the process, and none after it succeed."""
    count = 0
    real: dict[str, Callable[..., object]] = {"replace": Path.replace, "rename": os.rename}

    def guard(what: Callable[..., object]) -> Callable[..., object]:
        def guarded(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count >= call:
                raise Killed
            return what(*arguments, **options)

        return guarded

    monkeypatch.setattr(Path, "replace", guard(real["replace"]))
    monkeypatch.setattr(os, "rename", guard(real["rename"]))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    return lambda: count


@pytest.mark.parametrize("call", range(1, 8))
def test_change_cut_off_anywhere_is_all_or_nothing(tmp_path: Path, call: int) -> None:
    """Three months and a manifest: one rename makes it final, four moves put it in place."""
    table = candles(60 * 24, step=HOUR)
    halves = Series("binance", "BTC/USDT", "spot", "30m")
    expected = MarketStore(tmp_path / "whole")
    add(expected, halves, table)
    root = tmp_path / "market"
    with pytest.MonkeyPatch.context() as patch:
        calls = die_at(patch, "replace", call)
        try:
            add(MarketStore(root), halves, table)
        except Killed:
            assert calls() == call
        else:
            assert call > 5
    if (root / ".commit").is_dir():
        with pytest.raises(CandleError, match="not finished"):
            load_candles(root, "binance", "BTC/USDT", "30m")

    found = content(MarketStore(root).root)

    is_final = call > 1
    if is_final:
        assert found == content(expected.root)
    else:
        assert MarketStore(root).series() == []
    assert add(MarketStore(root), halves, table) == (0 if is_final else len(table))
    assert content(root) == content(expected.root)


def test_second_writer_is_refused(store: MarketStore) -> None:
    add(store, MINUTES, candles(5))
    handle = os.open(store.root / ".lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another command is writing"):
            add(store, MINUTES, candles(10))
        assert len(store.read(MINUTES)) == 5  # readers are not held up
    finally:
        os.close(handle)


def test_lock_that_somebody_removed_is_no_lock(store: MarketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock

    def removed_meanwhile(handle: int, how: int) -> None:
        (store.root / ".lock").unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)

    with pytest.raises(UserError, match="another command is writing"):
        add(store, MINUTES, candles(5))


def test_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="cannot be written"):
        add(MarketStore(tmp_path / "file" / "market"), MINUTES, candles(5))


def test_manifest_describes_every_file(store: MarketStore) -> None:
    add(store, MINUTES, candles(100))

    ((name, entry),) = store.manifest().files.items()
    assert name == "candles/binance-BTC_USDT-1m-202105.parquet"
    assert (entry.rows, entry.first_ms, entry.last_ms) == (100, START, START + 99 * MINUTE)
    assert entry.size == (store.root / name).stat().st_size


def test_damaged_manifest_is_one_line(store: MarketStore) -> None:
    add(store, MINUTES, candles(5))
    (store.root / "manifest.json").write_text("{")

    with pytest.raises(UserError, match="no manifest"):
        add(store, MINUTES, candles(10))


def test_trades_are_cut_into_days(store: MarketStore) -> None:
    table = trades(60, every=6 * HOUR)

    parts = dict(split(DEALS, table))

    assert list(parts)[:2] == ["20210508", "20210509"]
    assert sum(map(len, parts.values())) == 60
    assert (
        max(part["timestamp"].to_pylist()[-1] - part["timestamp"].to_pylist()[0] for part in parts.values())
        < DAY
    )


def test_trades_of_one_millisecond_keep_the_order_of_their_ids(store: MarketStore) -> None:
    table = trades(300)  # three to a millisecond, ids 900 to 1199: text and numbers sort differently
    add(store, DEALS, table.slice(100))
    add(store, DEALS, table.slice(0, 150))

    assert store.read(DEALS).equals(table)


def test_spans() -> None:
    assert joined([(5, 7), (1, 3), (3, 4), (6, 9), (2, 2)]) == [(1, 4), (5, 9)]
    assert without((0, 10), [(2, 3), (5, 7)]) == [(0, 2), (3, 5), (7, 10)]
    assert without((0, 10), [(-5, 20)]) == []
    assert without((0, 10), [(20, 30), (-9, -1)]) == [(0, 10)]
    assert without((0, 10), [(-5, 4), (9, 12)]) == [(4, 9)]
