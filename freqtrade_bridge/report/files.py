"""Write a result as freqtrade's own commands read it: a zip, its metadata and the note which is the latest.

Problem: `freqtrade backtesting-show`, `backtesting-analysis` and its web page find results by file names and
by what is inside the zip. Not here: the figures (`strategy`).

Invariant: the zip is there whole or not at all, and the note names it only then; it is written piece by
piece and never in memory as a whole. The run id is Parley's own, so freqtrade never takes this result for one
of its runs and skips a backtest.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import joblib
import orjson
from freqtrade.configuration import sanitize_config
from freqtrade.constants import LAST_BT_RESULT_FN, Config
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame

from freqtrade_bridge.report.figures import Figures
from freqtrade_bridge.report.market_change import market_change
from freqtrade_bridge.report.records import TradeRecords
from freqtrade_bridge.report.wallet import WalletCourse

Content = bytes | Callable[[BinaryIO], object]
"""What a file of the zip holds, or what writes it."""


def store_result(
    folder: Path, config: Config, results: Mapping[str, Figures], comparison: list[Figures],
    strategies: Mapping[str, IStrategy], candles: dict[str, DataFrame], start: datetime, end: datetime,
    written: datetime, *, notes: str | None = None, signals: Mapping[str, Mapping[str, Any]] | None = None,
    wallets: Mapping[str, WalletCourse] | None = None,
) -> Path:  # fmt: skip
    """Write the results of one run and return the zip.

    ``signals`` is what `--export signals` adds (signals, rejected and exited by strategy and pair),
    ``wallets`` the course of each strategy's wallet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = _free_stem(folder, f"backtest-result-{written:%Y-%m-%d_%H-%M-%S}")
    contents: dict[str, Content] = {
        f"{stem}.json": partial(_write_results, results, comparison),
        f"{stem}_config.json": _json(sanitize_config(config["original_config"])),
        f"{stem}_market_change.feather": lambda file: _write_feather(
            market_change(candles, start, end), file
        ),
    }
    for name, strategy in strategies.items():
        contents |= _sources(f"{stem}_{name}", Path(strategy.__file__))
    for name, wallet in (wallets or {}).items():
        contents[f"{stem}_{name}_wallet.feather"] = wallet.write
    for name, frames in (signals or {}).items():
        contents[f"{stem}_{name}.pkl"] = partial(joblib.dump, frames)
    path = folder / f"{stem}.zip"
    with _replacing(path) as file:
        _write_zip(contents, file)
    _write(folder / f"{stem}.meta.json", _json(_metadata(results, strategies, start, end, notes)))
    _write(folder / LAST_BT_RESULT_FN, _json({"latest_backtest": path.name}))
    return path


def _free_stem(folder: Path, wanted: str) -> str:
    # Two runs of one second must not overwrite each other.
    stem, number = wanted, 1
    while (folder / f"{stem}.zip").exists():
        number += 1
        stem = f"{wanted}-{number}"
    return stem


def _metadata(
    results: Mapping[str, Figures], strategies: Mapping[str, IStrategy], start: datetime, end: datetime,
    notes: str | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        name: {
            "run_id": _run_id(strategies[name]),
            "backtest_start_time": result["backtest_run_start_ts"],
            "timeframe": result["timeframe"],
            "timeframe_detail": result["timeframe_detail"] or None,
            "backtest_start_ts": int(start.timestamp()),
            "backtest_end_ts": int(end.timestamp()),
        }
        | ({"notes": notes} if notes else {})
        for name, result in results.items()
    }


def _run_id(strategy: IStrategy) -> str:
    settings = {key: value for key, value in strategy.config.items() if key != "original_config"}
    digest = hashlib.sha256(b"parley")
    digest.update(_json(settings))
    digest.update(Path(strategy.__file__).read_bytes())
    return digest.hexdigest()[:40]


def _sources(stem: str, file: Path) -> dict[str, bytes]:
    parameters = file.with_suffix(".json")
    found = {f"{stem}.py": file.read_bytes()} if file.is_file() else {}
    return found | ({f"{stem}.json": parameters.read_bytes()} if parameters.is_file() else {})


def plain(value: object) -> Any:
    """Turn figures into what JSON has, as the result file has them."""
    return orjson.loads(_json(value))


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=_told, option=orjson.OPT_SERIALIZE_NUMPY)


def _told(value: object) -> object:
    # What JSON has no name for is its text, as in freqtrade's file.
    return list(value) if isinstance(value, TradeRecords) else str(value)


def _write_results(results: Mapping[str, Figures], comparison: list[Figures], file: BinaryIO) -> None:
    file.write(b'{"strategy":{')
    for number, (name, figures) in enumerate(results.items()):
        file.write((b"," if number else b"") + _json(name) + b":{")
        if isinstance(records := figures.get("trades"), TradeRecords):
            file.write(b'"trades":')
            file.writelines(records.as_json())
            figures = {key: value for key, value in figures.items() if key != "trades"}
            file.write(b",")
        file.write(_json(figures)[1:])
    file.write(b'},"strategy_comparison":' + _json(comparison) + b"}")


def _write_feather(frame: DataFrame, file: BinaryIO) -> None:
    frame.reset_index().to_feather(file, compression="lz4")


def _write_zip(contents: Mapping[str, Content], file: BinaryIO) -> None:
    # Fast: trades repeat themselves so much that the best compression wins little. Feather is compressed.
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in contents.items():
            entry = ZipInfo(name, time.localtime()[:6])
            entry.external_attr = 0o644 << 16
            entry.compress_type = ZIP_STORED if name.endswith(".feather") else ZIP_DEFLATED
            entry._compresslevel = 1  # type: ignore[attr-defined]  # the archive's own is for names only
            with archive.open(entry, "w") as inside:
                if isinstance(content, bytes):
                    inside.write(content)
                else:
                    content(cast(BinaryIO, inside))


def _write(path: Path, content: bytes) -> None:
    with _replacing(path) as file:
        file.write(content)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
