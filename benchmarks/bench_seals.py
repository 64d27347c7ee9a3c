"""What a sealed frame costs: sealing at the desk and opening at the gateway, beside the frame without a seal.

``python -m benchmarks.bench_seals`` prints microseconds per frame, the least of many rounds in turn.

Not here: the way of an order (`bench_orders`). Invariant: both ways carry the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from parley.messages import Heartbeat, Intent, Message
from runtime.frames import FrameDecoder, control, frame_of, pack, wrap
from runtime.held_orders import RELEASE, word_of
from runtime.seals import Seal, new_key

FRAMES: Final = 2_000
ROUNDS: Final = 40


def _order() -> Intent:
    return Intent(
        iid=bytes(16), cid="u3avpmnswtoab6qauuyipljbhblxo3q", round=bytes(16), pid=bytes(16), leg=0, child=0,
        account="main", venue="binance", symbol="BTC/USDT", side="buy", qty=Decimal("0.01"), px=None,
        style="market", tif="IOC", reduce_only=False, send_by=1, epoch=1, reservation_id=bytes(16),
        risk_hash=bytes(16), ref_px=Decimal(50_000),
    )  # fmt: skip


def _least(work: Callable[[], None]) -> float:
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / FRAMES / 1000


def measure(frame: bytes) -> dict[str, float]:
    """Return µs per frame: written and read, plain and sealed."""
    key, raw = new_key(), frame[4:]
    found: dict[str, list[float]] = {"plain": [], "sealed": [], "seal": [], "open": []}

    def plain() -> None:
        decoder = FrameDecoder()
        for _ in range(FRAMES):
            decoder.feed(frame)

    def sealed() -> None:
        decoder, closing = FrameDecoder(), Seal(key)
        decoder.seal = Seal(key)
        for _ in range(FRAMES):
            decoder.feed(frame_of(closing.close(frame[4:])))

    def seal() -> None:
        closing = Seal(key)
        for _ in range(FRAMES):
            frame_of(closing.close(raw))

    def open_() -> None:
        closing, opening = Seal(key), Seal(key)
        frames = [closing.close(raw) for _ in range(FRAMES)]
        began = time.perf_counter_ns()
        for each in frames:
            opening.open(each)
        found["open"].append((time.perf_counter_ns() - began) / FRAMES / 1000)

    for _ in range(ROUNDS):
        found["plain"].append(_least(plain))
        found["sealed"].append(_least(sealed))
        found["seal"].append(_least(seal))
        open_()
    return {name: round(min(each), 2) for name, each in found.items()}


def main() -> None:
    """Print the figures of the three frames a gateway gets."""
    beat: Message = Heartbeat(unit="desk", incarnation=1, epoch=1, head=bytes(32), t=1)
    frames = {
        "order": pack(wrap(_order(), sender="desk", to="gateway", seq=1, round_=bytes(16), t_event=1)),
        "its release": pack(control(word_of(RELEASE, [1]), sender="desk", to="gateway")),
        "heartbeat": pack(wrap(beat, sender="desk", to="gateway")),
    }
    for name, frame in frames.items():
        us = measure(frame)
        print(
            f"{name:<12}{len(frame):>5} bytes: read plain {us['plain']} µs; sealed and read {us['sealed']} µs"
            f" (seal {us['seal']}, open {us['open']})"
        )


if __name__ == "__main__":
    main()
