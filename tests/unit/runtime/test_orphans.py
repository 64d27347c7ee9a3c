"""Orders of no run that goes on: when a start is refused for them, and what is said.

The venue is a small stand-in; real ones are asked in tests/contract/test_orphans.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec
import pytest

from parley.messages import Attempt, CancelIntent, encode
from runtime.gateway_config import GatewayConfig, NullConfig
from runtime.gateway_log import GatewayLog
from runtime.lastlook import Limits
from runtime.leftovers import claim, release
from runtime.orphans import Orphan, Outcome, cancel, named, refusals
from runtime.real_money import BOOKS
from tests.kit.units import make_intent
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


def orphan(name: str, symbol: str = "BTC/USDT", run: str = "") -> Orphan:
    return Orphan(symbol=symbol, cid=name, venue_id=f"v-{name}", terms="buy 1 at 2", run=run)


def run_with(home: Path, run: str, *, count: int) -> list[str]:
    """Leave a run with real money whose journal calls some orders working; returns their client ids."""
    folder = home / "runs" / run
    folder.mkdir(parents=True)
    (folder / BOOKS).write_bytes(b"{}")
    sent = [make_intent(n) for n in range(count)]

    async def write() -> None:
        loop = asyncio.get_running_loop()
        journal = GatewayLog(folder / "gateway.journal", {"unit": "gateway"}, loop, lambda _: None)
        for each in sent:
            attempt = Attempt(
                iid=each.iid, cid=each.cid, n=1, t_send=1, fence_until=2, body_hash=b"", desk_head=b"",
            )  # fmt: skip
            journal.attempt(each, encode(each), attempt, 1, lambda *_: None)
        journal.close()

    asyncio.run(write())
    return [each.cid for each in sent]


def refused(exchange: Exchange, folder: Path, own: Collection[str] | None = None) -> list[str]:
    return asyncio.run(refusals(config(folder), cast(Venue, exchange), own))


def cancelled(exchange: Exchange, folder: Path, *cids: str) -> Outcome:
    return asyncio.run(cancel(config(folder), cast(Venue, exchange), cids, patience_s=0.0))


def test_where_nothing_rests_nothing_is_said(tmp_path: Path) -> None:
    assert refused(Exchange(()), tmp_path) == []


def test_what_rests_is_named_by_symbol_with_the_first_ids_and_their_number(tmp_path: Path) -> None:
    found = [orphan(name) for name in "dacb"] + [orphan("e", "ETH/USDT")]

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


def test_a_run_that_is_gone_on_with_may_have_what_it_ever_sent_and_nothing_else(tmp_path: Path) -> None:
    """As when its folder comes back from a backup older than its last orders."""
    exchange = Exchange([order("a"), order("b")])

    assert refused(exchange, tmp_path, ("a", "b", "c")) == []
    assert exchange.looks == 1  # a start is not slower by more
    assert refused(exchange, tmp_path, ("a",)) == [named([orphan("b")])]
    assert len(refused(exchange, tmp_path, ())) == 1  # a journal that is empty


def test_a_run_that_is_gone_on_with_begins_although_nobody_answers(tmp_path: Path) -> None:
    """It may hold something that it has to leave."""
    assert refused(Exchange(VenueError("timed out")), tmp_path, ("a",)) == []


def test_what_an_ended_run_calls_working_is_refused_and_named_with_it(tmp_path: Path) -> None:
    """Also of one before the newest, which nobody goes on with."""
    cids = run_with(tmp_path, "r1", count=2)
    run_with(tmp_path, "r2", count=0)
    exchange = Exchange([order(each) for each in [*cids, "x"]])

    (line,) = refused(exchange, tmp_path)

    assert f"1 in BTC/USDT (x), 2 in BTC/USDT of the ended run r1 ({', '.join(sorted(cids))}): " in line
    assert "unless another machine trades there, or go on with --resume r1, look at them" in line


def test_what_a_live_run_calls_working_is_its_own(tmp_path: Path) -> None:
    cids = run_with(tmp_path, "r1", count=2)
    held = claim(tmp_path / "runs" / "r1")
    try:
        assert refused(Exchange([order(each) for each in cids]), tmp_path) == []
    finally:
        release(tmp_path / "runs" / "r1", held)


@pytest.mark.parametrize("error", [msgspec.ValidationError("old"), ArithmeticError("old"), OSError("old")])
def test_a_journal_that_cannot_be_read_claims_nothing_and_is_named(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(path: Path) -> None:
        raise error

    cids = run_with(tmp_path, "r1", count=1)
    monkeypatch.setattr("runtime.orphans.recover", fails)

    assert refused(Exchange([order(cids[0])]), tmp_path) == [named([orphan(cids[0])])]
    assert "journal_not_read" in caplog.text
    assert "r1/gateway.journal" in caplog.text


def test_only_what_was_named_is_cancelled_and_only_what_is_not_listed_is_gone(tmp_path: Path) -> None:
    a, b, c = order("a"), order("b"), order("c", "ETH/USDT")
    exchange = Exchange([a, b, c], [b])

    done = cancelled(exchange, tmp_path, "a", "c", "of somebody else")

    assert exchange.cancelled == [("BTC/USDT", "a"), ("ETH/USDT", "c")]
    assert (done.found, done.left) == ((orphan("a"), orphan("c", "ETH/USDT")), {})


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
