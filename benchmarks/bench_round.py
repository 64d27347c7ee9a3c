"""From an event to an accepted order, with two fsyncs: the desk's latency and its burst rate.

Three placements of the same agents. ``in_process``: the desk's and the agents' computing alone, in this
process, without files and sockets. ``packed``: agents in the desk's process. ``spread``: each in a Ray actor.
Gates are judged with a desk that rehearses (`runtime.rehearsal`, desk.rehearse); ``.._unrehearsed`` is the
same load without it, as a desk runs by default, ``.._realtime`` without it and with the processes before
everything else on the machine (`runtime.realtime`, desk.realtime), ``.._awake`` with cores that do not sleep
(`runtime.awake`, desk.awake; spread: realtime too), both where that is allowed.

Real desk and gateway processes with their journals, all seven roles, real agents; only
the market (this process, in the hub's place) and the venue (fills at once, no network)
are stand-ins. Latency runs from the admission of the market batch at the desk to the
gateway handing the order to the venue client, after both commits; the stamps are those
of the journals. Before any figure is printed the desk is killed with SIGKILL and its
file is read back: every order the gateway took must stand in it, with its decision.

``python -m benchmarks.bench_round --repeat 5 --save``; stages are explained in `stages`,
ratios and gates in `verdicts`.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import uvloop
from rich.console import Console
from rich.progress import track

from benchmarks.deciding import deciding_us
from benchmarks.placed import RayAgents
from benchmarks.stages import read_timeline, refusals
from benchmarks.verdicts import GATE, GOAL, judge, medians, number, unavoidable_us
from benchmarks.yardsticks import all_yardsticks, machine, percentiles
from orchestrator.policy import DeskConfig
from parley.agent import AgentSpec
from parley.messages import Bar, Book, Envelope, MarketBatch
from runtime.awake import allowed, keep_awake
from runtime.defaults import default_agents
from runtime.frames import CONTROL, Link, listen, wrap
from runtime.journal import verify
from runtime.process_tree import memory_mb
from runtime.realtime import PRIORITIES, prefer, refused
from runtime.run_config import DeskProcess, RunConfig, to_json

MINUTE_NS = 60_000_000_000
START_NS = time.time_ns() // MINUTE_NS * MINUTE_NS
SYMBOLS = tuple(f"{base}/USDT" for base in ("BTC", "ETH", "LTC", "SOL", "XRP", "ADA", "LINK", "AVAX"))
RESULTS = Path(__file__).parent / "results" / "bench_round.json"


@dataclass(frozen=True)
class Scenario:
    """``symbols`` close a candle in each batch; ``rate``: batches per second, 0 as many as the desk takes."""

    name: str
    symbols: tuple[str, ...]
    batches: int
    rate: float
    trades: bool
    placement: str = "packed"
    rehearsed: bool = True
    realtime: bool = False
    awake: bool = False


class Market:
    """Serves the hub's socket: batches at their intended times, one in flight."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._gone = False
        self.first_closed = 0.0
        self._dice = Random(7)
        self._prices = dict.fromkeys(SYMBOLS, 1000.0)

    def connected(self, link: Link) -> None:
        link.on_envelope = self._heard
        link.on_lost = self._lost
        self._link.set_result(link)

    def _heard(self, envelope: Envelope) -> None:
        if envelope.kind == CONTROL:
            self._closed.set()

    def _lost(self, why: str) -> None:
        self._gone = True
        self._closed.set()

    async def play(self) -> float:
        """Send all batches; give the seconds they took."""
        link = await self._link
        scenario = self._scenario
        start = time.monotonic()
        for n in range(1, scenario.batches + 1):
            if scenario.rate:
                await asyncio.sleep(max(0.0, start + (n - 1) / scenario.rate - time.monotonic()))
            self._closed.clear()
            link.send(wrap(self._batch(n), sender="hub", to="desk", t_event=time.time_ns()))
            await self._closed.wait()
            self.first_closed = self.first_closed or time.monotonic()
            if self._gone:
                raise RuntimeError(f"the desk ended in batch {n} of scenario {scenario.name!r}")
        return time.monotonic() - start

    def _batch(self, n: int) -> MarketBatch:
        t = START_NS + n * MINUTE_NS
        bars, books = [], []
        for symbol in self._scenario.symbols:
            before = self._prices[symbol]
            px = self._prices[symbol] = round(before * (1 + self._dice.gauss(0, 2e-4)), 2)
            bars.append(
                Bar(
                    symbol=symbol,
                    tf_ns=MINUTE_NS,
                    t_open=t - MINUTE_NS,
                    open=before,
                    high=max(before, px),
                    low=min(before, px),
                    close=px,
                    volume=1000.0,
                )
            )
            levels = [(round(0.01 * k, 2), 500.0) for k in range(1, 11)]
            books.append(
                Book(
                    symbol=symbol,
                    t=t,
                    seq=n,
                    bids=tuple((round(px - d, 2), q) for d, q in levels),
                    asks=tuple((round(px + d, 2), q) for d, q in levels),
                )
            )
        return MarketBatch(step=n, t=t, bars=tuple(bars), books=tuple(books))


def agents(trades: bool) -> tuple[AgentSpec, ...]:
    """The default desk; with ``trades`` its strategies are one that trades on every candle."""
    specs = []
    for spec in default_agents():
        if spec.role == "strategy" and trades:
            if spec.id != "strategy/trend":
                continue
            params = {"source": "strategies.pulse:make", "cooldown_ms": 0, "share": 0.5, "risk": 0.02}
            spec = msgspec.structs.replace(spec, params=params)
        elif spec.role == "meta" and trades:
            # it would learn within 50 rounds that this strategy only pays fees, and rank it no more
            spec = msgspec.structs.replace(
                spec, params={"theta": -100.0, "margin": -1000.0, "full_score": -99.0}
            )
        specs.append(spec)
    return tuple(specs)


async def start(
    module: str, config: bytes, folder: Path, *, realtime: bool = False
) -> asyncio.subprocess.Process:
    """Start a unit and wait for its ready line."""
    file = folder / f"{module}.json"
    file.write_bytes(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "--config",
        str(file),
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if realtime:
        prefer(process.pid, PRIORITIES[module.rpartition(".")[2]])
    if process.stdout is None or not await process.stdout.readline():
        raise RuntimeError(f"{module} did not start")
    return process


async def run(scenario: Scenario, folder: Path) -> dict[str, object]:
    """Play one scenario against fresh processes, kill the desk, read its file back, and measure."""
    folder.mkdir()
    began = time.monotonic()
    team = agents(scenario.trades)
    ray = RayAgents(folder, team, realtime=scenario.realtime) if scenario.placement == "spread" else None
    if ray is not None:
        await ray.begin()
    market = Market(scenario)
    server = await listen(folder / "h.sock", market.connected)
    gateway = await start(
        "runtime.gateway",
        msgspec.json.encode(
            {
                "account": "main",
                "socket": str(folder / "g.sock"),
                "journal": str(folder / "gateway.journal"),
                "instruments": str(folder / "instruments.json"),
                "venue": {"kind": "null", "symbols": list(scenario.symbols), "balances": {"USDT": "1000000"}},
                "limits": {
                    "max_notional": {"USDT": "1000000"},
                    "max_position": {"USDT": "10000000"},
                    "cash": ["USDT"],
                    "max_orders_per_s": 1_000_000,
                },
            }
        ),
        folder,
        realtime=scenario.realtime,
    )
    run_config = config_of(scenario)
    desk = await start(
        "runtime.desk",
        to_json(
            DeskProcess(
                run=run_config,
                journal=str(folder / "desk.journal"),
                gateway=str(folder / "g.sock"),
                hub=str(folder / "h.sock"),
                instruments=str(folder / "instruments.json"),
                parent_pid=os.getpid(),
                agents=ray.address if ray is not None else "",
                rehearse=scenario.rehearsed and ray is None and not scenario.realtime,
            )
        ),
        folder,
        realtime=scenario.realtime,
    )
    memory: dict[str, float] = {}
    try:
        if ray is not None:
            await ray.ready()
        seconds = await market.play()
        await asyncio.sleep(0.3)  # what is lazy reaches the disk within 50 ms
        memory["desk"] = memory_mb(desk.pid)
        if ray is not None:
            memory |= await ray.memory_mb()
        desk.send_signal(signal.SIGKILL)
        await desk.wait()
    finally:
        server.close()
        for process in (desk, gateway):
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if ray is not None:
            await ray.end()
    figures = measured(folder, scenario, seconds)
    figures["start_to_first_round_s"] = round(market.first_closed - began, 2)
    figures["memory_mb"] = {name: round(value, 1) for name, value in memory.items()}
    return figures


def config_of(scenario: Scenario) -> RunConfig:
    """What the scenario's desk is, wherever its agents are."""
    limits = {
        "max_daily_trades": 10_000_000,
        "orders_per_s": 100_000,
        "max_repeats": 1_000_000,
        "max_daily_loss": "0.9",
        "max_drawdown": "0.9",
    }
    desk = DeskConfig(symbols=scenario.symbols, venue="null", profile="candle")
    return RunConfig(run_id=scenario.name, desk=desk, agents=agents(scenario.trades), limits=limits)


def measured(folder: Path, scenario: Scenario, seconds: float) -> dict[str, object]:
    """Check the killed desk's file against the gateway's, then give the figures."""
    report = verify(folder / "desk.journal")
    if not report.ok:
        raise RuntimeError(f"the killed desk's journal does not verify: {report.faults[:3]}")
    found = read_timeline(folder / "desk.journal", folder / "gateway.journal")
    refused = refusals(folder / "gateway.journal")
    # a desk or gateway that the machine held up refuses what waited too long: it is said, and must be rare
    told = len(found.samples) + refused.total()
    if told < found.orders or refused.total() > found.orders / 100 or found.rounds < scenario.batches:
        raise RuntimeError(
            f"{scenario.name}: {found.orders} orders decided, {len(found.samples)} taken;"
            f" {found.rounds} rounds of {scenario.batches};"
            f" the gateway's refusals: {dict(refused)}"
        )
    commits_s = (found.last_commit - found.first_commit) / 1e9
    figures: dict[str, object] = {
        "placement": scenario.placement,
        "rehearsed": scenario.rehearsed and scenario.placement == "packed",
        "batches_per_s_wanted": scenario.rate or "burst",
        "rounds_read_back_after_sigkill": found.rounds,
        "orders": found.orders,
        "orders_refused_as_too_late": refused.total(),
        "rounds_per_s": round(found.rounds / seconds),
        "rounds_per_s_by_commit_stamps": round(found.rounds / max(1e-9, commits_s)),
    }
    if found.samples:
        figures["event_to_accepted"] = percentiles(found.samples)
        if scenario.placement == "packed" and scenario.rate:
            figures["in_process"] = percentiles(deciding_us(folder / "desk.journal"))
        figures["stages"] = {name: percentiles(values) for name, values in found.stages.items()}
    return figures


def scenarios(quick: bool) -> Sequence[Scenario]:
    """Loads of the traded round and bursts, by placement; ``quick`` only tries whether they work."""
    few = 20 if quick else 1
    one = SYMBOLS[:1]
    found = (
        Scenario("packed_10_per_s", one, 200 // few, 10, True),
        Scenario("packed_100_per_s", one, 2000 // few, 100, True),
        Scenario("packed_300_per_s", one, 6000 // few, 300, True),
        Scenario("packed_10_per_s_awake", one, 200 // few, 10, True, awake=True),
        Scenario("packed_100_per_s_awake", one, 2000 // few, 100, True, awake=True),
        Scenario("packed_300_per_s_awake", one, 6000 // few, 300, True, awake=True),
        Scenario("packed_300_per_s_unrehearsed", one, 6000 // few, 300, True, rehearsed=False),
        Scenario("packed_300_per_s_realtime", one, 6000 // few, 300, True, realtime=True),
        Scenario("packed_burst_every_round_trades", SYMBOLS, 700 // few, 0, True),
        Scenario("packed_burst_default_desk", SYMBOLS, 2500 // few, 0, False),
        Scenario("spread_100_per_s", one, 2000 // few, 100, True, "spread"),
        Scenario("spread_300_per_s", one, 6000 // few, 300, True, "spread"),
        Scenario("spread_300_per_s_realtime", one, 6000 // few, 300, True, "spread", realtime=True),
        Scenario("spread_300_per_s_awake", one, 6000 // few, 300, True, "spread", realtime=True, awake=True),
        Scenario("spread_burst_default_desk", SYMBOLS, 1000 // few, 0, False, "spread"),
    )
    may_not_go_first, may_keep_awake = bool(refused()), allowed()
    return [
        each
        for each in found
        if not (each.realtime and may_not_go_first) and (may_keep_awake or not each.awake)
    ]


def one_run(todo: Sequence[Scenario], label: str, console: Console) -> dict[str, object]:
    """Play all scenarios and measure the yardsticks of the same minutes."""
    results: dict[str, object] = {}
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        for n, scenario in track(
            list(enumerate(todo)), label, console=console, disable=not console.is_terminal
        ):
            with keep_awake() if scenario.awake else nullcontext():
                results[scenario.name] = uvloop.run(run(scenario, folder / f"{n}"))
        yardsticks = all_yardsticks(folder)["yardsticks"]
    load = {"before": before[0], "after": os.getloadavg()[0]}
    return {"scenarios": results, "yardsticks": yardsticks, "loadavg_1_min": load}


def show(out: Mapping[str, object], console: Console) -> None:
    """Print a table: a line for each scenario, its stages, and what it passes."""
    for name, figures in _under(out, "scenarios").items():
        if not isinstance(figures, Mapping):
            continue
        started = number(figures, "start_to_first_round_s")
        console.print(
            f"[bold]{name}[/bold]  {number(figures, 'rounds_per_s')} rounds/s, first round after {started} s"
        )
        for label, values in (
            ("event_to_accepted", _under(figures, "event_to_accepted")),
            ("in_process", _under(figures, "in_process")),
            ("memory_mb", _under(figures, "memory_mb")),
            *_under(figures, "stages").items(),
        ):
            if isinstance(values, Mapping) and values:
                said = "  ".join(f"{key} {value}" for key, value in values.items())
                console.print(f"  {label:28} {said}")
        for kind, verdict in _under(figures, "verdict").items():
            if isinstance(verdict, Mapping):
                said = "  ".join(f"{key} {value}" for key, value in verdict.items())
                console.print(f"  {kind:28} {said}", style="red" if "FAIL" in said else "")
    for label in ("unavoidable_us", "loadavg_1_min", "machine"):
        console.print(f"{label}: {out[label]}")


def _under(figures: object, key: str) -> Mapping[str, object]:
    found = figures.get(key) if isinstance(figures, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def main() -> None:
    """Run all scenarios, perhaps several times, and print the figures beside the machine's own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rounds")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="medians over N runs")
    parser.add_argument("--only", metavar="NAME", help="only scenarios whose name begins so")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    todo = [s for s in scenarios(arguments.quick) if s.name.startswith(arguments.only or "")]
    if arguments.repeat < 1 or not todo:
        parser.error("--repeat must be at least 1, and --only the beginning of a scenario's name")
    console = Console(stderr=True)
    runs = [one_run(todo, f"run {n + 1}/{arguments.repeat}", console) for n in range(arguments.repeat)]
    merged = medians(runs)
    unavoidable = unavoidable_us(_under(merged, "yardsticks"))
    judged = {
        name: {**figures, "verdict": judge(figures, unavoidable)}
        for name, figures in _under(merged, "scenarios").items()
        if isinstance(figures, Mapping)
    }
    out: dict[str, object] = {
        "benchmark": "bench_round",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": arguments.repeat,
        "quick": arguments.quick,
        **merged,
        "scenarios": judged,
        "unavoidable_us": unavoidable,
        "gate": GATE,
        "goal": GOAL,
        "machine": machine(),
    }
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(out, indent=2) + "\n")
    if arguments.json:
        sys.stdout.write(json.dumps(out) + "\n")
    else:
        show(out, Console())


if __name__ == "__main__":
    main()
