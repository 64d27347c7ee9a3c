"""Parley's loop beside vectorbt's `Portfolio.from_signals`, on what both can do.

That is: one side (long), market entries and exits at the next candle's open, a fixed stake cut to the step of
the amount, one fee for all, one position per pair, pairs that do not compete for money or places. No profit
table, no stop, no tags, no order that waits, no limit of open trades, no wallet that runs out. freqtrade does
not enter where it is told to exit too, nor exit where it is told to enter; both signals are taken away
before, and so are those of the last candles, where freqtrade opens nothing. What is still open at the end
counts on both sides but is not compared: freqtrade closes it, vectorbt does not.

vectorbt is in an environment of its own (``python -m venv``, ``pip install vectorbt``), whose interpreter is
handed over. Timed is `from_signals` alone, warm, without vectorbt's making of trades; on our side analysed
frames in, result frame with all trades out.

Not here: the other benchmarks (`backtest_vs_freqtrade`). Invariant: the closed trades of both sides have the
same pairs, candles and amounts and the same profit to eight decimals, or nothing is timed.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks import simulated_markets as made
from tests.differential.case import Case

CHILD: Final = Path(__file__).with_name("vectorbt_child.py")
LIMIT_S: Final = 600
FEE: Final = 0.0005
STAKE: Final = 100.0
TIMES: Final = {"gate": 1, "goal": 10}
_STEPS_PER_COIN: Final = 1000
_ROUNDED: Final = 1e-8
_CLOSED: Final = 1

Arrays = dict[str, npt.NDArray[Any]]


def crossing_signals(shape: made.Shape) -> Case:
    """Return the case: random entries and exits, nothing else closes a trade."""
    case = made.signals_only(shape)
    for frame in case.frames.values():
        both = (frame["enter_long"] == 1) & (frame["exit_long"] == 1)
        frame.loc[both, ["enter_long", "exit_long"]] = 0
        frame.loc[frame.index[-3:], ["enter_long", "exit_long"]] = 0
    attributes = {**case.attributes, "minimal_roi": {}, "stoploss": -0.99}
    return case.but(attributes=attributes)


def arrays_of(case: Case) -> Arrays:
    """Return what vectorbt is given: signals one candle later, filled at the open."""
    frames = list(case.frames.values())
    opens = np.column_stack([frame["open"] for frame in frames])
    late = {
        what: np.column_stack([np.append(False, frame[column].to_numpy()[:-1] == 1) for frame in frames])
        for what, column in (("entries", "enter_long"), ("exits", "exit_long"))
    }
    # Prices have three decimals: the quotient is nowhere so near to a step that its last digit matters.
    size = np.floor(STAKE / opens * _STEPS_PER_COIN) / _STEPS_PER_COIN
    close = np.column_stack([frame["close"] for frame in frames])
    return {"close": close, "price": opens, "size": size, **late, "fee": np.array(FEE)}


def run_vectorbt(python: Path, arrays: Arrays, repeat: int) -> tuple[dict[str, Any], Arrays]:
    """Return vectorbt's figures and trades."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        source, target = Path(folder, "arrays.npz"), Path(folder, "trades.npz")
        np.savez(source, allow_pickle=False, **arrays)
        command = [str(python), str(CHILD), str(source), str(target), str(repeat)]
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise SystemExit(f"vectorbt failed:\n{done.stderr.decode()[-3000:]}")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        with np.load(target) as found:
            return figures, {name: found[name] for name in found.files}


def has_vectorbt(python: Path) -> bool:
    """Say whether this interpreter has vectorbt."""
    looked = [
        str(python),
        "-c",
        "import importlib.util as u; raise SystemExit(u.find_spec('vectorbt') is None)",
    ]
    try:
        return not subprocess.run(looked, capture_output=True, timeout=LIMIT_S, check=False).returncode
    except OSError:
        return False


def differences(case: Case, columns: dict[str, list[Any]], theirs: Arrays) -> list[str]:
    """Say what differs between the trades of both sides, by pair in order of time."""
    numbers = {pair: number for number, pair in enumerate(case.pairs)}
    closed = np.array([reason != "force_exit" for reason in columns["exit_reason"]])
    first = {pair: int(frame["date"].iloc[0].value // 10**6) for pair, frame in case.frames.items()}
    ours = {
        "col": np.array([numbers[pair] for pair in columns["pair"]]),
        "entry_idx": _rows(columns, "open_timestamp", first),
        "exit_idx": _rows(columns, "close_timestamp", first),
        "size": np.array(columns["amount"]),
        "pnl": np.array(columns["profit_abs"]),
    }
    done = theirs["status"] == _CLOSED
    if (closed.sum(), (~closed).sum()) != (done.sum(), (~done).sum()):
        return [
            f"{closed.sum()} closed and {(~closed).sum()} open trades, vectorbt {done.sum()}, {(~done).sum()}"
        ]
    mine = np.lexsort((ours["entry_idx"][closed], ours["col"][closed]))
    other = np.lexsort((theirs["entry_idx"][done], theirs["col"][done]))
    return [
        f"{name}: {np.abs(a - b).max()}"
        for name in ours
        if (np.abs((a := ours[name][closed][mine]) - (b := theirs[name][done][other])) > _ROUNDED).any()
    ]


def _rows(columns: dict[str, list[Any]], name: str, first: dict[str, int]) -> npt.NDArray[np.int64]:
    moments = zip(columns[name], columns["pair"], strict=True)
    return np.array([(moment - first[pair]) // made.STEP_MS for moment, pair in moments])
