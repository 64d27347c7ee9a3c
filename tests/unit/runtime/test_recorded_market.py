"""Recorded data is judged before anything starts: one error that names file and row, nothing written."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from runtime.cli import app
from runtime.recorded_market import closing, recorded_market
from runtime.settings import load_settings

MINUTE_MS = 60_000
T0_MS = 1_620_432_000_000
GOOD = (100.0, 101.0, 99.0, 100.5, 7.0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, pair: str, rows: list[tuple[float, ...]], at: list[int] | None = None) -> Path:
    base, _, quote = pair.partition("/")
    times = at or [T0_MS + n * MINUTE_MS for n in range(len(rows))]
    columns = {"date": pa.array(times, pa.timestamp("ms", tz="UTC"))}
    for index, name in enumerate(("open", "high", "low", "close", "volume")):
        columns[name] = pa.array([row[index] for row in rows], pa.float64())
    path = folder / f"binance-{base}_{quote}-1m.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def error_of(*options: object) -> str:
    result = CliRunner().invoke(app, ["run", "--pairs", "BTC/USDT", *map(str, options)])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


BROKEN = {
    "NaN": (float("nan"), 101.0, 99.0, 100.0, 7.0),
    "infinite": (100.0, float("inf"), 99.0, 100.0, 7.0),
    "high below close": (100.0, 100.0, 99.0, 100.5, 7.0),
    "low above open": (100.0, 101.0, 100.2, 100.5, 7.0),
    "price of zero": (100.0, 101.0, 0.0, 100.5, 7.0),
    "negative volume": (100.0, 101.0, 99.0, 100.5, -1.0),
}


@pytest.mark.parametrize("row", BROKEN.values(), ids=BROKEN)
def test_impossible_candle_names_file_and_row(tmp_path: Path, home: Path, row: tuple[float, ...]) -> None:
    path = write(tmp_path, "BTC/USDT", [GOOD, GOOD, row, GOOD])

    text = error_of("--data", tmp_path)

    assert f"{path}: row 2: expected" in text
    assert not home.exists()


def test_conflicting_duplicate_names_file_and_row(tmp_path: Path, home: Path) -> None:
    other = (100.0, 101.0, 99.0, 100.7, 7.0)
    path = write(tmp_path, "BTC/USDT", [GOOD, GOOD, other], at=[T0_MS, T0_MS + MINUTE_MS, T0_MS + MINUTE_MS])

    text = error_of("--data", tmp_path)

    assert f"{path}: row " in text
    assert not home.exists()


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_text(path: Path) -> None:
    path.write_text("date,open,high,low,close,volume\n")


@pytest.mark.parametrize("damage", [damage_cut, damage_text])
def test_corrupt_file_is_named(tmp_path: Path, home: Path, damage: Callable[[Path], None]) -> None:
    path = write(tmp_path, "BTC/USDT", [GOOD] * 10)
    damage(path)

    assert str(path) in error_of("--data", tmp_path)
    assert not home.exists()


def test_empty_folder_and_unknown_pair_are_named(tmp_path: Path, home: Path) -> None:
    assert repr(str(tmp_path)) in error_of("--data", tmp_path)

    write(tmp_path, "BTC/USDC", [GOOD])
    assert "did you mean 'BTC/USDC'?" in error_of("--data", tmp_path)
    assert not home.exists()


def test_window_without_candles_says_what_there_is(tmp_path: Path, home: Path) -> None:
    write(tmp_path, "BTC/USDT", [GOOD] * 10)

    text = error_of("--data", tmp_path, "--from", "2022-01-01")

    assert "it has 2021-05-08 00:00 to 2021-05-08 00:09" in text
    assert not home.exists()


def test_gaps_and_identical_duplicates_are_noted_not_refused(market_data: Path) -> None:
    settings = load_settings(
        None,
        {
            "data": market_data / "candles" / "dirty",
            "pairs": "QLC/BTC",
            "timeframe": "5m",
            "quote": "BTC",
        },
    )

    market = recorded_market(settings)

    assert market.candles > 0
    assert any("candles missing" in note for note in market.notes)
    assert any("identical duplicates dropped" in note for note in market.notes)


def test_crosses_that_close_a_triangle_are_found(market_data: Path) -> None:
    settings = load_settings(
        None,
        {
            "data": market_data / "candles",
            "pairs": "BTC/USDT,ETH/USDT,LTC/USDT",
            "start": "2021-05-08",
            "end": "2021-05-20",
        },
    )

    market = recorded_market(settings)

    assert market.crosses == ("ETH/BTC", "LTC/BTC")
    assert market.candles == 5 * 12 * 1440


def test_cross_needs_both_of_its_assets_in_one_currency() -> None:
    present = ["ETH/BTC", "BTC/ETH", "LTC/BTC", "ETH/USDT"]

    assert closing(("BTC/USDT", "ETH/USDT"), present) == ("BTC/ETH", "ETH/BTC")
    assert closing(("BTC/USDT", "ETH/EUR"), present) == ()
