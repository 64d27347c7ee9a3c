"""Three freqtrade strategies and the whole desk over a year of ten pairs, and over a recorded crash.

``python -m benchmarks.bench_desk [--save] [--only year|crash]`` prints JSON. The year is made up and seeded:
5m candles of ten pairs, `TrendCross`, `BandReversion` and `ChannelBreakout` with the desk's own risk, capital
and meta-decision agents, look-ahead check included; target five minutes on two cores. The crash is the
recorded window of eight pairs in November 2022. Both lay the desk beside the strategies without one, together
and each alone; no other system lets them negotiate, so there is no rival to time.

Not here: that a strategy nobody objects to trades as without a desk (`tests.parity`).

Invariant: no time is printed before a month of the same candles gave one fingerprint under two hash seeds and
its journal replayed; every run's ledger has to equal its exchange.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from benchmarks.yardsticks import machine
from tests.kit.freqtrade_folder import CONFIG, STRATEGIES, hourly, walk, write_candles

RESULTS: Final = Path(__file__).parent / "results" / "bench_desk.json"
ROOT: Final = Path(__file__).resolve().parent.parent
PARLEY: Final = Path(sys.executable).parent / "parley"
YEAR: Final = 105_120
PAIRS: Final = [f"{letter * 3}/USDT" for letter in "ABCDEFGHIJ"]
SEATED: Final = ("TrendCross", "BandReversion", "ChannelBreakout")
SEATED_CRASH: Final = ("TrendCross", "BandReversion", "OldNames")  # no hours are recorded of all eight pairs
MONTH: Final = "20240401-20240501"
CRASH: Final = "20221101-20221130"
FALLEN: Final = [f"{name}/USDT" for name in ("ADA", "ALICE", "AVAX", "BTC", "ETH", "LINK", "SOL", "XRP")]
TARGET_S: Final = 300.0


def market_data() -> Path:
    """Return the folder of recorded data; ends with one line when there is none."""
    folder = Path(os.environ.get("PARLEY_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "manifest.csv").is_file():
        raise SystemExit(f"bench_desk: no market data in {folder}; set PARLEY_DATA or use --only year")
    return folder


def write_year(folder: Path) -> list[str]:
    """Write candles, configuration and an empty desk; return the words of a command that reads them."""
    frames: dict[str, pd.DataFrame] = {}
    for number, pair in enumerate(PAIRS):
        frame = walk(number + 1, YEAR, price=10.0 * (number + 1))
        stem = pair.replace("/", "_")
        frames |= {f"{stem}-5m": frame, f"{stem}-1h": hourly(frame)}
    write_candles(folder / "candles", frames)
    return configured(folder, PAIRS, folder / "candles")


def configured(folder: Path, pairs: list[str], candles: Path) -> list[str]:
    """Write a configuration of these pairs; return the words of a command that reads it."""
    exchange = {"name": "binance", "pair_whitelist": pairs}
    config = CONFIG | {"max_open_trades": 5, "dry_run_wallet": 10_000, "exchange": exchange}
    (folder / "config.json").write_text(json.dumps(config))
    return ["--config", str(folder / "config.json"), "--datadir", str(candles)]


def run(
    folder: Path, words: list[str], hash_seed: str = "0", seated: tuple[str, ...] = SEATED
) -> dict[str, Any]:
    """Run one `parley backtest` with the desk and return what it said, with its seconds and peak memory.

    Memory is that of the largest process this program started so far.
    """
    (folder / "desk.toml").touch()
    command = [
        str(PARLEY), "backtest", "--desk", str(folder / "desk.toml"), "--strategy-path", str(STRATEGIES),
        "--strategy-list", *seated, "--json", *words,
    ]  # fmt: skip
    home = folder / "home"
    home.mkdir(exist_ok=True)
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PARLEY_HOME": str(home)},
    )  # fmt: skip
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"bench_desk: parley backtest ended with {done.returncode}: {done.stdout[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    if said["ledger_equals_exchange"] is not True:
        raise SystemExit("bench_desk: the desk's ledger does not equal its exchange")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return said | {"wall_s": round(seconds, 1), "peak_mb": round(peak / 1024)}


def check_month(folder: Path, words: list[str]) -> dict[str, Any]:
    """Run a month under two hash seeds and replay it; ends the program unless all agree."""
    journal = folder / "month.journal"
    first = run(folder, [*words, "--timerange", MONTH, "--journal", str(journal)], "1")
    second = run(folder, [*words, "--timerange", MONTH], "2")
    if first["fingerprint"] != second["fingerprint"]:
        both = f"{first['fingerprint']} and {second['fingerprint']}"
        raise SystemExit(f"bench_desk: fingerprints {both} differ")
    replayed = subprocess.run(
        [str(PARLEY), "replay", str(journal), "--json"], check=False, capture_output=True
    )
    if replayed.returncode:
        raise SystemExit(
            f"bench_desk: the replay ended with {replayed.returncode}: {replayed.stdout[-500:]!r}"
        )
    return {"fingerprint": first["fingerprint"], "runs_equal": 2, "replay_equal": True}


def figures(said: dict[str, Any]) -> dict[str, Any]:
    """Choose what is worth keeping of a run."""
    kept = (
        "wall_s", "seconds", "peak_mb", "candles", "rounds", "decisions", "orders", "fills", "fingerprint",
        "strategies", "comparison", "ledger_equals_exchange",
    )  # fmt: skip
    return {name: said[name] for name in kept if name in said}


def run_year(folder: Path) -> dict[str, Any]:
    """Check a month, then time the year."""
    words = write_year(folder)
    checked = check_month(folder, words)
    said = run(folder, words)
    return {"month": checked, "target_s": TARGET_S, "ok": said["wall_s"] <= TARGET_S} | figures(said)


def run_crash(folder: Path) -> dict[str, Any]:
    """Lay the desk beside each strategy alone over the recorded crash."""
    words = [*configured(folder, FALLEN, market_data()), "--timerange", CRASH]
    return figures(run(folder, words, seated=SEATED_CRASH))


def main() -> int:
    """Run what was asked for, print JSON and return 0 if every target was met."""
    parser = argparse.ArgumentParser(prog="bench_desk", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("year", "crash"), help="one of the two")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found: dict[str, Any] = {"benchmark": "bench_desk", "date": now, "machine": machine()}
    for name, action in (("crash", run_crash), ("year", run_year)):
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="parley-bench-desk-") as folder:
                found[name] = action(Path(folder))
    text = json.dumps(found, indent=1)
    if options.save:
        RESULTS.write_text(text + "\n")
    print(text)
    return 0 if found.get("year", {}).get("ok", True) else 1


if __name__ == "__main__":
    sys.exit(main())
