"""Strategies for paper tests: entries and exits at every so many candles, callbacks that fail on demand.

Not here: what they are tested for. Invariant: what they do depends on the candles' times only, so that nobody
has to look for a signal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parley.messages import Proposal
from tests.kit.paper_desk import Folder, PaperDesk, make_paper_agent

CLOCKWORK = '''
from datetime import datetime
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Clockwork(IStrategy):
    """Enter at every full half hour, leave twenty minutes later."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 5
    minimal_roi = {"0": 100}
    stoploss = -0.5
    can_short = False

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["minute"] = dataframe["date"].dt.minute
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        due = dataframe["minute"].isin([0, 30])
        dataframe.loc[due, ["enter_long", "enter_tag"]] = (1, "half_hour")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        due = dataframe["minute"].isin([20, 50])
        dataframe.loc[due, ["exit_long", "exit_tag"]] = (1, "twenty_later")
        return dataframe
'''


def write_strategy(folder: Path, body: str = "", name: str = "Clockwork") -> Path:
    """Write the clockwork with more methods or attributes (indented by four) under a name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.lower()}.py"
    path.write_text(CLOCKWORK.replace("class Clockwork", f"class {name}") + body)
    return path


FIRST = 30  # 02:30 on the first day, so that the candle of row 30 asks for an entry
ENTRIES = [(pair, "buy", "half_hour") for pair in ("AAA/USDT", "BBB/USDT", "CCC/USDT")]


def desk_of(folder: Folder, tmp_path: Path, body: str = "", begin: int = FIRST, **over: Any) -> PaperDesk:
    """Seat a clockwork with more methods at a desk."""
    write_strategy(tmp_path, body)
    return PaperDesk(make_paper_agent(folder, "Clockwork", begin, strategy_path=str(tmp_path), **over))


def play(desk: PaperDesk, folder: Folder, first: int = FIRST, last: int = FIRST + 1) -> list[Proposal]:
    """Let candles close; returns what was proposed."""
    return [bid for batch in folder.batches(first, last) for bid in desk.play(batch)]


def what(bids: list[Proposal]) -> list[tuple[str, str, str]]:
    """Return pair, side and reason of proposals."""
    return [(bid.symbol, bid.legs[0].side, bid.why) for bid in bids]
