"""The truth log: what really happened on the venue, one JSON object a line.

Reconciliation compares the platform's belief with this file, so a line is handed to the operating
system before the client hears of the event. Not here: secrets; they never reach this module.
Invariant: the file only grows, `n` counts from 0 without a hole, numbers of money are texts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec


class TruthLog:
    """Append-only writer; one write call for each event, unbuffered."""

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._encoder = msgspec.json.Encoder()
        self._n = 0

    def write(self, event: str, market_ms: int, fields: dict[str, object]) -> None:
        """Append one event at market time `market_ms`."""
        line = self._encoder.encode(
            {"n": self._n, "wall_ns": time.time_ns(), "t": market_ms, "event": event, **fields}
        )
        self._n += 1
        os.write(self._fd, line + b"\n")

    def close(self) -> None:
        """Force the log to disk and close it."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
