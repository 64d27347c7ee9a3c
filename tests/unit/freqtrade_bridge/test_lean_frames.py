"""Frames that are packed come back as they were; of candles only what is read next stays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from freqtrade_bridge.lean_frames import REPORTED, give_back_memory, lean, pack, thin_out, unpack
from tests.kit.freqtrade_folder import walk


def seen() -> pd.DataFrame:
    return walk(1, 50).assign(open_count=2, max_count=3.0)


def test_a_strategys_own_columns_are_kept_and_the_rest_comes_back() -> None:
    frame = seen().copy()
    frame.insert(2, "early", 1.5)
    frame["close"] = frame["close"] * 2
    frame = frame.drop(columns="max_count")
    frame["tag"] = "a"

    packed = pack(frame, seen())

    assert list(packed.own) == ["early", "close", "tag"]
    assert_frame_equal(unpack(packed, seen()), frame)


@pytest.mark.parametrize("what", ["index", "doubled column"])
def test_an_unusual_frame_is_kept_whole(what: str) -> None:
    frame = seen()
    if what == "index":
        frame = frame.set_index("date", drop=False)
    else:
        frame = pd.concat([frame, frame[["close"]]], axis=1)

    packed = pack(frame, seen())

    assert packed.whole
    assert unpack(packed, seen()) is frame


def test_another_type_of_the_same_values_is_the_strategys_own() -> None:
    frame = seen()
    frame["open_count"] = frame["open_count"].astype("float64")

    packed = pack(frame, seen())

    assert list(packed.own) == ["open_count"]
    assert unpack(packed, seen())["open_count"].dtype == np.float64


def test_what_a_simulation_reads_shares_the_candles_prices() -> None:
    candles = walk(1, 50)
    frame = candles.copy(deep=True).assign(enter_long=1.0, enter_tag="a", mean=2.0)
    frame["high"] += 1.0

    kept = lean(frame, candles)

    assert list(kept) == ["date", "open", "high", "low", "close", "enter_long", "enter_tag"]
    assert np.shares_memory(kept["close"].to_numpy(), candles["close"].to_numpy())
    assert kept["high"].tolist() == frame["high"].tolist()
    assert kept["enter_long"].dtype == np.uint8


def test_candles_keep_only_what_is_read_next() -> None:
    candles = {"A/B": walk(1, 50)}
    close = candles["A/B"]["close"]

    thin_out(candles, REPORTED)
    give_back_memory()

    assert list(candles["A/B"]) == ["date", "open", "close"]
    assert candles["A/B"]["close"].equals(close)
