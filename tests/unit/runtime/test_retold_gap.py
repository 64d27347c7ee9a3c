"""A desk that comes back slowly: what goes missing while it reads is not ended by an older comparison."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from parley.messages import Compared, Gap, Strain
from runtime.credits import Credits
from runtime.frames import Link
from runtime.gateway_orders import Gateway
from runtime.resync import Resync
from tests.kit.builders import T0
from venues.null_venue import NullVenue

USER = Gap(stream="user", from_seq=0, to_seq=-1)
COMPARED = Compared(streams=("account", "user"), t=T0)


class Journal:
    """Holds what was compared before; says what it is told to."""

    def flush(self) -> None:
        pass

    def said(self) -> Any:
        return iter([(1, b"", USER), (2, b"", COMPARED)])

    def say(self, message: Any, epoch: int, round_: bytes) -> int:
        return 3


class SlowLine:
    """A link with more than a MiB unread before the last message, and then none."""

    is_open = True

    def __init__(self, meanwhile: Any) -> None:
        self._asked = 0
        self._meanwhile = meanwhile

    @property
    def unsent(self) -> int:
        self._asked += 1
        if self._asked == 2:
            self._meanwhile()
            return 1 << 21
        return 0

    def send(self, envelope: object) -> None:
        pass


@pytest.mark.parametrize("is_lost", [False, True])
def test_stream_lost_while_a_desk_reads_is_not_ended_by_an_older_comparison(is_lost: bool) -> None:
    told: list[Any] = []
    gateway: Any = Gateway.__new__(Gateway)
    gateway._journal, gateway._gaps = Journal(), 0
    gateway.credits = Credits(NullVenue((), ()).meter, told.append)  # there is room: nothing to tell
    gateway._counters = type("C", (), {"epoch": 1})()
    gateway._send = lambda message, seq, round_=b"", cause=0: told.append(message)
    line = SlowLine((lambda: gateway._say(USER)) if is_lost else lambda: None)
    asyncio.run(gateway._retell(cast(Link, line), Resync(epoch=1)))
    told = [each for each in told if not isinstance(each, Strain)]
    assert told == ([USER, USER] if is_lost else [USER, COMPARED])
