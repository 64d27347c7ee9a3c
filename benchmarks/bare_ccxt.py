"""A script of ccxt.pro alone that orders when a candle opens: what Parley is compared with on the wire.

It hears the same streams as a desk's hub, and sends one market order for each candle, without a journal,
limits, agents or a second process: no program that uses ccxt's classes as they are can be much quicker.

Not here: what it is measured with (`orders_live`). ``python -m benchmarks.bare_ccxt REST WS KEYS SECONDS``.
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import ccxt.pro
import uvloop

from venues.binance_urls import override_urls

_SYMBOL: Final = "BTC/USDT"
_QTY: Final = 0.004


async def trade(rest: str, ws: str, keys: Path, seconds: float) -> int:
    """Buy and sell by turns, one order for each candle; returns how many were sent."""
    key = json.loads(keys.read_text(encoding="utf-8"))
    client = ccxt.pro.binance(
        {"apiKey": key["api_key"], "secret": key["secret"], "enableRateLimit": False}
    )  # fmt: skip
    override_urls(client, rest, ws)
    await client.load_markets()
    heard = [asyncio.ensure_future(_hear(watch)) for watch in (client.watch_trades, client.watch_order_book)]
    sent, opened, end = 0, 0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            rows = await client.watch_ohlcv(_SYMBOL, "1s")
            if opened and rows[-1][0] > opened:
                cid = f"bare{sent}x{time.time_ns()}"
                side = "sell" if sent % 2 else "buy"
                await client.create_order(_SYMBOL, "market", side, _QTY, None, {"newClientOrderId": cid})
                sent += 1
            opened = rows[-1][0]
    finally:
        for each in heard:
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*heard)
        await client.close()
    return sent


async def _hear(watch: Any) -> None:
    while True:
        await watch(_SYMBOL)


def main() -> int:
    """Run from the command line; prints how many orders were sent."""
    rest, ws, keys, seconds = sys.argv[1:]
    sys.stdout.write(f"{uvloop.run(trade(rest, ws, Path(keys), float(seconds)))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
