"""How fast the kill switch is, and how fast a spare follows a killed gateway: real processes, real sockets.

``python -m benchmarks.bench_kill [--only switch|spare] [--save]`` prints JSON. Switch, each round, in ms from
the command on: the kill file is written, the gateway has answered that nothing leaves it any more (blocked),
the exchange has taken the last cancel by its own log (exchange), the venue has confirmed all and the command
says so (whole). The last round stops the gateway first, so that its orders are cancelled from outside.
Spare, in ms from the SIGKILL on: the next gateway greets (serves), has told again all it knows (told), lets
an order open because it knows what became of every one before (reconciled). Targets: blocked within 100 ms,
200 cancels at the exchange within 2 s, reconciled within 5 s.

Not here: whether both do what they say (tests/contract/test_kill.py, tests/kill/test_gateway_kill.py).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.takeovers import takeovers
from benchmarks.yardsticks import machine
from parley.messages import Intent
from tests.kit.kills import Home, home_with_gateway

BLOCK_MS, CANCELS_MS, RECONCILED_MS = 100.0, 2000.0, 5000.0
RESULTS = Path(__file__).resolve().parent / "results" / "bench_kill.json"


async def measure(orders: int, rounds: int) -> list[dict[str, Any]]:
    """Kill a gateway with so many resting orders, several times, and once when it hangs."""
    found = []
    async with home_with_gateway() as home:
        for _ in range(rounds):
            found.append(await _kill(home, orders, hangs=False))
            await home.release()
        found.append(await _kill(home, orders, hangs=True))
    return found


async def _kill(home: Home, orders: int, *, hangs: bool) -> dict[str, Any]:
    resting: list[Intent] = []
    while len(resting) < orders:  # no more at once than the gateway lets pass in a second
        resting += await home.rest(min(20, orders - len(resting)))
        await asyncio.sleep(1.05)
    if hangs:
        home.gateway.process.send_signal(signal.SIGSTOP)
    began, began_wall = time.monotonic(), time.time_ns()
    said = await home.kill()
    whole_ms = (time.monotonic() - began) * 1e3
    (account,) = said["accounts"]
    cids = {each.cid for each in resting}
    lines = [line for line in home.venue.truth("order") if line["client_order_id"] in cids]
    gone = sorted((line["wall_ns"] - began_wall) / 1e6 for line in lines if line["status"] == "CANCELED")
    blocked = None if hangs else round(said["written_ms"] + account["answer_ms"], 1)
    return {
        "gateway": "hangs" if hangs else "answers", "orders": orders, "written_ms": said["written_ms"],
        "blocked_ms": blocked, "cancels_ms": account["cancel_ms"], "whole_ms": round(whole_ms, 1),
        "confirmed": account["confirmed"], "cancelled_at_exchange": len(gone),
        "exchange_ms": round(gone[-1], 1) if gone else None,
    }  # fmt: skip


def spare_figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up takeovers: median and longest of each step, ms."""
    told: dict[str, Any] = {"kills": len(found), "target_reconciled_ms": RECONCILED_MS}
    for step in ("serves_ms", "told_ms", "reconciled_ms"):
        times = sorted(each[step] for each in found)
        told[step] = {"p50": times[len(times) // 2], "max": times[-1]}
    waited = [each["reconciled_ms"] for each in found if each["on_its_way"]]
    told["with_an_order_on_its_way_ms"] = {"p50": sorted(waited)[len(waited) // 2], "max": max(waited)}
    return told


def missed(switch: list[dict[str, Any]], spare: dict[str, Any]) -> list[str]:
    """Name the targets that were missed."""
    found = []
    for each in switch:
        if (each["blocked_ms"] or 0.0) > BLOCK_MS:
            found.append(f"blocked after {each['blocked_ms']} ms, target {BLOCK_MS}")
        if each["exchange_ms"] > CANCELS_MS:
            found.append(f"{each['orders']} cancels took {each['exchange_ms']} ms, target {CANCELS_MS}")
    if spare and spare["reconciled_ms"]["max"] > RECONCILED_MS:
        found.append(f"reconciled after {spare['reconciled_ms']['max']} ms, target {RECONCILED_MS}")
    return found


def main() -> int:
    """Measure and print; the exit code is 1 when an order was not cancelled or a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_kill", description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10, help="of a gateway that a spare follows")
    parser.add_argument("--only", choices=("switch", "spare"), help="one of the two")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    packages = ("ccxt", "aiohttp", "msgspec")
    result: dict[str, Any] = {
        "benchmark": "bench_kill", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(), "versions": {name: version(name) for name in packages},
    }  # fmt: skip
    spare: dict[str, Any] = {}
    if arguments.only != "switch":
        found = asyncio.run(takeovers(arguments.kills))
        result["spare"] = spare = spare_figures(found)
        spare["each"] = found
    switch = []
    if arguments.only != "spare":
        switch = asyncio.run(measure(arguments.orders, arguments.rounds))
        # no time counts before it is right
        for each in switch:
            if each["cancelled_at_exchange"] != each["orders"]:
                raise SystemExit(f"not all orders were cancelled: {json.dumps(each)}")
        result["switch"] = switch
    result["load_after"] = [round(each, 1) for each in os.getloadavg()]
    result["missed"] = missed(switch, spare)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if arguments.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if result["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
