"""``python -m tests.kit.own_run FOLDER``: Parley's backtest of pickled options, in a process of its own.

Problem: what freqtrade's own loop has to do loads `freqtrade.optimize`, which the tests' process must not.

Not here: comparing (`freqtrade_reference`).
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kit.freqtrade_reference import ROOT, plain


def own_run(options: Any, folder: Path) -> dict[str, Any]:
    """Backtest with these options; returns figures by strategy (`results`), `warnings`, and `refused`."""
    (folder / "own.pickle").write_bytes(pickle.dumps(options))
    command = [sys.executable, "-m", "tests.kit.own_run", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = pickle.loads((folder / "own.pickle").read_bytes())
    return result


def _backtest(folder: Path) -> dict[str, Any]:
    from runtime.backtesting import run_backtest
    from runtime.watching import UNWATCHED

    done = run_backtest(pickle.loads((folder / "own.pickle").read_bytes()), UNWATCHED)
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
    (where / "own.pickle").write_bytes(pickle.dumps(_backtest(where)))
