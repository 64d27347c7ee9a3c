"""An hour by the clock of paper with injected divergences, each to be attributed by `parley shadow`.

Problem: that a shadow tells data, latency, fill and code apart has to be shown of a run as people have them:
by the clock, real processes, database and API beside, three strategies on one account, recorded candles of a
crash. ``python -m benchmarks.paper_hour --save`` takes 65 minutes; ``--minutes 4`` is the same in small.

Not here: the injections (`paper_injections`), what the shadows have to say (`paper_verdicts`).

Invariant: the result is written by this program from what the commands said, also when it failed; the exit
code is 0 only if every injection has its cause, nothing else is data or code, the ledger equals the exchange
and the replay is equal. Latency that nobody injected is listed: it is that of a machine with other work.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.paper_injections import (
    ALTERED,
    CANDLE_MS,
    FEE_MEANT,
    FEE_RUN,
    PAIRS,
    ROOT,
    STOPPED,
    STRATEGIES,
    Setup,
    altered_of,
    entries,
    spread_over,
    write_meant,
    write_run,
)
from benchmarks.paper_verdicts import Stop, judge
from benchmarks.yardsticks import machine
from parley.messages import MarketBatch, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalError, JournalReader

RESULTS: Final = Path(__file__).parent / "results" / "paper_hour.json"
BEGIN: Final = datetime(2022, 11, 6, tzinfo=UTC)  # two and a half days to the bottom of FTX's collapse
MINUTES: Final = 60.0
SPEED: Final = 60.0  # market seconds per second
STOPS_AT: Final = (0.2, 0.35, 0.5)  # of the run
ALTERED_AT: Final = 0.65
STOPPED_S: Final = 8.0  # under the patience after which a process is taken for dead
ASKED_S: Final = 15.0  # before that, which process it is
LEAD_S: Final = 1.5  # so long before the candle of an entry closes
PATIENCE_S: Final = 300.0
SHADOWS: Final = "shadows.json"
_DESK: Final = "[desk]\nmax_open_trades = 50\n\n[api]\nport = 0\n"


class Run:
    """A `parley trade` in a process of its own, and the commands that look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        named = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self._environment = named | {"PARLEY_HOME": str(self.home)}
        self._seq, self.market_ms = 0, 0
        self.ready: dict[str, int] = {}
        self.load: list[float] = []

    def start(self, setup: Setup, timerange: str, speed: float) -> subprocess.Popen[str]:
        desk = self.folder / "desk.toml"
        desk.write_text(_DESK)
        log = (self.folder / "trade.log").open("w")
        words = (
            "trade", "--config", setup.config, "--datadir", setup.candles, "--userdir", setup.user,
            "--strategy-path", setup.strategies, "--strategy-list", *STRATEGIES, "--timerange", timerange,
            "--desk", desk, "--consent", "--speed", f"{speed:g}", "--json",
        )  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", *map(str, words)], stdout=subprocess.PIPE, stderr=log,
            text=True, env=self._environment, start_new_session=True,
        )  # fmt: skip

    def ask(self, *words: object, patience_s: float = PATIENCE_S) -> tuple[int, dict[str, Any]]:
        """Ask a command; returns its exit code and its answer."""
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", *map(str, words), "--json"], capture_output=True, text=True,
            env=self._environment, timeout=patience_s, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr[-2000:]}

    def pid_of(self, agent: str) -> int:
        """Wait until an agent answers; returns its process."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            code, told = self.ask("status")
            found = told.get("agents", {}).get(agent, {}) if code == 0 else {}
            if found.get("pid") and found.get("state") == "alive":
                return int(found["pid"])
            time.sleep(1.0)
        raise TimeoutError(f"{agent} did not come up")

    def look(self) -> int:
        """Return the market's time, ms, as the journal has it."""
        for path in self.home.glob("runs/*/desk.journal"):
            try:
                with JournalReader(path) as reader:
                    for record in reader.records(self._seq, kinds("MarketBatch")):
                        batch = decode(decode_envelope(record.body).body)
                        assert isinstance(batch, MarketBatch)
                        self._seq, self.market_ms = record.seq, batch.t // 1_000_000
            except JournalError:
                continue  # it is not there yet
        return self.market_ms

    def note(self) -> None:
        """Note whether the API is ready, and how busy the machine is."""
        said = "no api"
        text = (self.folder / "trade.log").read_text()
        url = next((word for word in text.split() if word.startswith("http") and "/readyz" in word), "")
        if url:
            try:
                with urllib.request.urlopen(url.rstrip(",."), timeout=10) as answer:
                    said = str(answer.status)
            except urllib.error.HTTPError as error:
                said = str(error.code)
            except OSError as error:
                said = type(error).__name__
        self.ready[said] = self.ready.get(said, 0) + 1
        self.load.append(round(os.getloadavg()[0], 2))


def stand_still(run: Run, pid: int) -> Stop:
    """Stop a process for some seconds."""
    begin, began = run.look(), time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(STOPPED_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    return Stop(begin, run.look(), round(time.monotonic() - began, 2))


def watch(run: Run, trading: subprocess.Popen[str], moments: list[int], speed: float) -> list[Stop]:
    """Follow the run to its end, and stop the strategy's process before each of the moments."""
    agent, stops, noted = f"strategy/{STOPPED}", list[Stop](), 0.0
    pid, asked = run.pid_of(agent), time.monotonic()
    wanted = list(moments)
    while trading.poll() is None:
        now = run.look()
        left_s = (wanted[0] - now) / 1000 / speed if wanted else ASKED_S + 1
        if left_s <= LEAD_S:
            wanted.pop(0)
            stops.append(stand_still(run, pid))
            say(f"stood still: {stops[-1]}")
        elif left_s <= ASKED_S < time.monotonic() - asked:  # it may be another process by now
            pid, asked = run.pid_of(agent), time.monotonic()
        if time.monotonic() - noted >= 60:
            noted = time.monotonic()
            run.note()
            say(f"market {datetime.fromtimestamp(now / 1000, UTC):%m-%d %H:%M}, load {run.load[-1]}")
        time.sleep(0.1)
    return stops


def shadows_of(run: Run, meant: Setup) -> dict[str, dict[str, Any]]:
    """Lay the run beside itself, beside each thing as it was meant, and beside all of them."""
    candles = ("--datadir", meant.candles)
    config = ("--config", meant.config)
    strategies = ("--strategy-path", meant.strategies)
    asked = {
        "itself": (), "data": candles, "fill": config, "code": strategies,
        "all": (*candles, *config, *strategies),
    }  # fmt: skip
    return {beside: run.ask("shadow", *words)[1] for beside, words in asked.items()}


def hour(folder: Path, data: Path, minutes: float, speed: float) -> dict[str, Any]:
    """Run it all; returns the result."""
    end = BEGIN + timedelta(minutes=minutes * speed)
    timerange = f"{BEGIN:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}"
    begin_ms, end_ms = int(BEGIN.timestamp() * 1000), int(end.timestamp() * 1000)
    meant = write_meant(folder / "meant", data)
    altered_at = int(begin_ms + ALTERED_AT * (end_ms - begin_ms)) // CANDLE_MS * CANDLE_MS
    deployed, altered_ms = write_run(folder / "run", meant, timerange, altered_at)
    moments = spread_over(entries(deployed, timerange), STOPS_AT, begin_ms, end_ms)
    say(f"{timerange}; stops at {moments}, altered candle at {altered_ms}")
    run = Run(folder)
    began, trading = time.monotonic(), run.start(deployed, timerange, speed)
    try:
        stops = watch(run, trading, moments, speed)
        said, _ = trading.communicate(timeout=PATIENCE_S)
    finally:
        if trading.poll() is None:
            trading.terminate()
            trading.wait(60)
    told = json.loads(said) if said else {}
    (folder / "trade.json").write_text(said)
    clock_s = time.monotonic() - began
    code, replayed = run.ask("replay", patience_s=1800)
    shadows = shadows_of(run, meant)
    (folder / SHADOWS).write_text(json.dumps(shadows))
    verdict = judge(shadows, stops, altered_ms)
    checks = {
        "run_ended_well": trading.returncode == 0,
        "ledger_equals_exchange": told.get("ledger_equals_exchange") is True,
        "replay_is_equal": code == 0 and replayed.get("ok") is True,
        "all_candles_played": bool(told.get("candles", {}).get("expected"))
        and told["candles"]["expected"] == told["candles"]["admitted"],
        "causes": verdict.pop("ok"),
    }
    return {
        "benchmark": "paper_hour", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(), "ok": all(checks.values()), "checks": checks,
        "minutes": minutes, "speed": speed, "timerange": timerange, "pairs": list(PAIRS),
        "strategies": list(STRATEGIES), "seconds_by_the_clock": round(clock_s, 1),
        "desk_seconds": told.get("seconds"), "candles": told.get("candles"),
        "injected": {
            "data": f"{ALTERED} at {altered_ms}: close and high 5 % above its high",
            "latency": f"{STOPPED}'s process stopped {len(stops)} times for {STOPPED_S:g} s",
            "fill": f"the venue takes {FEE_RUN:.2%}, meant were {FEE_MEANT:.2%}",
            "code": "TrendCross's file has a fast average of 6 candles, meant were 12",
        },
        **verdict,
        "counts": {name: told.get(name) for name in ("rounds", "orders", "fills", "fees", "desk_lives")},
        "replay": {
            name: replayed.get(name)
            for name in ("envelopes", "identical", "decisions", "intents", "recorded_proposals")
        },
        "api_ready": run.ready, "load": run.load, "peak_memory_mb": told.get("peak_memory_mb"),
    }  # fmt: skip


def anew(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Judge the shadows of a run that was kept anew: ``found`` is what was made of them before."""
    altered_ms = altered_of(Setup(folder / "meant"), Setup(folder / "run"))
    stops = [Stop(**stop) for stop in found["stops"]]
    verdict = judge(json.loads((folder / SHADOWS).read_text()), stops, altered_ms)
    checks = {**found["checks"], "causes": verdict.pop("ok")}
    return {**found, **verdict, "ok": all(checks.values()), "checks": checks}


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="paper_hour", description=__doc__.splitlines()[0])
    default = Path(os.environ.get("PARLEY_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="folder of recorded market data")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="by the clock")
    parser.add_argument("--speed", type=float, default=SPEED, help="market seconds per second")
    parser.add_argument("--folder", type=Path, help="an empty folder to keep everything in")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    parser.add_argument("--judge", type=Path, metavar="RESULT", help="only judge what --folder kept anew")
    asked = parser.parse_args()
    if asked.judge and not asked.folder:
        parser.error("--judge needs the --folder in which everything was kept")
    with tempfile.TemporaryDirectory(prefix="parley-hour-") as made:
        folder = asked.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if asked.judge:
            found = anew(folder, json.loads(asked.judge.read_text()))
        else:
            found = hour(folder.resolve(), asked.data.resolve(), asked.minutes, asked.speed)
    text = json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
    if asked.save:
        RESULTS.write_text(text, encoding="utf-8")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
