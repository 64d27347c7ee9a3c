"""Whatever order pieces come in, the store is the same; what goes out and comes in again is what it was."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.marketstore.exporting import Wish, export_files
from runtime.marketstore.formats import SUFFIX_OF, read_raw
from runtime.marketstore.importing import find_sources, import_files
from runtime.marketstore.manifest import joined, without
from runtime.marketstore.resample import candles_of_trades, resample
from runtime.marketstore.series import Given, Series
from runtime.marketstore.store import MarketStore
from runtime.marketstore.tables import canonical
from tests.kit.effort import examples
from tests.kit.market import (
    DEALS,
    HOUR,
    MINUTE,
    MINUTES,
    RATES,
    START,
    candles_at,
    content,
    settlements,
    trades,
)
from venues.recorded import CandleError

FEW = settings(max_examples=examples(10))  # each writes some files to disk
PIECES = st.lists(st.tuples(st.integers(0, 119), st.integers(1, 60)), min_size=1, max_size=4)


@st.composite
def sparse_candles(draw: st.DrawFn) -> pa.Table:
    """Candles with holes, around the end of a month so that they lie in two files."""
    at = draw(st.sets(st.integers(0, 300), min_size=1, max_size=120))
    begin = START + 23 * 24 * HOUR + 22 * HOUR  # two hours before June
    return candles_at(begin + MINUTE * np.array(sorted(at), dtype=np.int64))


def store_of(pieces: list[tuple[Series, pa.Table]], root: Path, *, at_once: bool) -> dict[str, bytes]:
    store = MarketStore(root)
    if at_once:
        with store.change() as change:
            for series, table in pieces:
                change.add(series, table, "test")
    else:
        for series, table in pieces:
            with store.change() as change:
                change.add(series, table, "test")
    return content(root)


@FEW
@given(sparse_candles(), PIECES, st.randoms(use_true_random=False), st.booleans())
def test_any_order_of_any_pieces_gives_the_same_store(
    table: pa.Table, cuts: list[tuple[int, int]], chance: object, at_once: bool
) -> None:
    deals, rates = trades(120), settlements(120, step=2 * HOUR)
    wholes = [(MINUTES, table), (DEALS, deals), (RATES, rates)]
    # The pieces overlap, and the whole comes somewhere among them, so nothing is left out.
    pieces = [
        (series, whole.slice(first, count)) for series, whole in wholes for first, count in cuts
    ] + wholes
    chance.shuffle(pieces)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        expected = store_of(wholes, Path(folder, "a"), at_once=True)
        found = store_of([each for each in pieces if len(each[1])], Path(folder, "b"), at_once=at_once)
    assert found == expected


@FEW
@given(sparse_candles(), st.sampled_from(sorted(SUFFIX_OF)), st.sampled_from(["parley", "freqtrade"]))
def test_import_of_an_export_is_the_same_store(table: pa.Table, format_: str, names: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second, between = Path(folder, "a"), Path(folder, "b"), Path(folder, "out")
        before = store_of(
            [(MINUTES, table), (DEALS, trades(100)), (RATES, settlements(40))], first, at_once=True
        )
        wish = Wish(suffix=SUFFIX_OF[format_], names=names)
        export_files(find_sources([first], Given())[0], between, wish, lambda _: None)
        import_files(MarketStore(second), find_sources([between], Given())[0], lambda _: None)
        after = content(second)
    assert after == before


@given(sparse_candles(), st.sampled_from(["3m", "5m", "15m", "1h"]))
def test_longer_candles_conserve_what_they_are_made_of(table: pa.Table, wanted: str) -> None:
    length = Series("x", "A/B", "spot", wanted).step_ms
    source = [row | {"t": int(row["date"].timestamp() * 1000)} for row in table.to_pylist()]

    made = resample(MINUTES, table, wanted).table

    opens = made["date"].cast(pa.int64()).to_pylist()
    assert opens == sorted(set(opens))
    used = [row for row in source if row["t"] // length * length in set(opens)]
    volume = sum((Decimal(repr(row["volume"])) for row in used), Decimal(0))
    assert sum((Decimal(repr(each)) for each in made["volume"].to_pylist()), Decimal(0)) == volume
    for candle, at in zip(made.to_pylist(), opens, strict=True):
        rows = [row for row in source if at <= row["t"] < at + length]
        assert candle["open"] == rows[0]["open"]
        assert candle["close"] == rows[-1]["close"]
        assert candle["high"] == max(row["high"] for row in rows)
        assert candle["low"] == min(row["low"] for row in rows)
    left_out = [row for row in source if row["t"] // length * length not in set(opens)]
    assert {row["t"] // length for row in left_out} <= {source[0]["t"] // length, source[-1]["t"] // length}


@given(st.integers(1, 300), st.sampled_from(["1m", "5m"]))
def test_candles_of_trades_conserve_amounts(count: int, wanted: str) -> None:
    table = trades(count)

    made = candles_of_trades(table, wanted)

    amounts = sum((Decimal(repr(each)) for each in table["amount"].to_pylist()), Decimal(0))
    assert sum((Decimal(repr(each)) for each in made["volume"].to_pylist()), Decimal(0)) == amounts
    assert max(made["high"].to_pylist()) == max(table["price"].to_pylist())
    assert min(made["low"].to_pylist()) == min(table["price"].to_pylist())


@given(st.integers(1, 4), st.integers(1, 4), sparse_candles())
def test_resampling_in_two_steps_is_resampling_in_one(first: int, second: int, table: pa.Table) -> None:
    between, wanted = f"{first}m", f"{first * second}m"
    steps = Series("x", "A/B", "spot", between)

    halfway = resample(MINUTES, table, between).table
    if len(halfway):
        twice = resample(steps, halfway, wanted).table.to_pylist()
        once = {row["date"]: row for row in resample(MINUTES, table, wanted).table.to_pylist()}
        # What is incomplete at an end for the first step is missing for the second.
        assert all(once[row["date"]] == row for row in twice[1:-1])


SPANS = st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60)), max_size=8)


@given(SPANS)
def test_joined_spans_cover_the_same_and_do_not_touch(spans: list[tuple[int, int]]) -> None:
    found = joined(spans)

    assert points(found) == points(spans)
    assert all(one[1] < two[0] for one, two in pairwise(found))


@given(st.integers(-10, 40), st.integers(1, 30), SPANS)
def test_what_is_lacking_is_the_rest(begin: int, length: int, covered: list[tuple[int, int]]) -> None:
    wanted = (begin, begin + length)

    assert points(without(wanted, covered)) == points([wanted]) - points(covered)


def points(spans: list[tuple[int, int]]) -> set[int]:
    return {at for first, end in spans for at in range(first, end)}


@pytest.mark.parametrize("format_", sorted(SUFFIX_OF))
@given(text=st.binary(max_size=60))
def test_bytes_of_any_kind_are_read_or_refused(format_: str, text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"x{SUFFIX_OF[format_]}")
        path.write_bytes(text)
        with suppress(CandleError):  # any other error would be a traceback for the user
            assert len(canonical(MINUTES, read_raw(path, MINUTES), path).table)
