"""How fast the kill switch is: a real gateway with resting orders at the sandbox exchange, over real sockets.

``python -m benchmarks.bench_kill [--orders 200] [--rounds 3]`` prints for each round, in ms from the command
on: the kill file is written, the gateway has answered that nothing leaves it any more (blocked), the exchange
has taken the last cancel by its own log (exchange), the venue has confirmed all and the command says so
(whole). Targets: blocked within 100 ms, 200 cancels at the exchange within 2 s. The last round stops the
gateway first, so that its orders are cancelled from outside.

Not here: whether it does what it says (tests/contract/test_kill.py).
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from typing import Any

from parley.messages import Intent
from tests.kit.kills import Home, home_with_gateway

BLOCK_MS, CANCELS_MS = 100.0, 2000.0


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


def main() -> int:
    """Measure and print; the exit code is 1 when an order was not cancelled or a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_kill", description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.orders, arguments.rounds))
    for each in found:
        sys.stdout.write(json.dumps(each) + "\n")
    missed = [
        each
        for each in found
        if each["cancelled_at_exchange"] != each["orders"]
        or (each["blocked_ms"] or 0.0) > BLOCK_MS
        or each["exchange_ms"] > CANCELS_MS
    ]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
