"""Which orders a gateway's journal leaves without a fate: read on from where the last look ended.

Problem: a bout ends when no order is in doubt any more, and looks for that again and again.

Not here: waiting (`bout`). Invariant: a record is read once; a journal only grows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from parley.messages import (
    Ack,
    Attempt,
    CancelIntent,
    Fill,
    Intent,
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
)
from runtime.history import kinds

_ABOUT_ORDERS: Final = (
    "Intent", "CancelIntent", "Attempt", "Ack", "VenueReject", "Unknown", "OrderEvent", "Fill"
)  # fmt: skip
_SELECT: Final = (
    f"SELECT seq, body FROM records WHERE seq > ? AND kind IN ({','.join(map(str, kinds(*_ABOUT_ORDERS)))})"
    " ORDER BY seq"
)


class Unsettled:
    """The orders of one journal that were attempted and of which nothing certain is known."""

    def __init__(self, journal: Path) -> None:
        self._uri = f"{journal.as_uri()}?mode=ro"
        self._read_to = 0
        self._is_order = False
        self._open: set[bytes] = set()

    def look(self) -> int:
        """Read what is new and return how many orders are in doubt."""
        with closing(sqlite3.connect(self._uri, uri=True, timeout=5.0)) as reader:
            for seq, body in reader.execute(_SELECT, (self._read_to,)):
                self._read_to = seq
                self._take(body)
        return len(self._open)

    def _take(self, body: bytes) -> None:
        match decode(body):
            case Intent():
                self._is_order = True
            case CancelIntent():
                self._is_order = False
            case Attempt(iid=iid) if self._is_order:
                self._open.add(iid)
            case Unknown(cancel=False, iid=iid):
                self._open.add(iid)
            case (
                Ack(cancel=False, iid=iid)
                | VenueReject(cancel=False, definitive=True, iid=iid)
                | OrderEvent(iid=iid)
                | Fill(iid=iid)
            ):
                self._open.discard(iid)
            case _:
                pass
