"""Two strategies that trade by the market's clock, one of which holds something at any time, and candles.

Not here: who runs them. Invariant: what they want depends on the candles' times only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from tests.kit.freqtrade_folder import walk, write_candles
from tests.kit.paper_strategies import write_strategy

WARM_UP: Final = 12
CANDLES: Final = 42  # that are traded: seven half hours
EARLY: Final = "strategy/Clockwork"
LATE: Final = "strategy/Latework"
LEAVES: Final = "twenty_later"
# Enters when the other leaves: ten minutes of every half hour both hold something.
_OTHER_MINUTES: Final = """
    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["minute"].isin([10, 40]), ["enter_long", "enter_tag"]] = (1, "ten_past")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["minute"].isin([0, 30]), ["exit_long", "exit_tag"]] = (1, "twenty_later")
        return dataframe
"""


def write_clockworks(folder: Path, count: int) -> None:
    """Write candles with enough volume in small lots, and both strategies."""
    frames = {}
    for seed, name in enumerate(("AAA", "BBB", "CCC"), 1):
        volume = np.random.default_rng(seed).uniform(500, 900, count) * 10.0 ** (3 - seed)
        frames[f"{name}_USDT-5m"] = walk(seed, count, price=10.0**seed).assign(volume=volume.round(3))
    write_candles(folder / "candles", frames)
    write_strategy(folder / "strategies")
    write_strategy(folder / "strategies", _OTHER_MINUTES, "Latework")
