"""From a market event to the order at the venue: the whole path, over real sockets.

``parley run`` as a user starts it: sandbox exchange, hub, gateway and desk are processes, the gateway talks
to the exchange through ccxt. One strategy is replaced by one that trades on every candle, so that there is
something to measure. Time runs from the moment the exchange published the event to the moment it wrote the
order into its truth log, a little after the request was on the wire: the exchange's own reading of it is
in. Of four pairs whose candles close together each order but the first waits for the rounds before its own;
``one_pair`` is the way of one event. The stages between are the stamps of the journals (`stages`). On a
machine so busy that the desk lets agents rest there are few orders; ``strain`` says how far that went.

``live`` is the same way at an exchange that nobody started for the desk, which announces nothing: from the
packet with the candle to the packet with the order, beside a bare script of ccxt (`orders_live`).

``pre_trade`` is what stands between a decision and its being sent: the gate's facts and rules in the desk and
the last look in the gateway, timed while the run's own journal is folded again.

Before a figure is printed every order that the desk's journal holds as sent is looked up in the truth log,
and the run's own comparison of ledger and exchange must have come out equal.

``make bench-orders``, or ``python -m benchmarks.bench_orders --seconds 60 --json``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import msgspec
from rich.console import Console

from benchmarks.deciding import deciding_us
from benchmarks.orders_live import measure_live
from benchmarks.stages import Timeline, read_timeline
from benchmarks.yardsticks import all_yardsticks, machine, percentiles
from orchestrator import dispatch, gatekeeper
from parley.instruments import Instrument
from parley.messages import (
    KIND_OF,
    Attempt,
    Fill,
    Intent,
    OrderEvent,
    decode,
    decode_envelope,
)
from runtime import lastlook
from runtime.journal import JournalReader
from venues.capabilities import capabilities_of

RESULTS: Final = Path(__file__).resolve().parent / "results" / "bench_orders.json"
ROOT: Final = Path(__file__).resolve().parent.parent
LEAST_ORDERS: Final = 200
_MOST: Final = Decimal(10**15)
GATE: Final = {"event_to_venue_p50_ms": 1.5, "event_to_venue_p99_ms": 8.0, "pre_trade_p99_us": 200.0}
GOAL: Final = {"event_to_venue_p50_ms": 0.7, "event_to_venue_p99_ms": 3.0, "pre_trade_p99_us": 50.0}
PAIRS: Final = ("BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT")
DESK: Final = """
pairs = {pairs}
crosses = "none"
speed = {speed}

[desk]
rehearse = {rehearse}

[limits]
max_daily_trades = 1_000_000
max_open_trades = 1000
max_repeats = 1_000_000
max_daily_loss = "0.9"
max_drawdown = "0.9"

[agents."strategy/trend"]
source = "strategies.pulse:make"
cooldown_ms = 0
share = 0.02
risk = 0.02

[agents."meta/main"]
theta = -100.0
margin = -1000.0
full_score = -99.0
"""


class _Spent:
    """How long each call of a function took, us."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.samples: list[float] = []
        self._function = function

    def __call__(self, *given: Any, **named: Any) -> Any:
        began = time.perf_counter_ns()
        try:
            return self._function(*given, **named)
        finally:
            self.samples.append((time.perf_counter_ns() - began) / 1000)


def run_desk(
    folder: Path, seconds: float, speed: float, pairs: Sequence[str], *, rehearsed: bool
) -> dict[str, Any]:
    """Run a desk for so long; returns its summary.

    Raises
    ------
    SystemExit
        When the run failed, or its ledger does not equal the exchange.
    """
    config = folder / "desk.toml"
    config.write_text(
        DESK.format(speed=speed, pairs=json.dumps(pairs), rehearse=str(rehearsed).lower()), encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "runtime.cli", "run", "--config", str(config), "--json",
            "--duration", str(seconds), "--journal", str(folder / "desk.journal"),
        ],
        cwd=ROOT, env={**os.environ, "PARLEY_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=seconds + 180, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the run failed: {done.stderr[-2000:]}")
    summary: dict[str, Any] = json.loads(done.stdout)
    if summary["ledger_equals_exchange"] is not True:
        raise SystemExit("the run's ledger does not equal the exchange: no figure is worth printing")
    return summary


def arrivals(truth: Path) -> dict[str, int]:
    """When the venue first noted each order, wall ns by client order id."""
    found: dict[str, int] = {}
    for line in truth.read_bytes().splitlines():
        event = msgspec.json.decode(line)
        if event["event"] == "order":
            found.setdefault(event["client_order_id"], event["wall_ns"])
    return found


def followed(summary: Mapping[str, Any]) -> Timeline:
    """Follow every order of the run to the venue.

    Raises
    ------
    SystemExit
        When there were too few, or one that was acknowledged never arrived.
    """
    desk, truth = Path(summary["journal"]), Path(summary["truth_log"])
    gateway = truth.parent / "gateway.journal"
    arrived = arrivals(truth)
    all_taken = read_timeline(desk, gateway)
    found = read_timeline(desk, gateway, arrived)
    if len(found.samples) != len(all_taken.samples):
        raise SystemExit(f"{len(all_taken.samples)} orders were acknowledged, {len(found.samples)} arrived")
    if len(found.samples) < LEAST_ORDERS:
        raise SystemExit(f"at least {LEAST_ORDERS} orders are needed, there were {len(found.samples)}")
    return found


def pre_trade_us(journal: Path, gateway: Path, instruments: Mapping[str, Instrument]) -> list[float]:
    """What gate and last look take of each order, us, folding the run's journals again."""
    facts, rules = _Spent(gatekeeper.Gatekeeper.facts), _Spent(dispatch.check)
    with (
        # A function, for a method must be bound.
        patch.object(gatekeeper.Gatekeeper, "facts", lambda *given: facts(*given)),
        patch.object(dispatch, "check", rules),
    ):
        deciding_us(journal)
    looks = last_look_us(journal, gateway, instruments)
    if not len(facts.samples) == len(rules.samples) >= len(looks):
        raise SystemExit(
            f"{len(facts.samples)} orders had facts, {len(rules.samples)} were judged, {len(looks)} looked at"
        )
    return [sum(each) for each in zip(facts.samples, rules.samples, looks, strict=False)]


def last_look_us(journal: Path, gateway: Path, instruments: Mapping[str, Instrument]) -> list[float]:
    """What the last look takes of each order the gateway sent, with counters as they then were, us."""
    orders: dict[bytes, Intent] = {}
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=[KIND_OF["Intent"]]):
            intent = decode(decode_envelope(record.body).body)
            assert isinstance(intent, Intent)
            orders[intent.iid] = intent
    quotes = {instrument.quote for instrument in instruments.values()}
    assets = quotes | {instrument.base for instrument in instruments.values()}
    limits = lastlook.Limits(
        max_notional=dict.fromkeys(quotes, _MOST), max_position=dict.fromkeys(assets, _MOST),
        cash=tuple(quotes), max_orders_per_s=1_000_000,
    )  # fmt: skip
    counters, spent = lastlook.Counters(), _Spent(lastlook.refusal)
    rows = {symbol: capabilities_of(instrument.venue) for symbol, instrument in instruments.items()}
    with JournalReader(gateway) as reader:
        for record in reader.records(kinds=[KIND_OF[each] for each in ("Attempt", "Fill", "OrderEvent")]):
            match decode(record.body):
                case Attempt(iid=iid) if iid in counters.iids:
                    pass  # to cancel it
                case Attempt() as attempt:
                    order, at = orders[attempt.iid], orders[attempt.iid].send_by - 1
                    row = rows[order.symbol]
                    refused = spent(order, counters, limits, instruments, row=row, now_mono=at)
                    if refused is not None:
                        raise SystemExit(f"the last look refuses what the gateway sent: {refused}")
                    counters.sent(order, at)
                case Fill() as fill:
                    counters.filled(fill)
                case OrderEvent() as event:
                    counters.moved(event)
                case _:
                    pass
    return spent.samples


def measure(seconds: float, speed: float, pairs: Sequence[str], *, rehearsed: bool) -> dict[str, Any]:
    """Run a desk, check it, and return its figures."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder = Path(name)
        summary = run_desk(folder, seconds, speed, pairs, rehearsed=rehearsed)
        found = followed(summary)
        run = Path(summary["truth_log"]).parent
        listed = msgspec.json.decode((run / "instruments.json").read_bytes(), type=list[Instrument])
        instruments = {each.symbol: each for each in listed}
        judged = pre_trade_us(Path(summary["journal"]), run / "gateway.journal", instruments)
    whole = [
        total + before for total, before in zip(found.samples, found.stages["event_to_admit"], strict=True)
    ]
    path, look = percentiles(whole), percentiles(judged)
    figures = {
        "event_to_venue_p50_ms": path["p50_us"] / 1000, "event_to_venue_p99_ms": path["p99_us"] / 1000,
        "pre_trade_p99_us": look["p99_us"],
    }  # fmt: skip
    return {
        "pairs": pairs, "rehearsed": rehearsed, "strain": summary["strain"], "rounds": found.rounds,
        "orders": len(found.samples), **figures,
        "pre_trade_us": look, "stages": {stage: percentiles(us) for stage, us in found.stages.items()},
        "gate": {name: bool(value <= GATE[name]) for name, value in figures.items()},
        "goal": {name: bool(value <= GOAL[name]) for name, value in figures.items()},
    }  # fmt: skip


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print the figures as lines."""
    for name, figures in result["runs"].items():
        said = f"{figures['orders']} orders of {figures['rounds']} rounds, strain {figures['strain']}"
        console.print(f"[bold]{name}[/bold]  {said}")
        for figure, limit in GATE.items():
            held = "pass" if figures["gate"][figure] else "FAIL"
            console.print(
                f"  {figure:24} {figures[figure]:8.2f}  {held}, at most {limit:g} (goal {GOAL[figure]:g})"
            )
        whole = sum(stage["p50_us"] for stage in figures["stages"].values())
        for stage, us in figures["stages"].items():
            share = us["p50_us"] / whole
            console.print(
                f"  {stage:26} p50 {us['p50_us']:8.1f} us ({share:4.0%})  p99 {us['p99_us']:9.1f} us"
            )
    live = result["live"]
    if "refused" in live:
        console.print(f"[bold]live[/bold]  no figures: {live['refused']}")
    else:
        console.print("[bold]live[/bold], wire to wire")
        for name, us in live.items():
            said = f"p50 {us['p50_us']:8.1f} us ({us['ratio_p50']:4.2f})  p99 {us['p99_us']:9.1f} us"
            console.print(f"  {name:26} {said}  {us['orders']:.0f} orders")
    console.print(f"load {result['load']}  machine {result['machine']}")


def main() -> int:
    """Run from the command line; the exit code is 1 if a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each desk trades")
    parser.add_argument("--speed", type=float, default=1500.0, help="market seconds per second")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    runs = {
        name: measure(options.seconds, options.speed, pairs, rehearsed=rehearsed)
        for name, pairs, rehearsed in (
            ("one_pair", PAIRS[:1], True),
            ("one_pair_unrehearsed", PAIRS[:1], False),
            ("four_pairs", PAIRS, True),
        )
    }
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        live = measure_live(Path(folder), options.seconds)
        yardsticks = all_yardsticks(Path(folder))["yardsticks"]
    result = {
        "benchmark": "bench_orders", "date": datetime.now(UTC).isoformat(timespec="seconds"), "runs": runs,
        "live": live, "yardsticks": yardsticks, "gate": GATE, "goal": GOAL, "machine": machine(),
        "load": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
    }  # fmt: skip
    if options.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    else:
        show(result, Console())
    return 0 if all(all(figures["gate"].values()) for figures in runs.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
