"""How fast market data gets into the store and out of it, against reading and writing the same files plainly.

Recorded candles of Binance (PARLEY_DATA), copied out to the formats freqtrade keeps. The ways take turns in
one process; the rivals judge nothing and know no store, so they are the floor:

- import: `import_files` (read, judge each row, merge, hash, commit) against ``pyarrow``: read, write Parquet,
  and ``pandas``: `read_json`, `read_feather` and `to_parquet`, as freqtrade does, if it is installed;
- scan: `load_candles`, what a run reads, and `MarketStore.read`, against `pyarrow.parquet.read_table` and
  `pandas.read_parquet`;
- resample: 1m to 1h, against a pandas `resample().agg()`.

``python -m benchmarks.bench_data --save``. Every result is compared with the rival's before a time counts.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.yardsticks import machine
from runtime.marketstore.formats import read_raw, write
from runtime.marketstore.importing import find_sources, import_files
from runtime.marketstore.resample import resample
from runtime.marketstore.series import Given, Series, parse_name
from runtime.marketstore.store import MarketStore
from venues.recorded import load_candles

try:
    import pandas  # type: ignore[import-untyped,unused-ignore]
except ImportError:
    pandas = None

RESULTS: Final = Path(__file__).resolve().parent / "results" / "bench_data.json"
FILES: Final = (
    "candles/binance-BTC_USDT-5m.parquet", "candles/binance-BTC_USDT-1h.parquet",
    "candles/binance-ETH_USDT-1h.parquet", "candles/binance-BTC_USDT-1m-202105.parquet",
    "candles/binance-ETH_USDT-1m-202105.parquet",
)  # fmt: skip
SCANNED: Final = Series("binance", "BTC/USDT", "spot", "5m")
MINUTES: Final = Series("binance", "BTC/USDT", "spot", "1m")
FORMATS: Final = (".parquet", ".feather", ".json")


def prepare(data: Path, folder: Path) -> int:
    """Write the recorded files in every format and return how many rows one format has."""
    count = 0
    for name in FILES:
        series = parse_name(data / name)
        table = read_raw(data / name, series)
        count += len(table)
        for suffix in FORMATS:
            (folder / suffix).mkdir(exist_ok=True)
            write(table, folder / suffix / series.file_name(suffix=suffix), series)
    return count


def import_plainly(source: Path, target: Path) -> None:
    """Read with pyarrow, write Parquet."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.suffix == ".feather":
            table = feather.read_table(path)
        elif path.suffix == ".parquet":
            table = pq.read_table(path)
        else:
            columns = list(zip(*json.loads(path.read_bytes()), strict=True))
            table = pa.table(columns, names=["date", "open", "high", "low", "close", "volume"])
        pq.write_table(table, target / f"{path.stem}.parquet", compression="zstd")


def import_with_pandas(source: Path, target: Path) -> None:
    """Read and write as freqtrade's data handlers do."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.suffix == ".feather":
            frame = pandas.read_feather(path)
        elif path.suffix == ".parquet":
            frame = pandas.read_parquet(path)
        else:
            frame = pandas.read_json(path, orient="values")
            frame.columns = ["date", "open", "high", "low", "close", "volume"]
            frame["date"] = pandas.to_datetime(frame["date"], unit="ms", utc=True)
        frame.to_parquet(target / f"{path.stem}.parquet")


def import_to_store(source: Path, target: Path) -> None:
    """Import."""
    import_files(MarketStore(target), find_sources([source], Given())[0], lambda _: None)


def timed(ways: dict[str, Callable[[int], Any]], repeat: int) -> dict[str, float]:
    """Let the ways take turns and return the median seconds of each; the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeat + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way(turn)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(each) for name, each in seconds.items()}


def check_store(store: MarketStore, data: Path) -> None:
    """Refuse to measure a store that does not hold what the files hold."""
    for name in FILES:
        series = parse_name(data / name)
        if not store.read(series).equals(pq.read_table(data / name).cast(store.read(series).schema)):
            raise SystemExit(f"the store does not hold the rows of {name}")


def importing(folder: Path, data: Path, repeat: int) -> dict[str, dict[str, float]]:
    """Measure imports of each format, in seconds."""
    found = {}
    for suffix in FORMATS:
        source = folder / suffix
        import_to_store(source, folder / f"store{suffix}")
        check_store(MarketStore(folder / f"store{suffix}"), data)

        def into(
            way: Callable[[Path, Path], None], name: str, source: Path = source
        ) -> Callable[[int], None]:
            return lambda turn: way(source, folder / f"{name}{source.name}-{turn}")

        ways = {"parley": into(import_to_store, "parley"), "pyarrow": into(import_plainly, "plain")}
        if pandas is not None:
            ways["pandas"] = into(import_with_pandas, "pandas")
        found[suffix.removeprefix(".")] = timed(ways, repeat)
    return found


def scanning(folder: Path, repeat: int) -> dict[str, float]:
    """Measure reading one long series, in seconds."""
    root = folder / "store.parquet"
    store, files = MarketStore(root), MarketStore(root).files(SCANNED)
    run_reads = load_candles(root, SCANNED.exchange, SCANNED.pair, SCANNED.timeframe)
    table = pq.read_table(files)
    if not np.array_equal(run_reads.close, table["close"].to_numpy()) or not store.read(SCANNED).equals(
        table
    ):
        raise SystemExit("the readers do not agree")
    ways: dict[str, Callable[[int], Any]] = {
        "load_candles": lambda _: load_candles(root, SCANNED.exchange, SCANNED.pair, SCANNED.timeframe),
        "store": lambda _: store.read(SCANNED),
        "pyarrow": lambda _: pq.read_table(files),
    }
    if pandas is not None:
        ways["pandas"] = lambda _: pandas.concat([pandas.read_parquet(path) for path in files])
    return timed(ways, repeat)


def resampling(folder: Path, repeat: int) -> dict[str, float]:
    """Measure 1m to 1h, in seconds; with pandas the candles are compared first."""
    table = MarketStore(folder / "store.parquet").read(MINUTES)
    ways: dict[str, Callable[[int], Any]] = {"parley": lambda _: resample(MINUTES, table, "1h")}
    if pandas is not None:
        frame = table.to_pandas().set_index("date")
        rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
        hours = frame.resample("1h").agg(rules).dropna()
        made = resample(MINUTES, table, "1h").table.to_pandas().set_index("date")
        both = made.join(hours.add_suffix("_rival"))
        for name in rules:
            if not np.allclose(both[name], both[f"{name}_rival"], rtol=1e-12, atol=1e-9):
                raise SystemExit(f"pandas has other values of {name}")
        ways["pandas"] = lambda _: frame.resample("1h").agg(rules)
    return timed(ways, repeat)


def run(data: Path, repeat: int) -> dict[str, object]:
    """Measure everything and return the figures."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder = Path(name)
        rows = prepare(data, folder)
        imports, scans = importing(folder, data, repeat), scanning(folder, repeat)
        resamples = resampling(folder, repeat)
        scanned = len(MarketStore(folder / "store.parquet").read(SCANNED))
    return {
        "benchmark": "bench_data", "date": datetime.now(UTC).isoformat(timespec="seconds"), "runs": repeat,
        "rows": rows, "machine": machine(), "pandas": getattr(pandas, "__version__", None),
        "load": [round(each, 1) for each in os.getloadavg()],
        "import_rows_per_s": {
            kind: {way: round(rows / each) for way, each in found.items()} for kind, found in imports.items()
        },
        "scan_rows_per_s": {way: round(scanned / each) for way, each in scans.items()},
        "resample_ms": {way: round(each * 1000, 2) for way, each in resamples.items()},
    }  # fmt: skip


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="bench_data", description=__doc__.splitlines()[0])
    default = Path(os.environ.get("PARLEY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="folder of recorded market data")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    if not (arguments.data / FILES[0]).is_file():
        parser.error(f"there are no recorded candles in {str(arguments.data)!r}: set PARLEY_DATA")
    result = run(arguments.data, arguments.repeat)
    Console().print_json(json.dumps(result))
    if arguments.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
