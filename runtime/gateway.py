"""The gateway process: the only one that holds a venue client and its keys.

Run as ``python -m runtime.gateway --config FILE.json``; it writes one JSON line when it serves. A desk
connects to its socket and sends `Intent` and `CancelIntent`; it gets `Balance`, `Heartbeat`, `Attempt`,
`Ack`, `VenueReject`, `Unknown`, `OrderEvent`, `Fill`, `Gap` and `Compared`.

With ``--introduced`` its standard input names the one process that may send, and that process's key.
With ``--spare`` it begins only when its standard input says so: until then it holds no lock, reads no key and
speaks to nobody (`spare`).

Not here: what is done with orders (`gateway_orders`), who may send them (`gateway_door`).

Invariant: no desk is served before the venue's user stream stands: what happens to an order is heard.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.errors import Fatal, UserError
from parley.instruments import Instrument, has_contracts
from parley.messages import Balance
from runtime.account_watch import AccountWatch
from runtime.frames import listen
from runtime.funding_watch import FundingWatch, before_opening, counted
from runtime.gateway_config import CcxtConfig, GatewayConfig, key_of, make_venue, unusable
from runtime.gateway_dead_man import DeadMan
from runtime.gateway_door import Introductions
from runtime.gateway_lock import GatewayLock
from runtime.gateway_log import GatewayLog, Recovered, recover
from runtime.gateway_orders import Gateway
from runtime.heartbeat import Heartbeat
from runtime.idle_gc import IdleCollector
from runtime.inspection import Inspection
from runtime.kill_switch import Orders, sweep, wanted_of
from runtime.lastlook import Counters
from runtime.lastlook_contracts import Contracts
from runtime.orphans import refusals
from runtime.real_money import BOOKS, Books, NotKnown, key_lock, part_of, qualify, rounding
from runtime.unit import announce, die_with_parent, first_of, path_of, read_config, run_unit
from venues.backoff import Backoff
from venues.limits import Request
from venues.meter import words
from venues.port import Denied, Fact, Unasked, Venue, VenueError

log = logging.getLogger(__name__)

_STREAM_PATIENCE_S: Final = 30.0
_SWEEP_S: Final = 4.0
_SWEPT_S: Final = 20.0  # also if the journal neither takes a cancel nor says that it does not
_AUDIT_S: Final = 20.0
_BAN_S: Final = 60.0  # one who is banned at the end waits so long; a later ban may be longer
_AUDIT_AGAIN_S: Final = 1.0
_SETTLES_S: Final = 20.0  # after that a balance that lacks something is not late
_LOCK_PATIENCE_S: Final = 2.0  # one that was killed may not be gone yet
_SPARE_PATIENCE_S: Final = 60.0  # `parley kill` holds the lock while it cancels


class Breakage:
    """That the journal can be written no more: ``told`` is set then, and the gateway is to ``stop``."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.errors: list[Fatal] = []
        self.told = asyncio.Event()
        self._stop = stop

    def note(self, error: Fatal) -> None:
        """Keep an error."""
        self.errors.append(error)
        self.told.set()
        self._stop.set()


async def serve(
    config: GatewayConfig, stop: asyncio.Event, introductions: Introductions | None = None,
    patience_s: float = _LOCK_PATIENCE_S, *, again: bool = False,
) -> None:  # fmt: skip
    """Run a gateway until `stop`; ``introductions`` say which process is its desk, None: any of this user's.

    ``patience_s`` is how long another process may still hold the journal's lock. ``again``: in the place of
    one that served; it waits for a venue that does not answer all it has to know.

    Raises
    ------
    UserError
        When configuration, journal or socket cannot be used, or the venue cannot be reached at the start.
    Fatal
        When the journal cannot be written any more.
    """
    breakage = Breakage(stop)
    path = path_of(config.journal)
    lock = GatewayLock(path)
    key = key_lock(key_of(config)) if config.real_money is not None else None
    venue = make_venue(config)
    journal: GatewayLog | None = None
    heart = Heartbeat(config.heartbeat)
    try:
        lock.take(patience_s)
        if key is not None:
            key.take(patience_s)
        config = msgspec.structs.replace(config, incarnation=lock.epoch)
        heart.start()
        is_first = not path.exists()
        earlier = Recovered(counters=Counters()) if is_first else recover(path)
        positions = earlier.counters.positions
        instruments, prior, balance, books = await _account(
            config, venue, earlier, stop if again else None, is_first=is_first
        )
        if config.real_money is not None:
            await _mark(earlier.counters.contracts, venue)
        path_of(config.instruments).write_bytes(msgspec.json.encode(list(instruments.values())))
        of = {"unit": "gateway", "account": config.account, "tenant": config.tenant, "desk": str(config.desk)}
        journal = GatewayLog(path, of, asyncio.get_running_loop(), breakage.note, earlier.unsent)
        earlier.counters.heard(journal.epoch)
        gateway = Gateway(
            config, venue, instruments, earlier.counters, journal, balance, IdleCollector().idle,
            introductions,
        )  # fmt: skip
        gateway.adopt(earlier)
        funding = FundingWatch(venue, earlier.funding, gateway.tell, config.funding_s)
        funding.tell(prior, prior=is_first)
        ready = asyncio.Event()
        inspection, hear = _watching(config, gateway, venue, books, earlier.counters, funding)
        dead_man = _dead_man(config, venue, instruments, gateway, None if is_first else earlier)
        works = [inspection.run(), *([funding.run()] if has_contracts(instruments) else ())]
        following = asyncio.ensure_future(venue.follow(hear, ready.set))
        keeping = asyncio.ensure_future(dead_man.run())
        try:
            within_s = None if again else _STREAM_PATIENCE_S
            serving = _serve(config, gateway, works, following, ready, within_s)
            await first_of(stop, gateway.beat(), serving, asyncio.shield(keeping))
            await gateway.stop()  # while the stream still stands: what orders become is heard to the last
            left = await let_go(gateway, dead_man, breakage.told, takes_back=books is not None)
            if books is not None:
                await _audit(books, venue, positions, left, funding)
        finally:
            following.cancel()
            keeping.cancel()
            await asyncio.gather(following, keeping, return_exceptions=True)
    finally:
        await venue.close()
        heart.stop()
        if journal is not None:
            journal.close()
        lock.release()
        if key is not None:
            key.release()
    if breakage.errors:
        raise breakage.errors[0]


async def _account(
    config: GatewayConfig, venue: Venue, earlier: Recovered, stop: asyncio.Event | None, *, is_first: bool
) -> tuple[dict[str, Instrument], Sequence[Unasked], Balance, Books | None]:
    """Ask the venue for all that has to be known before orders are sent.

    With ``stop``, in the place of a gateway that served: until it is known. Nobody else looks after what
    rests there, and a venue that comes back answers one question and not the next. What speaks against the
    account still ends it, and so does what lacks for longer than a balance may be late.
    """
    backoff, lacks_since = Backoff(), 0.0
    while True:
        try:
            found = await _ask(config, venue, earlier, is_first=is_first, again=stop is not None)
            venue.meter.faults.take()  # of before: told with the first beat they would look like now's
            return found
        except (VenueError, NotKnown) as error:
            if isinstance(error, NotKnown) and error.is_late:
                lacks_since = lacks_since or time.monotonic()
            is_lacking = lacks_since > 0 and time.monotonic() - lacks_since > _SETTLES_S
            if stop is None or stop.is_set() or isinstance(error, Denied) or is_lacking:
                raise (unusable(config, error) if isinstance(error, VenueError) else error) from error
            lack = venue.meter.lack(Request.BALANCES)  # who asks during a ban makes it longer
            pause = max(backoff.pause_s(), lack.wait / 1e9 if lack is not None else 0.0)
            log.warning("venue_not_ready retry_s=%.1f %s", pause, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)


async def _ask(
    config: GatewayConfig, venue: Venue, earlier: Recovered, *, is_first: bool, again: bool
) -> tuple[dict[str, Instrument], Sequence[Unasked], Balance, Books | None]:
    instruments, whole, prior = await _open_venue(config, venue)
    # one in the place of another has what that had to look after, and a journal that knows its orders
    is_asked = config.real_money is not None and (is_first or not again)
    reasons = await refusals(config, venue, None if is_first else earlier.orders) if is_asked else []
    balance, books = await _own_part(
        config, venue, whole, earlier, () if is_first else prior, reasons, by_clock=not again
    )
    await venue.prepare()
    return instruments, prior, balance, books


async def _own_part(
    config: GatewayConfig, venue: Venue, whole: Balance, earlier: Recovered, done: Sequence[Unasked],
    reasons: Sequence[str], *, by_clock: bool,
) -> tuple[Balance, Books | None]:  # fmt: skip
    """Return what of the account is the desk's, with real money also its books; refuses what lacks.

    ``done``: what the venue did by itself, of which some may not have been told yet. ``reasons``
    and ``by_clock``: as `qualify`.
    """
    if config.real_money is None:
        return whole, None
    now, is_settled = counted(earlier.counters, done, earlier.funding), not earlier.alive
    await qualify(
        venue, config.real_money, whole, now.positions, is_settled=is_settled,
        rounded=rounding(now.contracts), reasons=reasons, by_clock=by_clock,
    )  # fmt: skip
    address = config.venue.rest if isinstance(config.venue, CcxtConfig) else ""
    path, contracts = path_of(config.journal).with_name(BOOKS), earlier.counters.contracts
    books = Books(path, config.real_money, whole, now.positions, address, lambda: rounding(contracts))
    if is_settled:
        books.refuse_what_is_gone(dict(whole.assets), now.positions)
    return part_of(whole, config.real_money, earlier.counters.positions), books


def _watching(
    config: GatewayConfig,
    gateway: Gateway,
    venue: Venue,
    books: Books | None,
    counters: Counters,
    funding: FundingWatch,
) -> tuple[Inspection, Callable[[Fact], None]]:
    """Make what looks after orders, with real money also after balances, and who hears the stream for it."""
    if books is None or config.real_money is None:
        inspection = Inspection(gateway, venue, gateway.doubts, config.inspect_s)
        return inspection, inspection.tell
    quote = config.real_money.quote
    watch = AccountWatch(
        books, venue, counters.positions, quote, gateway.doubts, gateway.tell_of_account, funding.refresh
    )

    async def look() -> None:
        await _mark(counters.contracts, venue)
        await watch.look()

    inspection = Inspection(gateway, venue, gateway.doubts, config.inspect_s, look)

    def hear(fact: Fact) -> None:
        watch.heard(fact)
        inspection.tell(fact)

    return inspection, hear


def _dead_man(
    config: GatewayConfig, venue: Venue, symbols: Iterable[str], gateway: Gateway, earlier: Recovered | None
) -> DeadMan:
    alive = None if earlier is None else [each.intent for each in earlier.alive]
    if alive is None and config.real_money is not None:
        alive = []  # another run's timers may still run at this account
    # who follows another, or goes on, does not end over limits that have become smaller
    return DeadMan(config.dead_man_s, venue, symbols, gateway, alive, is_strict=earlier is None)


async def _open_venue(
    config: GatewayConfig, venue: Venue
) -> tuple[dict[str, Instrument], Balance, Sequence[Unasked]]:
    """Ask the venue what it lists and what the account holds."""
    instruments = await venue.connect()
    assets, prior = await before_opening(venue)
    balance = Balance(account=config.account, venue=config.venue.name, assets=assets, t=time.time_ns())
    return instruments, balance, prior


async def _mark(contracts: Contracts, venue: Venue) -> None:
    """Let the last look know what the venue says its contracts are worth; without that none is opened."""
    if not venue.capabilities.contracts:
        return
    await venue.meter.turn(Request.BALANCES)
    asked = time.monotonic_ns()
    try:
        for asset, px in (await venue.marks()).items():
            contracts.marks.say(asset, px, asked)
    except VenueError as error:
        log.warning("marks_not_read cause=%s", error)


async def _serve(
    config: GatewayConfig, gateway: Gateway, works: Sequence[Coroutine[Any, Any, None]],
    following: asyncio.Future[None], ready: asyncio.Event, within_s: float | None,
) -> None:  # fmt: skip
    try:
        await asyncio.wait_for(ready.wait(), within_s)
    except TimeoutError:
        raise UserError(f"the venue's user stream did not stand within {within_s} s") from None
    server = await listen(path_of(config.socket), gateway.on_connect)
    kills = None
    if config.kill_socket:
        kills = await listen(path_of(config.kill_socket), gateway.kills.on_connect)
    announce(
        {
            "ready": True, "unit": "gateway", "pid": os.getpid(), "socket": config.socket,
            "instruments": config.instruments, "journal": config.journal, "epoch": config.incarnation,
        }
    )  # fmt: skip
    try:
        # Only now: what happens to an order after it was looked up is heard on the stream.
        await asyncio.gather(asyncio.shield(following), gateway.doubts.run(), *works)
    finally:
        server.close()
        path_of(config.socket).unlink(missing_ok=True)
        if kills is not None:
            kills.close()
            path_of(config.kill_socket).unlink(missing_ok=True)


async def let_go(
    gateway: Orders, dead_man: DeadMan, broken: asyncio.Event, *, takes_back: bool
) -> tuple[str, ...]:
    """Leave the venue alone; return ids of orders to be taken back that it did not confirm, it ends them.

    A journal that is ``broken`` takes no cancel, so none is sent: the venue's timer goes on, and ends them.
    """
    left: tuple[str, ...] = ()
    if takes_back:  # nobody is here any more to see a resting order fill
        left = await _taken_back(gateway, broken)
    await dead_man.end(leaves=bool(left) or broken.is_set())
    return left


async def _taken_back(gateway: Orders, broken: asyncio.Event) -> tuple[str, ...]:
    if not broken.is_set():
        sweeping = asyncio.ensure_future(sweep(gateway, lambda _: True, patience_s=_SWEEP_S))
        breaking = asyncio.ensure_future(broken.wait())
        await asyncio.wait((sweeping, breaking), timeout=_SWEPT_S, return_when=asyncio.FIRST_COMPLETED)
        breaking.cancel()
        if sweeping.done():
            return sweeping.result().unconfirmed
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    log.error("not_taken_back cause=the journal takes no cancel")
    return tuple(sorted(each.cid for each in wanted_of(gateway, lambda _: True)))


async def _audit(
    books: Books, venue: Venue, positions: Mapping[str, Decimal], unconfirmed: tuple[str, ...],
    funding: FundingWatch,
) -> None:  # fmt: skip
    """Say how the account changed while it was served, and what may still trade."""
    began = time.monotonic_ns()
    while True:
        if (lack := await venue.meter.turn(Request.BALANCES, began + int(_BAN_S * 1e9))) is not None:
            told = {"error": words(lack)[1]}
            break
        try:
            audit = await books.audit(venue, positions, funding.refresh)
            told = msgspec.to_builtins(msgspec.structs.replace(audit, unconfirmed=unconfirmed))
            break
        except VenueError as error:  # a bad moment is no reason to end without having looked
            told = {"error": str(error)}
        if time.monotonic_ns() >= began + int(_AUDIT_S * 1e9):
            break
        await asyncio.sleep(_AUDIT_AGAIN_S)
    announce({"audit": told})


async def _turn(introductions: Introductions, stop: asyncio.Event) -> bool:
    waiting, stopped = asyncio.ensure_future(introductions.turn()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if stop.is_set():
        waiting.cancel()
        return False
    return waiting.result()


def main() -> int:
    """Run the gateway's process and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.gateway", description="Gateway to one venue account."
    )
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see GatewayConfig")
    parser.add_argument("--introduced", action="store_true", help="standard input names its desks")
    parser.add_argument("--spare", action="store_true", help="wait for a turn on standard input")
    arguments = parser.parse_args()

    async def run(stop: asyncio.Event) -> None:
        # as in the desk: the commit thread asks for the interpreter between its calls of SQLite
        sys.setswitchinterval(2e-4)
        die_with_parent()
        introductions = Introductions() if arguments.introduced or arguments.spare else None
        patience_s = _LOCK_PATIENCE_S
        if arguments.spare and introductions is not None:
            announce({"spare": True, "unit": "gateway", "pid": os.getpid()})
            patience_s = _SPARE_PATIENCE_S
            if not await _turn(introductions, stop):
                return
        if not arguments.introduced:
            introductions = None
        config = read_config(arguments.config, GatewayConfig)
        await serve(config, stop, introductions, patience_s, again=arguments.spare)

    return run_unit("gateway", run)


if __name__ == "__main__":
    sys.exit(main())
