"""Market data in PostgreSQL: what the store holds, once, read-only for the application."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from parley.errors import DataError
from runtime.cli import app
from runtime.marketstore.database import copy_file, writing
from runtime.marketstore.formats import write
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore
from runtime.postgres import Database, connect
from runtime.postgres.database import OWNER_ROLE, reach
from runtime.postgres.migrate import make_database, migrate
from tests.kit.database import fresh_database, rows, server
from tests.kit.market import DEALS, HOUR, MINUTES, RATES, candles, settlements, trades

HOURS = Series("binance", "BTC/USDT", "spot", "1h")


@pytest.fixture
def database() -> Database:
    return fresh_database()


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "market")


def fill(store: MarketStore, series: Series, table: pa.Table) -> list[Path]:
    with store.change() as change:
        change.add(series, table, "test")
    return store.files(series)


def copied(database: Database, files: list[Path]) -> int:
    with writing(database) as connection:
        return sum(copy_file(connection, path) for path in files)


def test_every_kind_arrives_with_the_values_of_the_store(database: Database, store: MarketStore) -> None:
    hours, deals, rates = candles(24 * 80, step=HOUR), trades(200), settlements(100)

    for series, table in ((HOURS, hours), (DEALS, deals), (RATES, rates)):
        assert copied(database, fill(store, series, table)) == len(table)

    found = rows(database, "candles", "t, open, high, low, close, volume", "t")
    assert found == [tuple(row.values()) for row in hours.to_pylist()]
    assert rows(database, "candles", "DISTINCT exchange, pair, kind, timeframe") == [
        ("binance", "BTC/USDT", "spot", "1h")
    ]
    found = rows(
        database,
        "market_trades",
        "extract(epoch from t) * 1000, trade_id, side, price, amount",
        "trade_id::int",
    )
    assert found == [(r["timestamp"], r["id"], r["side"], r["price"], r["amount"]) for r in deals.to_pylist()]
    assert rows(database, "funding_rates", "exchange, pair, t, rate", "t") == [
        ("binanceusdm", "BTC/USDT:USDT", row["date"], row["funding_rate"]) for row in rates.to_pylist()
    ]


def test_rows_lie_in_the_partition_of_their_month(database: Database, store: MarketStore) -> None:
    copied(database, fill(store, HOURS, candles(24 * 60, step=HOUR)))

    found = rows(
        database, "candles", "DISTINCT tableoid::regclass::text, date_trunc('month', t)::date::text", "1"
    )
    assert found == [
        ("parley.candles_y202105", "2021-05-01"), ("parley.candles_y202106", "2021-06-01"),
        ("parley.candles_y202107", "2021-07-01"),
    ]  # fmt: skip


def test_copying_again_adds_nothing_and_more_rows_add_only_those(
    database: Database, store: MarketStore
) -> None:
    files = fill(store, HOURS, candles(100, step=HOUR))
    assert copied(database, files) == 100
    assert copied(database, files) == 0

    assert copied(database, fill(store, HOURS, candles(130, step=HOUR))) == 30
    assert len(rows(database, "candles")) == 130


def test_other_values_are_refused_and_change_nothing(
    database: Database, store: MarketStore, tmp_path: Path
) -> None:
    copied(database, fill(store, HOURS, candles(10, step=HOUR)))
    before = rows(database, "candles", order="t")
    other = fill(MarketStore(tmp_path / "other"), HOURS, candles(20, step=HOUR, seed=2))

    with pytest.raises(
        DataError, match="expected the rows the database holds in 'candles', the one at 2021-05-08 00"
    ):
        copied(database, other)

    assert rows(database, "candles", order="t") == before


def test_application_reads_and_changes_nothing(database: Database, store: MarketStore) -> None:
    copied(database, fill(store, HOURS, candles(10, step=HOUR)))

    with connect(database, "test") as connection:
        assert connection.execute("SELECT count(*) FROM parley.candles").fetchone() == (10,)
        for statement in (
            "INSERT INTO parley.candles SELECT * FROM parley.candles", "UPDATE parley.candles SET close = 0",
            "DELETE FROM parley.funding_rates", "TRUNCATE parley.market_trades",
            "SELECT parley.ensure_market_month('candles', now())", "SELECT * FROM parley.candles_y202105",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "moment", "error"),
    [
        ("candles", "1999-12-31Z", psycopg.errors.DatetimeFieldOverflow),
        ("runs", "2021-01-01Z", psycopg.errors.RaiseException),
    ],
)
def test_month_outside_of_market_data_is_refused(
    database: Database, table: str, moment: str, error: type[Exception]
) -> None:
    with writing(database) as connection, pytest.raises(error):
        connection.execute("SELECT parley.ensure_market_month(%s, %s)", (table, moment))


# ---------------------------------------------------------------- TimescaleDB

# The embedded server cannot load the extension, so its catalogue says that it is there, and a function of
# its name writes down how it was called: that the migration goes that way, not that TimescaleDB likes it.
PRETEND = """
CREATE SCHEMA ext;
CREATE TABLE ext.calls (relation text, dimension text, every interval);
CREATE FUNCTION ext.create_hypertable(relation regclass, dimension name, chunk_time_interval interval)
    RETURNS void LANGUAGE sql AS $$
    INSERT INTO ext.calls VALUES (relation, dimension, chunk_time_interval) $$;
GRANT ALL ON SCHEMA ext TO PUBLIC;
GRANT ALL ON ext.calls TO PUBLIC;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    SELECT 99999, 'timescaledb', extowner, 'ext'::regnamespace, false, '2' FROM pg_extension LIMIT 1;
"""


@pytest.fixture
def pretending() -> Database:
    database = make_database(server(), "parley_hypertables")
    with reach(database.admin, "test") as connection:
        connection.execute("SET allow_system_table_mods = on")
        for statement in PRETEND.split(";\n"):
            connection.execute(statement)  # type: ignore[arg-type]
    return database  # it goes with the server: dropping it would write down what all tests before left


def test_where_timescaledb_is_installed_the_tables_become_hypertables(
    pretending: Database, store: MarketStore
) -> None:
    migrate(pretending)

    with reach(pretending.admin, "test") as connection:
        calls = connection.execute(
            "SELECT relation, dimension, every::text FROM ext.calls ORDER BY 1"
        ).fetchall()
        kinds = connection.execute(
            "SELECT relname, relkind::text, relowner::regrole::text FROM pg_class"
            " WHERE relname IN ('candles', 'market_trades', 'funding_rates') ORDER BY 1"
        ).fetchall()
    assert calls == [
        (f"parley.{name}", "t", "1 mon") for name in ("candles", "funding_rates", "market_trades")
    ]
    assert kinds == [(name, "r", OWNER_ROLE) for name in ("candles", "funding_rates", "market_trades")]
    files = fill(store, HOURS, candles(40, step=HOUR))
    assert copied(pretending, files) == 40
    assert copied(pretending, files) == 0  # its primary key is there too
    with connect(pretending, "test") as connection:
        assert connection.execute("SELECT count(*) FROM parley.candles").fetchone() == (40,)


# ---------------------------------------------------------------- the command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *(str(each) for each in arguments)])


def test_import_fills_store_and_database(
    home: Path, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.admin)
    path = tmp_path / MINUTES.file_name()
    write(candles(300), path, MINUTES)

    told = json.loads(parley("import", path, "--json").stdout)

    assert told["database"] == 300
    assert len(rows(database, "candles")) == 300
    assert json.loads(parley("import", path, "--json").stdout)["database"] == 0


def test_store_that_is_imported_into_itself_mends_the_database(
    home: Path, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = tmp_path / MINUTES.file_name()
    write(candles(300), path, MINUTES)
    assert json.loads(parley("import", path, "--json").stdout)["database"] is None
    monkeypatch.setenv("DATABASE_URL", database.admin)

    told = json.loads(parley("import", home / "market", "--json").stdout)

    assert {one["added"] for one in told["imported"]} == {0}
    assert told["database"] == 300


def test_database_that_cannot_be_reached_stops_the_import_before_the_store(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"host={tmp_path} dbname=parley")
    path = tmp_path / MINUTES.file_name()
    write(candles(5), path, MINUTES)

    result = parley("import", path)

    assert result.exit_code == 1
    assert result.stderr.startswith("parley: the database cannot be reached")
    assert result.stderr.count("\n") == 1
    assert not list(home.rglob("*.parquet"))
