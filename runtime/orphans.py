"""Orders of ours that rest at an exchange and that no journal knows: found, named, cancelled when asked to.

Problem: what a run has at the exchange is in its gateway's journal. Where that is gone (a disk, a folder,
another machine) a gateway would begin beside its own old orders, and their fills would look like somebody
else's. The exchange still has them, and their client ids begin with the tenant's tag. So before a gateway
without a journal serves real money it asks for them, and does not begin while there are any: what they were
for nobody knows any more, so a person decides.

Run as ``python -m runtime.orphans --config FILE.json``, a gateway's configuration, it writes one JSON line:
what it found, or with ``--cancel CID ...`` what became of these. `parley orphans` does so, which never reads
a key.

Not here: how a venue is asked (`venues.resting`), the command (`commands.orphans`), orders that a journal
knows (`doubts`, and `killing` where the run has ended).

Invariant: what does not bear the tag is neither named nor cancelled, nor is what a journal of the home knows
as working; only what no list of the venue shows any more is called gone.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ParleyError, UserError
from parley.ids import tenant_tag
from parley.messages import CancelIntent
from runtime.gateway_config import GatewayConfig, key_of, make_venue
from runtime.gateway_log import recover
from runtime.journal import JournalError
from runtime.real_money import key_lock
from runtime.unit import announce, die_with_parent, path_of, read_config, run_unit
from venues.limits import Request
from venues.meter import words
from venues.port import Ambiguous, Rejected, Resting, Venue, VenueError

log = logging.getLogger(__name__)

COMMAND: Final = "parley orphans"
_JOURNALS: Final = "runs/*/gateway.journal"  # of a home
_SHOWN: Final = 3
_PATIENCE_S: Final = 20.0
_LOCK_PATIENCE_S: Final = 2.0  # a gateway that was just refused may not be gone yet
_LOOKS_S: Final = 0.5


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``found``: the orders that no journal knows; ``left`` says by client id why one may still rest."""

    found: tuple[Resting, ...]
    left: dict[str, str] = {}


async def refusals(config: GatewayConfig, venue: Venue) -> list[str]:
    """Return why an account may not be traded without the journal of an earlier life; empty where it is here.

    An answer of the venue that does not come counts against the account.
    """
    if path_of(config.journal).is_file():
        return []
    try:
        found = await orphans(config, venue)
    except VenueError as error:
        return [f"it is not known which of our orders rest there ({error})"]
    return [named(found)] if found else []


def named(found: Sequence[Resting]) -> str:
    """Say in one line which orders nobody knows, and what to do about them."""
    told = []
    for symbol, rows in groupby(sorted(found, key=lambda each: each.symbol), key=lambda each: each.symbol):
        cids = sorted(each.cid for each in rows)
        more = ", ..." if len(cids) > _SHOWN else ""
        told.append(f"{len(cids)} in {symbol} ({', '.join(cids[:_SHOWN])}{more})")
    return (
        f"orders of ours rest there that no journal on this machine knows: {', '.join(told)}: unless another"
        f" machine trades there, look at them and cancel them with '{COMMAND} --config FILE', FILE being this"
        " desk's settings"
    )


async def orphans(config: GatewayConfig, venue: Venue) -> tuple[Resting, ...]:
    """Return the orders of ours that rest in the traded symbols and that no journal of the home knows.

    Raises
    ------
    VenueError
        When the venue does not say, or not all of it.
    """
    found = await _unknown(config, venue)
    if found:
        # what a run before this one cancelled in its last second may be listed for a moment
        await asyncio.sleep(venue.lag_ns / 1e9)
        found = await _unknown(config, venue)
    return found


async def _unknown(config: GatewayConfig, venue: Venue) -> tuple[Resting, ...]:
    found = await venue.resting(tenant_tag(config.tenant))
    known = _working(config) if found else frozenset()
    return tuple(each for each in found if each.cid not in known)


def _working(config: GatewayConfig) -> Collection[str]:
    """Return the client ids of all orders that a gateway's journal of the home calls working."""
    cids: set[str] = set()
    if not config.halt_file:  # it lies in the home
        return cids
    for journal in sorted(path_of(config.halt_file).parent.glob(_JOURNALS)):
        try:
            cids.update(order.intent.cid for order in recover(journal).alive)
        except (ParleyError, JournalError, OSError) as error:  # it knows nothing, then
            log.warning("journal_not_read file=%s cause=%s", journal, error)
    return cids


async def cancel(
    config: GatewayConfig, venue: Venue, cids: Collection[str], patience_s: float = _PATIENCE_S
) -> Outcome:
    """Cancel some of the orders that no journal knows, and wait until the venue lists none of them.

    Raises
    ------
    VenueError
        When the venue does not say what rests, before anything was cancelled.
    """
    asked = tuple(each for each in await _unknown(config, venue) if each.cid in cids)
    said = {each.cid: await _cancelled(config, venue, each) for each in asked}
    until = time.monotonic() + patience_s
    while True:
        try:
            listed = {each.cid for each in await venue.resting(tenant_tag(config.tenant))}
            left = {cid: why for cid, why in said.items() if cid in listed}
        except VenueError as error:
            left = dict.fromkeys(said, f"it is not known whether it still rests: {error}")
        if not left or time.monotonic() >= until:
            return Outcome(found=asked, left=left)
        await asyncio.sleep(_LOOKS_S)


async def _cancelled(config: GatewayConfig, venue: Venue, order: Resting) -> str:
    """Cancel one order, and return what the venue said to it."""
    send_by = time.monotonic_ns() + int(_PATIENCE_S * 1e9)
    if (lack := await venue.meter.turn(Request.CANCEL, send_by)) is not None:
        return words(lack)[1]
    intent = CancelIntent(
        iid=b"", cid=order.cid, round=b"", account=config.account, venue=config.venue.name,
        symbol=order.symbol, send_by=send_by, epoch=0,
    )  # fmt: skip
    match await venue.cancel(intent):
        case Rejected(detail=why) | Ambiguous(cause=why):
            return why
    return "the exchange took the cancel and lists the order still"


async def look(config: GatewayConfig, cids: Collection[str] | None) -> Outcome:
    """Return the orders that no journal knows, or cancel those of them that are named.

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
        raise UserError(f"the venue {config.venue.name!r} cannot be used: {error}") from error
    finally:
        await venue.close()
        lock.release()


def main() -> int:
    """Run the look and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.orphans", description="Orders of ours at an exchange that no journal knows."
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
