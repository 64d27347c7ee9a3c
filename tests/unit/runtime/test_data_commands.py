"""`parley data`: what the commands print and write, and that a mistake is one line that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from runtime.cli import app
from runtime.marketstore.formats import write
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore
from runtime.recorded_market import recorded_market
from runtime.settings import load_settings
from tests.kit.market import DEALS, HOUR, MINUTE, MINUTES, RATES, START, candles, content, settlements, trades

SINCE = ["download", "--pairs", "A/B", "--since", "2024-01-01"]
ETHER = Series("binance", "ETH/USDT", "spot", "1m")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "binance").mkdir(parents=True)
    write(candles(120), folder / "binance" / "BTC_USDT-1m.json", MINUTES)
    write(candles(120, seed=3), folder / "binance-ETH_USDT-1m.csv", ETHER)
    write(trades(60), folder / "kraken-BTC_USDT-trades.feather", DEALS)
    write(settlements(9), folder / RATES.file_name(), RATES)
    return folder


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *(str(each) for each in arguments)])


def done(*arguments: object) -> dict:
    result = parley(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    result = parley(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("parley: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_folder_of_mixed_files_is_imported_and_listed(home: Path, source: Path) -> None:
    (source / "notes-about.csv").write_text("nothing")

    told = done("import", source)

    assert [(one["pair"], one["rows"], one["added"]) for one in told["imported"]] == [
        ("BTC/USDT", 120, 120), ("ETH/USDT", 120, 120), ("BTC/USDT:USDT", 9, 9), ("BTC/USDT", 60, 60),
    ]  # fmt: skip
    assert [Path(path).name for path in told["skipped"]] == ["notes-about.csv"]
    assert told["database"] is None
    listed = done("list")["series"]
    assert [(one["pair"], one["kind"], one["timeframe"], one["rows"]) for one in listed] == [
        ("BTC/USDT", "spot", "1m", 120), ("ETH/USDT", "spot", "1m", 120),
        ("BTC/USDT:USDT", "funding_rate", "", 9), ("BTC/USDT", "trades", "", 60),
    ]  # fmt: skip
    assert (listed[0]["first_ms"], listed[0]["last_ms"]) == (START, START + 119 * MINUTE)
    assert [one["exchange"] for one in done("list", "--pair", "BTC/USDT")["series"]] == ["binance", "kraken"]


def test_second_import_adds_nothing(home: Path, source: Path) -> None:
    done("import", source)
    before = content(home / "market")

    told = done("import", source)

    assert {one["added"] for one in told["imported"]} == {0}
    assert content(home / "market") == before


def test_tables_for_people_name_what_happened(home: Path, source: Path) -> None:
    assert "309 new rows in" in parley("import", source).stdout
    assert "binanceusdm  BTC/USDT:USDT" in parley("list").stdout
    assert "nothing in" in parley("list", "--store", source.parent / "other").stdout
    assert parley("check").stdout == "4 checked, 0 with findings\n"


def test_imported_candles_are_what_a_run_reads(home: Path, source: Path) -> None:
    done("import", source)

    settings = load_settings(None, {"data": home / "market", "timeframe": "1m"})
    market = recorded_market(settings)

    assert market.pairs == ("BTC/USDT", "ETH/USDT")
    assert market.candles == 240


def test_gaps_are_told_by_import_and_list(home: Path, tmp_path: Path) -> None:
    table = candles(100)
    write(pa.concat_tables([table.slice(0, 10), table.slice(14)]), tmp_path / MINUTES.file_name(), MINUTES)

    (one,) = done("import", tmp_path / MINUTES.file_name())["imported"]

    assert one["missing"] == 4
    (one,) = done("list")["series"]
    assert (one["gaps"], one["missing"]) == (1, 4)


def test_file_with_a_column_of_pairs(home: Path, tmp_path: Path) -> None:
    one, two = candles(5), candles(5, seed=2)
    both = pa.concat_tables(
        [
            one.append_column("pair", pa.array(["BTC/USDT"] * 5)),
            two.append_column("pair", pa.array(["ETH/USDT"] * 5)),
        ]
    )
    pq.write_table(both, tmp_path / "binance-ALL_USDT-1m-2021.parquet")

    done("import", tmp_path / "binance-ALL_USDT-1m-2021.parquet")

    assert MarketStore(home / "market").read(ETHER).equals(two)
    assert done("check", tmp_path / "binance-ALL_USDT-1m-2021.parquet")["ok"]
    pq.write_table(pa.concat_tables([both, both.slice(9)]), tmp_path / "binance-ALL_USDT-1m-twice.parquet")
    result = parley("check", tmp_path / "binance-ALL_USDT-1m-twice.parquet")
    assert result.exit_code == 1
    assert "duplicate: ETH/USDT: the same row again (1)" in result.stdout


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("00:07:00.000Z,", "00:07:00.000Z,-"), "row 7: expected open above 0"),
        (lambda text: text + text.splitlines()[5] + "\n", "row 120: expected open times in order"),
        (
            lambda text: text.replace("00:07:00.000Z", "00:06:00.000Z"),
            "row 7: expected one candle per open time",
        ),
        (
            lambda text: text.replace("00:07:00.000Z", "00:07:30.000Z"),
            "row 7: expected open times on the 1m grid",
        ),
        (lambda text: text.replace("volume", "vol"), "missing: volume"),
    ],
)
def test_bad_row_is_one_line_and_nothing_is_imported(home: Path, source: Path, spoil, said: str) -> None:
    bad = source / "binance-ETH_USDT-1m.csv"
    bad.write_text(spoil(bad.read_text()))

    text = refused("import", source)

    assert said in text
    assert str(bad) in text
    assert not home.exists() or list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nowhere"], "no file or folder 'nowhere'"),
        (["import", "."], "found none"),
        (["import", "x.csv", "--kind", "candles"], "there is no kind 'candles'"),
        (["import", "x.csv", "--pair", "BTCUSDT"], "expected a pair"),
        (["import", "x.csv"], "name --exchange and --pair and --timeframe"),
        (["check", "nowhere"], "no file or folder"),
        (["check"], "there is nothing to check in"),
        (["check", "--allow", "gaps"], "did you mean 'gap'"),
        (["convert", "nowhere", "out"], "no file or folder"),
        (["convert", "x.csv", "out", "--to", "xlsx"], "there is no format 'xlsx'"),
        (["convert", "x.csv", "out", "--to-timeframe", "5"], "expected a timeframe"),
        (["convert", "x.csv", "out", "--names", "mine"], "there are no names 'mine'"),
        (["convert", "x.csv", "out.csv", "--to", "json"], "does not end in '.json'"),
        (["list", "--store", "x.csv"], "is not"),
        (["download", "--pairs", "", "--since", "2024-01-01"], "expected pairs and timeframes"),
        (["download", "--pairs", "BTCUSDT", "--since", "2024-01-01"], "expected a pair"),
        (["download", "--pairs", "BTC/USDT", "--since", "yesterday"], "expected a date"),
        ([*SINCE, "--until", "2023-01-01"], "--since before"),
        ([*SINCE, "--timeframes", "5"], "expected a timeframe"),
        ([*SINCE, "--exchange", "binanse"], "did you mean 'binance'"),
        ([*SINCE, "--kind", "tick"], "there is no kind 'tick'"),
        ([*SINCE, "--exchange", "kraken", "--address", "http://x"], "for 'binance' only"),
    ],
)  # fmt: skip
def test_mistake_is_one_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    if "x.csv" in arguments:
        Path("x.csv").write_text("date,open\n")

    assert said in refused(*arguments)
    assert not home.exists()


def test_check_of_a_store_finds_holes_between_files_and_changed_files(home: Path, tmp_path: Path) -> None:
    hours = Series("binance", "BTC/USDT", "spot", "30m")
    table = candles(4 * 31 * 48, step=30 * MINUTE)
    write(table, tmp_path / hours.file_name(), hours)
    done("import", tmp_path / hours.file_name())
    assert done("check")["ok"]
    files = MarketStore(home / "market").files(hours)
    files[1].unlink()  # all of June
    foreign = home / "market" / "candles" / MINUTES.file_name("202105")
    write(candles(10), foreign, MINUTES)
    pq.write_table(pq.read_table(files[2]), files[2], compression="none")  # the same rows, other bytes

    result = parley("check", "--json")

    assert result.exit_code == 1
    found = {
        (each["series"], one["code"], one["text"]): one
        for each in json.loads(result.stdout)["found"]
        for one in each["findings"]
    }
    gap = found["binance BTC/USDT 30m", "gap", "missing candles in 1 gaps"]
    assert gap["count"] == 30 * 48
    texts = {text for _, code, text in found if code == "manifest"}
    assert texts == {
        "files that were stored and are gone", "files that were not stored by Parley",
        "files that were changed after they were stored",
    }  # fmt: skip


def test_check_of_files_gives_places_and_the_exit_code(home: Path, tmp_path: Path) -> None:
    table = candles(100)
    path = tmp_path / MINUTES.file_name()
    write(pa.concat_tables([table.slice(0, 10), table.slice(12)]), path, MINUTES)

    result = parley("check", path)

    assert result.exit_code == 1
    assert "wrong: binance BTC/USDT 1m: gap: missing candles in 1 gaps (2)" in result.stdout
    assert "2021-05-08 00:10:00 to 2021-05-08 00:12:00 (2)" in result.stdout
    assert parley("check", path, "--allow", "gap").exit_code == 0
    sparse = path.rename(tmp_path / "kraken-BTC_USDT-1m.parquet")
    result = parley("check", sparse)
    assert result.exit_code == 0  # this venue omits empty minutes
    assert "normal: kraken BTC/USDT 1m: gap" in result.stdout
    assert not home.exists()


@pytest.mark.parametrize("to", ["parquet", "feather", "json", "jsongz", "csv"])
def test_store_is_converted_for_freqtrade_and_back(home: Path, source: Path, tmp_path: Path, to: str) -> None:
    done("import", source)

    told = done("convert", home / "market", tmp_path / "data", "--to", to, "--names", "freqtrade")

    assert len(told["written"]) == 4
    stems = {
        str(path.relative_to(tmp_path / "data")).split(".")[0] for path in (tmp_path / "data").rglob("*-*")
    }
    assert stems == {
        "binance/BTC_USDT-1m", "binance/ETH_USDT-1m", "kraken/BTC_USDT-trades",
        "binanceusdm/futures/BTC_USDT_USDT-8h-funding_rate",
    }  # fmt: skip
    done("import", tmp_path / "data", "--store", tmp_path / "again")
    assert content(tmp_path / "again") == content(home / "market")


def test_longer_candles_are_made_of_the_longest_that_fit(home: Path, tmp_path: Path) -> None:
    fives = Series("binance", "BTC/USDT", "spot", "5m")
    (tmp_path / "in").mkdir()
    for series, count in ((MINUTES, 600), (fives, 120)):
        write(candles(count, step=series.step_ms, seed=count), tmp_path / "in" / series.file_name(), series)
    write(trades(60), tmp_path / "in" / "binance-BTC_USDT-trades.json", DEALS)

    done("convert", tmp_path / "in", tmp_path / "h.csv", "--to-timeframe", "1h")

    hours = (tmp_path / "h.csv").read_text().splitlines()
    assert len(hours) == 11
    assert hours[1].split(",")[1] == str(candles(1, step=5 * MINUTE, seed=120)["open"][0].as_py())


def test_nothing_is_converted_when_one_file_is_bad(home: Path, source: Path, tmp_path: Path) -> None:
    bad = source / "binance-ETH_USDT-1m.csv"
    bad.write_text(bad.read_text().replace("00:07:00.000Z,", "00:07:00.000Z,-"))

    assert "row 7" in refused("convert", source, tmp_path / "out", "--to", "json")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_series_are_not_written_over_each_other(home: Path, tmp_path: Path) -> None:
    for kind in ("trades", "aggtrades"):
        write(trades(30), tmp_path / f"binance-BTC_USDT-{kind}.csv", DEALS)

    assert "and another series" in refused("convert", tmp_path, tmp_path / "out", "--names", "freqtrade")
    assert not list((tmp_path / "out").iterdir())


def test_pair_of_the_user_renames_no_file_of_a_folder(home: Path, source: Path) -> None:
    assert "--pair says 'BTC/USDT'" in refused("import", source, "--pair", "BTC/USDT")


def test_several_series_do_not_fit_into_one_file(home: Path, source: Path, tmp_path: Path) -> None:
    assert "name a folder" in refused("convert", source, tmp_path / "all.csv")
    assert "cannot be made of" in refused(
        "convert",
        source / "binanceusdm-BTC_USDT_USDT-funding_rate.parquet",
        tmp_path / "o",
        "--to-timeframe",
        "1d",
    )


def test_candle_that_is_not_complete_is_not_made(home: Path, tmp_path: Path) -> None:
    write(candles(30), tmp_path / MINUTES.file_name(), MINUTES)

    assert "no 1h candle is complete" in refused(
        "convert", tmp_path / MINUTES.file_name(), tmp_path / "out", "--to-timeframe", "1h"
    )
    assert START % HOUR == 0


@pytest.mark.parametrize("command", ["import", "list", "check", "convert", "download"])
def test_every_command_has_a_help_text(command: str) -> None:
    result = parley(command, "--help")

    assert result.exit_code == 0
    assert "--json" in result.stdout
