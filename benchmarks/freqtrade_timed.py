"""freqtrade's side of the backtest benchmark: the child process that times its loop and its whole run.

Problem: freqtrade must not be imported by the process that times Parley, and its loop has to be timed apart
from loading. So this is a runner of `tests.differential.worker`, as the reference of the fuzz is.

Not here: Parley's side and the comparison (`backtest_vs_freqtrade`).

Invariant: the time is of freqtrade's own `backtest()`: analysed frames in, result frame out.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

from tests.differential.case import STRATEGY, Case
from tests.differential.outcome import COUNTS, KEPT_COUNTS, Outcome, plain, plain_columns, plain_dtypes
from tests.differential.reference import full_config, loaded
from tests.differential.strategy import write_strategy


def run(case: Case) -> Outcome:
    """Backtest `case`; ``seconds`` is the loop's time, and the wallet's course is left out for its size."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        write_strategy(case, Path(folder))
        with loaded(case, full_config(case, Path(folder))) as (back, candles, timerange):
            loop = back.backtest
            seconds = []

            def timed(**arguments: object) -> object:
                began = time.perf_counter()
                content = loop(**arguments)
                seconds.append(time.perf_counter() - began)
                return content

            back.backtest = timed
            back.backtest_one_strategy(back.strategylist[0], candles, timerange)
            content = back.all_bt_content[STRATEGY]
            counts = {name: plain(content[name]) for name in COUNTS}
            counts |= {name: plain(getattr(back, name)) for name in KEPT_COUNTS}
            trades = content["results"]
    return Outcome(plain_columns(trades), plain_dtypes(trades), counts, seconds=seconds[0])
