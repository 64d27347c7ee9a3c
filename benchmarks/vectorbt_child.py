"""vectorbt's side of the comparison: `Portfolio.from_signals` over arrays from a file, timed.

Run by an interpreter that has vectorbt and nothing of ours: ``python vectorbt_child.py ARRAYS RESULT N``.
ARRAYS is an .npz of float64 or bool [time, pair]: close, price, size, entries, exits, and the scalar fee.
RESULT gets the trades as arrays; standard output one JSON line with the seconds of each warm run.

Not here: what is compared (`against_vectorbt`). Imports nothing of this project.
"""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np

CASH = 1e9


def main() -> None:
    """Run the comparison's other side."""
    source, target, repeat = sys.argv[1], sys.argv[2], int(sys.argv[3])
    vectorbt: Any = importlib.import_module("vectorbt")
    with np.load(source) as given:
        fields = {name: given[name] for name in ("close", "price", "size", "entries", "exits")}
        fee = float(given["fee"])

    def run() -> Any:
        return vectorbt.Portfolio.from_signals(
            fields["close"], entries=fields["entries"], exits=fields["exits"], price=fields["price"],
            size=fields["size"], fees=fee, init_cash=CASH, direction="longonly", accumulate=False,
            freq="5min",
        )  # fmt: skip

    portfolio = run()
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        portfolio = run()
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    trades = portfolio.trades.values
    with_trades = time.perf_counter() - began
    names = ("col", "entry_idx", "exit_idx", "size", "entry_price", "exit_price", "pnl", "status")
    np.savez(target, **{name: trades[name] for name in names})
    figures = {"version": vectorbt.__version__, "seconds": seconds, "trades_s": with_trades}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
