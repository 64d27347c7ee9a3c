"""What `paper_hour` injects into a run on paper: how it was meant to be, and how it is.

Problem: a shadow that tells causes apart has to be shown causes that are known. So there are two folders of
candles, configuration and strategies: ``meant``, and ``run``, in which one candle, the fee and one strategy's
file are others. The fourth injection, a process that stands still, is done while the run goes on.

Not here: running it (`paper_hour`), judging what the shadow says (`paper_verdicts`).

Invariant: an injection that would change no trade is not made: backtests choose where.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from parley.errors import DataError

ROOT: Final = Path(__file__).resolve().parent.parent
CANDLE_MS: Final = 300_000
PAIRS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "AVAX/USDT")
STOPPED: Final = "OldNames"  # its process is stopped: latency
CHANGED: Final = "TrendCross"  # its file is another: code
CONTROL: Final = "BandReversion"  # nothing but candle and fee
STRATEGIES: Final = (STOPPED, CHANGED, CONTROL)
ALTERED: Final = "SOL/USDT"  # one candle of it is another: data
RAISED: Final = 1.05
PLACES: Final = 2  # as the recording has; more would change the price grid of the whole backtest
FEE_MEANT: Final = 0.0005
FEE_RUN: Final = 0.001  # what the venue takes: fill
_FAST, _OTHER_FAST = "timeperiod=12", "timeperiod=6"


@dataclass(frozen=True, slots=True)
class Setup:
    """A folder with candles, configuration and strategies."""

    folder: Path

    @property
    def candles(self) -> Path:
        """The data folder."""
        return self.folder / "candles"

    @property
    def config(self) -> Path:
        """freqtrade's configuration."""
        return self.folder / "config.json"

    @property
    def strategies(self) -> Path:
        """The folder of strategy files."""
        return self.folder / "strategies"

    @property
    def user(self) -> Path:
        """freqtrade's user folder."""
        return self.folder / "user"

    def options(self, strategy: str, timerange: str) -> Options:
        """How one strategy is tested in it."""
        return Options(
            user_data_dir=self.user, config=(self.config,), datadir=self.candles, strategy=strategy,
            strategy_path=self.strategies, timerange=timerange,
        )  # fmt: skip

    def trades(self, strategy: str, timerange: str) -> pd.DataFrame:
        """Backtest one strategy in it."""
        prepared = prepare(self.options(strategy, timerange))
        return simulate_strategy(prepared, analyse(prepared, prepared.strategies[0])).trades


def write_meant(folder: Path, data: Path) -> Setup:
    """Write how the run was meant to be, with the recorded candles of the data folder."""
    setup = Setup(folder)
    for place in (setup.candles, setup.strategies, setup.user):
        place.mkdir(parents=True)
    for pair in PAIRS:
        name = f"binance-{pair.replace('/', '_')}-5m-2022ftx.parquet"
        shutil.copy(data / "candles" / name, setup.candles / name)
    for path in (ROOT / "freqtrade_bridge" / "strategies").glob("*.py"):
        shutil.copy(path, setup.strategies / path.name)
    _write_config(setup, FEE_MEANT)
    return setup


def write_run(folder: Path, meant: Setup, timerange: str, not_before_ms: int) -> tuple[Setup, int]:
    """Write how the run is: another candle, fee and strategy file; returns when the candle opens, ms.

    Raises
    ------
    DataError
        When no candle after that moment would change a trade.
    """
    shutil.copytree(meant.folder, folder)
    setup = Setup(folder)
    _write_config(setup, FEE_RUN)
    file = setup.strategies / "trend_cross.py"
    text = file.read_text()
    if _FAST not in text:
        raise DataError(f"{file.name} was expected to say {_FAST}")
    file.write_text(text.replace(_FAST, _OTHER_FAST))
    (path,) = setup.candles.glob(f"*{ALTERED.replace('/', '_')}*")
    frame = pd.read_parquet(path)
    before = _moments(meant.trades(STOPPED, timerange))
    opens = frame["date"].astype("datetime64[ms, UTC]").astype("int64")
    for row in frame.index[opens >= not_before_ms][:200]:
        changed = frame.copy()
        changed.loc[row, ["close", "high"]] = round(changed.loc[row, "high"] * RAISED, PLACES)
        changed.to_parquet(path)
        trial = Setup(folder)
        if len(_moments(_with_fee(trial, STOPPED, timerange)) ^ before) >= 2:
            return setup, int(opens[row])
    raise DataError(f"no candle of {ALTERED} changes a trade of {STOPPED}")


def altered_of(meant: Setup, run: Setup) -> int:
    """When the candle opens that is another in the run than was meant, ms."""
    ((was,), (is_,)) = ([*setup.candles.glob(f"*{ALTERED.replace('/', '_')}*")] for setup in (meant, run))
    before, after = pd.read_parquet(was), pd.read_parquet(is_)
    (row,) = before.index[(before["close"] != after["close"]).to_numpy()]
    return int(before["date"].astype("datetime64[ms, UTC]").astype("int64")[row])


def entries(setup: Setup, timerange: str) -> list[int]:
    """When the strategy that is to be stopped enters in its backtest, ms."""
    return sorted({int(t) for t in setup.trades(STOPPED, timerange)["open_timestamp"]})


def spread_over(moments: Sequence[int], parts: Iterable[float], begin_ms: int, end_ms: int) -> list[int]:
    """For each part of the time from begin to end the first moment behind it."""
    wanted = [begin_ms + part * (end_ms - begin_ms) for part in parts]
    return [next(t for t in moments if t >= at) for at in wanted if moments and moments[-1] >= at]


def _with_fee(setup: Setup, strategy: str, timerange: str) -> pd.DataFrame:
    """Backtest with the fee that was meant, so that only the candles differ."""
    _write_config(setup, FEE_MEANT)
    try:
        return setup.trades(strategy, timerange)
    finally:
        _write_config(setup, FEE_RUN)


def _moments(trades: pd.DataFrame) -> set[tuple[str, int, int]]:
    ofs = zip(trades["pair"], trades["open_timestamp"], trades["close_timestamp"], strict=True)
    return {(str(pair), int(opened), int(closed)) for pair, opened, closed in ofs}


def _write_config(setup: Setup, fee: float) -> None:
    content = json.loads((ROOT / "docs" / "examples" / "freqtrade.json").read_text())
    content |= {"fee": fee, "max_open_trades": len(PAIRS)}
    content["exchange"]["pair_whitelist"] = list(PAIRS)
    setup.config.write_text(json.dumps(content, indent=2))
