"""``python -m tests.kit.own_run FOLDER``: Parley's backtest of pickled options, in a process of its own.

Problem: what freqtrade's own loop has to do loads `freqtrade.optimize`, which the tests' process must not.

Not here: comparing (`freqtrade_reference`).
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

from tests.kit.freqtrade_reference import plain, run_apart


def own_run(options: Any, folder: Path) -> dict[str, Any]:
    """Backtest with these options; returns figures by strategy (`results`), `warnings`, and `refused`."""
    return run_apart("tests.kit.own_run", options, folder)


def _backtest(folder: Path) -> dict[str, Any]:
    from runtime.backtesting import run_backtest
    from runtime.watching import UNWATCHED

    done = run_backtest(pickle.loads((folder / "options.pickle").read_bytes()), UNWATCHED)
    return {
        "results": plain(
            {name: {**each, "trades": list(each["trades"])} for name, each in done.results.items()}
        ),
        "warnings": list(done.warnings),
        "refused": {each.name: each.reason for each in done.refused},
        "loaded": "freqtrade.optimize.backtesting" in sys.modules,
    }


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.pickle").write_bytes(pickle.dumps(_backtest(where)))
