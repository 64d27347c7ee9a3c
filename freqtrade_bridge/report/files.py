"""Write a result as freqtrade's own commands read it: a zip, its metadata and the note which is the latest.

Problem: `freqtrade backtesting-show`, `backtesting-analysis` and its web page find results by file names and
by what is inside the zip. Not here: the figures (`strategy`).

Invariant: the zip is there whole or not at all, and the note names it only then. The run id is Parley's own,
so freqtrade never takes this result for one of its runs and skips a backtest.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import joblib
import orjson
from freqtrade.configuration import sanitize_config
from freqtrade.constants import LAST_BT_RESULT_FN, Config
from freqtrade.data import metrics
from freqtrade.misc import dump_json_to_file
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame

from freqtrade_bridge.report.figures import Figures


def store_result(
    folder: Path, config: Config, results: Mapping[str, Figures], comparison: list[Figures],
    strategies: Mapping[str, IStrategy], candles: dict[str, DataFrame], start: datetime, end: datetime,
    written: datetime, *, notes: str | None = None, signals: Mapping[str, Mapping[str, Any]] | None = None,
    wallets: Mapping[str, DataFrame] | None = None,
) -> Path:  # fmt: skip
    """Write the results of one run and return the zip.

    ``signals`` is what `--export signals` adds (signals, rejected and exited by strategy and pair),
    ``wallets`` the course of each strategy's wallet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = _free_stem(folder, f"backtest-result-{written:%Y-%m-%d_%H-%M-%S}")
    contents: dict[str, bytes] = {
        f"{stem}.json": _json({"strategy": dict(results), "strategy_comparison": comparison}),
        f"{stem}_config.json": _json(sanitize_config(config["original_config"])),
        f"{stem}_market_change.feather": _feather(
            metrics.combined_dataframes_with_rel_mean(candles, start, end)
        ),
    }
    for name, strategy in strategies.items():
        contents |= _sources(f"{stem}_{name}", Path(strategy.__file__))
    for name, wallet in (wallets or {}).items():
        contents[f"{stem}_{name}_wallet.feather"] = _feather(wallet)
    for name, frames in (signals or {}).items():
        buffer = BytesIO()
        joblib.dump(frames, buffer)
        contents[f"{stem}_{name}.pkl"] = buffer.getvalue()
    path = folder / f"{stem}.zip"
    _write(path, _zip(contents))
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
    text = StringIO()
    dump_json_to_file(text, value)
    return text.getvalue().encode()


def _feather(frame: DataFrame) -> bytes:
    buffer = BytesIO()
    frame.reset_index().to_feather(buffer, compression="lz4")
    return buffer.getvalue()


def _zip(contents: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    # Fast: trades repeat themselves so much that the best compression wins little. Feather is compressed.
    with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in contents.items():
            packed = ZIP_STORED if name.endswith(".feather") else ZIP_DEFLATED
            archive.writestr(name, content, compress_type=packed)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
