"""Stops that guard a holding, and a market that is moved until one of them came to something.

Not here: what a test expects; who places them (`tests.kit.stop_stage`, `tests.kit.stop_desk`). Invariant: how
a stop ended is what the exchange wrote down.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from parley.messages import Intent
from tests.kit.sandbox import Control, SandboxProcess

MOVING: Final[dict[str, Any]] = {"kind": "synthetic", "candles": 60, "history": 60}
FALLING, RISING = 28, 2  # steps after which this market falls, and rises
_STEPS: Final = 30


def guarding(side: str, price: Decimal, bps: int, tick: Decimal, beyond: int = 100) -> dict[str, Any]:
    """Give the fields of a stop so far from a price as guards what was entered on the other side.

    Its limit lies ``beyond`` its trigger, bps.
    """
    sign = -1 if side == "sell" else 1
    trigger = (price * (10_000 + sign * bps) / 10_000).quantize(tick)
    return {
        "side": side, "style": "stop_limit", "tif": "GTC", "reduce_only": True, "trigger": trigger,
        "px": (trigger * (10_000 + sign * beyond) / 10_000).quantize(tick), "ref_px": price,
    }  # fmt: skip


def truth_of(process: SandboxProcess, order: Intent) -> list[dict[str, Any]]:
    """Return the exchange's lines of an order."""
    return [line for line in process.truth("order") if line["client_order_id"] == order.cid]


async def moved_until(process: SandboxProcess, market: Control, stop: Intent, status: str) -> None:
    """Let the market move until the exchange says that a stop is so."""
    for _ in range(_STEPS):
        if truth_of(process, stop)[-1]["status"] == status:
            return
        await market.steps(1)
    raise AssertionError(truth_of(process, stop))
