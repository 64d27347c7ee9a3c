"""Orders of ours that rest at an exchange and are of no run that goes on: found, named, cancelled if asked.

Problem: what a run has at the exchange is in its gateway's journal. Where that is gone (a disk, a folder,
another machine), comes from an older backup, or is of a run that nobody goes on with, a gateway would begin
beside old orders of ours, and their fills would look like somebody else's. The exchange still has them, and
their client ids begin with the tenant's tag. So before a run is begun or gone on with the gateway asks for
them, and does not begin while there are any: what they were for a person has to say.

Run as ``python -m runtime.orphans --config FILE.json``, a gateway's configuration, it writes one JSON line:
what it found, or with ``--cancel CID ...`` what became of these. `parley orphans` does so, which never reads
a key.

Not here: how a venue is asked (`venues.resting`), the command (`commands.orphans`), orders that a journal
knows (`doubts`, and `killing` where the run has ended).

Invariant: what does not bear the tag is neither named nor cancelled, nor is what the run's own journal ever
sent or a live run of the home knows as working; only what no list of the venue shows any more is called gone.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ParleyError, UserError
from parley.ids import tenant_tag
from parley.instruments import exchange_of
from parley.messages import CancelIntent
from runtime.gateway_config import GatewayConfig, key_of, make_venue, unusable
from runtime.gateway_log import recover
from runtime.journal import JournalError
from runtime.leftovers import CLAIM, is_claimed
from runtime.real_money import BOOKS, key_lock
from runtime.unit import announce, die_with_parent, path_of, read_config, run_unit
from venues.limits import Request
from venues.meter import words
from venues.port import Ambiguous, Rejected, Resting, Venue, VenueError

log = logging.getLogger(__name__)

COMMAND: Final = "parley orphans"
_BOOKS: Final = f"runs/*/{BOOKS}"  # of a home: those of runs on paper have nothing at an exchange
_JOURNAL: Final = "gateway.journal"
_SHOWN: Final = 3
_PATIENCE_S: Final = 20.0
_LOCK_PATIENCE_S: Final = 2.0  # a gateway that was just refused may not be gone yet
_LOOKS_S: Final = 0.5


class Orphan(Resting, frozen=True, kw_only=True):
    """An order that is of no run that goes on; ``run``: the ended one whose journal calls it working."""

    run: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``found``: the orders of no run that goes on; ``left`` says by client id why one may still rest."""

    found: tuple[Orphan, ...]
    left: dict[str, str] = {}


async def refusals(config: GatewayConfig, venue: Venue, own: Collection[str] | None) -> list[str]:
    """Return why an account may not be traded by a run that begins, or by one that is gone on with.

    ``own`` are the client ids of all that the run ever ordered; None where it has no journal. Then an answer
    of the venue that does not come counts against the account. One with a journal may have to leave what it
    holds, and a list too full to be read may be full of its own stops.
    """
    try:
        found = await orphans(config, venue, own or ())
    except VenueError as error:
        why = f"it is not known which of our orders rest there ({error})"
        if own is None:
            return [why]
        log.warning("orphans_not_known %s", why)
        return []
    return [named(found)] if found else []


def named(found: Sequence[Orphan]) -> str:
    """Say in one line which orders are of no run that goes on, and what to do about them."""
    told = []
    for (symbol, run), rows in groupby(sorted(found, key=_place), key=_place):
        cids = sorted(each.cid for each in rows)
        more = ", ..." if len(cids) > _SHOWN else ""
        whose = f" of the ended run {run}" if run else ""
        told.append(f"{len(cids)} in {symbol}{whose} ({', '.join(cids[:_SHOWN])}{more})")
    resumes = "".join(
        f" or go on with --resume {run}," for run in sorted({each.run for each in found} - {""})
    )
    return (
        f"orders of ours rest there that this run never sent: {', '.join(told)}: unless another machine"
        f" trades there,{resumes} look at them and cancel them with '{COMMAND} --config FILE', FILE being"
        " this desk's settings"
    )


def _place(order: Orphan) -> tuple[str, str]:
    return order.symbol, order.run


async def orphans(config: GatewayConfig, venue: Venue, own: Collection[str] = ()) -> tuple[Orphan, ...]:
    """Return the orders of ours that rest in the traded symbols, are not ``own``, and of no live run.

    Raises
    ------
    VenueError
        When the venue does not say, or not all of it.
    """
    if not await _listed(config, venue, own):
        return ()
    whose = await asyncio.to_thread(_working, config)
    # what a run before this one cancelled in its last second may be listed for a moment
    await asyncio.sleep(venue.lag_ns / 1e9)
    return _orphans(await _listed(config, venue, own), whose)


async def _listed(config: GatewayConfig, venue: Venue, own: Collection[str]) -> list[Resting]:
    return [each for each in await venue.resting(tenant_tag(config.tenant)) if each.cid not in own]


def _orphans(listed: Sequence[Resting], whose: Mapping[str, str | None]) -> tuple[Orphan, ...]:
    found = ((each, whose.get(each.cid, "")) for each in listed)
    return tuple(
        Orphan(symbol=each.symbol, cid=each.cid, venue_id=each.venue_id, terms=each.terms, run=run)
        for each, run in found
        if run is not None
    )


def _working(config: GatewayConfig) -> dict[str, str | None]:
    """Return what other runs of the home call working: by client id the run; None if that lives."""
    whose: dict[str, str | None] = {}
    if not config.halt_file:  # it lies in the home
        return whose
    for books in sorted(path_of(config.halt_file).parent.glob(_BOOKS)):
        journal = books.with_name(_JOURNAL)
        if journal == path_of(config.journal) or not journal.exists():
            continue
        run = None if is_claimed(books.with_name(CLAIM)) else books.parent.name
        try:
            whose.update((order.intent.cid, run) for order in recover(journal).alive)
        except (ParleyError, JournalError, OSError, msgspec.MsgspecError, ArithmeticError) as error:
            log.warning("journal_not_read orders_count_as_nobodys=true file=%s cause=%s", journal, error)
    return whose


async def cancel(
    config: GatewayConfig, venue: Venue, cids: Collection[str], patience_s: float = _PATIENCE_S
) -> Outcome:
    """Cancel some of the orders of no run that goes on, and wait until the venue lists none of them.

    Raises
    ------
    VenueError
        When the venue does not say what rests, before anything was cancelled.
    """
    listed = await _listed(config, venue, ())
    whose = await asyncio.to_thread(_working, config)
    asked = tuple(each for each in _orphans(listed, whose) if each.cid in cids)
    said = {each.cid: await _cancelled(config, venue, each) for each in asked}
    until = time.monotonic() + patience_s
    while True:
        try:
            resting = {each.cid for each in await _listed(config, venue, ())}
            left = {cid: why for cid, why in said.items() if cid in resting}
        except VenueError as error:
            left = dict.fromkeys(said, f"it is not known whether it still rests: {error}")
        if not left or time.monotonic() >= until:
            return Outcome(found=asked, left=left)
        await asyncio.sleep(_LOOKS_S)


async def _cancelled(config: GatewayConfig, venue: Venue, order: Resting) -> str:
    """Cancel one order, and return what the venue said to it."""
    send_by = time.monotonic_ns() + int(_PATIENCE_S * 1e9)
    if (lack := await venue.meter.of(order.symbol).turn(Request.CANCEL, send_by)) is not None:
        return words(lack)[1]
    intent = CancelIntent(
        iid=b"", cid=order.cid, round=b"", account=config.account,
        venue=exchange_of(order.symbol) or config.venue.name, symbol=order.symbol, send_by=send_by, epoch=0,
    )  # fmt: skip
    match await venue.cancel(intent):
        case Rejected(detail=why) | Ambiguous(cause=why):
            return why
    return "the exchange took the cancel and lists the order still"


async def look(config: GatewayConfig, cids: Collection[str] | None) -> Outcome:
    """Return the orders of no run that goes on, or cancel those of them that are named.

    Raises
    ------
    UserError
        When a run trades with the key, or the venue cannot be used.
    """
    lock = key_lock(key_of(config))
    lock.take(_LOCK_PATIENCE_S)
    venue = make_venue(config)
    try:
        await venue.connect()
        if cids is None:
            return Outcome(found=await orphans(config, venue))
        return await cancel(config, venue, cids)
    except VenueError as error:
        raise unusable(config, error) from error
    finally:
        await venue.close()
        lock.release()


def main() -> int:
    """Run the look and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.orphans", description="Orders of ours at an exchange that are of no live run."
    )
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see GatewayConfig")
    parser.add_argument("--cancel", nargs="+", metavar="CID", help="cancel these")
    arguments = parser.parse_args()

    async def run(stop: asyncio.Event) -> None:
        die_with_parent()
        looking = asyncio.ensure_future(look(read_config(arguments.config, GatewayConfig), arguments.cancel))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not looking.done():
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            raise UserError("stopped before the exchange had answered")
        announce(msgspec.to_builtins(looking.result()))

    return run_unit("orphans", run)


if __name__ == "__main__":
    sys.exit(main())
