"""Orders that no journal knows: when a start is refused for them, and what is said.

The venue is a small stand-in; real ones are asked in tests/contract/test_orphans.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from parley.messages import CancelIntent
from runtime.gateway_config import GatewayConfig, NullConfig
from runtime.lastlook import Limits
from runtime.orphans import Outcome, cancel, named, refusals
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import Acked, Ambiguous, Rejected, Resting, SendResult, Venue, VenueError

TAKEN = Acked(venue_id="", t_venue=0)


class Exchange:
    """Lists what it is told to, the last answer for ever; an error is raised, a cancel is answered so."""

    lag_ns = 1_000_000

    def __init__(self, *lists: Sequence[Resting] | VenueError, said: SendResult = TAKEN) -> None:
        self._lists = list(lists)
        self._said = said
        self.meter = Meter(NoLimits())
        self.cancelled: list[tuple[str, str]] = []
        self.looks = 0

    async def resting(self, tag: str) -> Sequence[Resting]:
        assert len(tag) == 5
        self.looks += 1
        said = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(said, VenueError):
            raise said
        return said

    async def cancel(self, intent: CancelIntent) -> SendResult:
        self.cancelled.append((intent.symbol, intent.cid))
        return self._said


def order(name: str, symbol: str = "BTC/USDT") -> Resting:
    return Resting(symbol=symbol, cid=name, venue_id=f"v-{name}", terms="buy 1 at 2")


def config(folder: Path) -> GatewayConfig:
    return GatewayConfig(
        account="main", socket="", journal=str(folder / "gateway.journal"), instruments="",
        venue=NullConfig(symbols=("BTC/USDT",), balances={"USDT": Decimal(1)}),
        limits=Limits(max_notional={}, max_position={}), halt_file=str(folder / "HALT"),
    )  # fmt: skip


def refused(exchange: Exchange, folder: Path) -> list[str]:
    return asyncio.run(refusals(config(folder), cast(Venue, exchange)))


def cancelled(exchange: Exchange, folder: Path, *cids: str) -> Outcome:
    return asyncio.run(cancel(config(folder), cast(Venue, exchange), cids, patience_s=0.0))


def test_where_nothing_rests_nothing_is_said(tmp_path: Path) -> None:
    assert refused(Exchange(()), tmp_path) == []


def test_what_rests_is_named_by_symbol_with_the_first_ids_and_their_number(tmp_path: Path) -> None:
    found = [order(name) for name in "dacb"] + [order("e", "ETH/USDT")]

    (line,) = refused(Exchange(found), tmp_path)

    assert "4 in BTC/USDT (a, b, c, ...), 1 in ETH/USDT (e): " in line
    assert "'parley orphans --config FILE'" in line
    assert named(found) == line
    assert ";" not in line  # reasons are told in one line, with these between them


def test_a_venue_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    for exchange in (Exchange(VenueError("timed out")), Exchange([order("a")], VenueError("timed out"))):
        assert refused(exchange, tmp_path) == ["it is not known which of our orders rest there (timed out)"]


def test_what_a_list_shows_only_once_was_just_cancelled(tmp_path: Path) -> None:
    exchange = Exchange([order("a")], [])

    assert refused(exchange, tmp_path) == []
    assert exchange.looks == 2


def test_who_has_a_journal_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "gateway.journal").write_bytes(b"")
    exchange = Exchange([order("a")])

    assert refused(exchange, tmp_path) == []
    assert exchange.looks == 0


def test_only_what_was_named_is_cancelled_and_only_what_is_not_listed_is_gone(tmp_path: Path) -> None:
    a, b, c = order("a"), order("b"), order("c", "ETH/USDT")
    exchange = Exchange([a, b, c], [b])

    done = cancelled(exchange, tmp_path, "a", "c", "of somebody else")

    assert exchange.cancelled == [("BTC/USDT", "a"), ("ETH/USDT", "c")]
    assert (done.found, done.left) == ((a, c), {})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (TAKEN, "the exchange took the cancel and lists the order still"),
        (Rejected(code="venue:1", detail="not now"), "not now"),
        (Ambiguous(cause="timed out"), "timed out"),
    ],
)
def test_what_is_still_listed_may_trade_whatever_the_answer_was(
    tmp_path: Path, said: SendResult, why: str
) -> None:
    assert cancelled(Exchange([order("a")], said=said), tmp_path, "a").left == {"a": why}


def test_nothing_is_gone_as_long_as_the_venue_does_not_list(tmp_path: Path) -> None:
    done = cancelled(Exchange([order("a")], VenueError("timed out")), tmp_path, "a")

    assert done.left == {"a": "it is not known whether it still rests: timed out"}
