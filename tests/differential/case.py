"""One differential case: markets, candles with signals, configuration, strategy; kept as JSON.

Problem: a difference that is found once must stay found. So a case is plain data: it goes through a pipe to
the reference process and into a file, and says the same on both sides of each.

Not here: how random cases are drawn (`generator`) and what is made of them (`reference`, `ours`).

Invariant: `from_json(to_json(case))` is the case, float for float. Frames hold `date` (UTC), the five candle
columns and the signal columns a strategy would add; missing signal columns are part of the case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

CANDLE_COLUMNS = ("date", "open", "high", "low", "close", "volume")
SIGNAL_COLUMNS = ("enter_long", "exit_long", "enter_short", "exit_short", "enter_tag", "exit_tag")
# So are the signal columns called in the candles the strategy is handed; it copies them under their own name.
CARRIED = "case_"
STRATEGY = "CaseStrategy"
TIMEFRAME_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "8h": 28_800_000}

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """Everything a backtest needs, and where it came from.

    ``config`` is a user's freqtrade configuration; ``attributes`` are the strategy's class attributes and
    ``hooks`` the bodies of its callbacks by name (see `hooks`). ``markets`` and ``tiers`` are ccxt's market
    and leverage tier records by pair. ``funding`` holds (date, open) per pair, ``mark`` the mark candles.
    """

    seed: int
    number: int
    level: int
    config: dict[str, Any]
    attributes: dict[str, Any]
    markets: dict[str, dict[str, Any]]
    frames: Frames
    precision_mode: int = 4
    hooks: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    detail: Frames = field(default_factory=dict)
    funding: Frames = field(default_factory=dict)
    mark: Frames = field(default_factory=dict)
    note: str = ""

    @property
    def pairs(self) -> list[str]:
        """The traded pairs, in the order of the white list."""
        return list(self.config["exchange"]["pair_whitelist"])

    @property
    def timeframe(self) -> str:
        return str(self.attributes["timeframe"])

    @property
    def is_futures(self) -> bool:
        return self.config["trading_mode"] == "futures"

    @property
    def label(self) -> str:
        """How to run this case again."""
        return f"--seed {self.seed} --level {self.level} --case {self.number}"

    def option(self, name: str, default: Any = None) -> Any:
        """Return a setting as freqtrade resolves it: the configuration wins over the strategy."""
        return self.config.get(name, self.attributes.get(name, default))

    def but(self, **changes: Any) -> Case:
        """Return a copy with other fields."""
        return replace(self, **changes)


def to_json(case: Case) -> str:
    """Return `case` as JSON text; not-a-number and infinity are written as Python reads them."""
    plain = {name: getattr(case, name) for name in _PLAIN}
    frames = {
        name: {pair: _columns(frame) for pair, frame in getattr(case, name).items()} for name in _FRAMES
    }
    return json.dumps({**plain, **frames}, indent=1)


def from_json(text: str) -> Case:
    """Return the case that `to_json` wrote."""
    read = json.loads(text)
    unknown = read.keys() - {*_PLAIN, *_FRAMES}
    if unknown:
        raise ValueError(f"a case has the fields {[*_PLAIN, *_FRAMES]!r}, not {sorted(unknown)!r}")
    for name in _FRAMES:
        read[name] = {pair: _frame(columns) for pair, columns in read[name].items()}
    return Case(**read)


def load_cases(folder: Path) -> dict[str, Case]:
    """Read the fixed cases of `folder` by file name."""
    return {path.name: from_json(path.read_text()) for path in sorted(folder.glob("*.json"))}


_PLAIN = (
    "seed", "number", "level", "config", "attributes", "markets", "precision_mode", "hooks", "tiers", "note",
)  # fmt: skip
_FRAMES = ("frames", "detail", "funding", "mark")


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    columns: dict[str, Any] = {"date": frame["date"].dt.as_unit("ms").astype("int64").tolist()}
    for name in frame.columns.drop("date"):
        # Tags may be pandas' text type or Python objects, and freqtrade does not treat both alike.
        is_tag = str(name).endswith("_tag")
        values = frame[name].tolist()
        columns[str(name)] = {"dtype": str(frame[name].dtype), "values": values} if is_tag else values
    return columns


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame({"date": dates(columns["date"])})
    for name, values in columns.items():
        if isinstance(values, dict):
            frame[name] = pd.Series(values["values"], dtype=values["dtype"])
        elif name != "date":
            frame[name] = values
    return frame


def dates(stamps_ms: Any) -> pd.Series:
    """Return UTC dates of milliseconds in the resolution that freqtrade's loaders give (ms)."""
    return pd.Series(pd.to_datetime(stamps_ms, unit="ms", utc=True)).dt.as_unit("ms")
