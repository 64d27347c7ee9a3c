"""Cancels an account's orders when its gateway does not answer: ends it, takes its place, and asks the venue.

Problem: a gateway that hangs still holds the key, and might go on at any moment. So it is ended by the number
and start time it wrote into its lock, and only with that lock in hand its journal is opened, under the next
epoch, and the venue is asked with its key. What is then cancelled is what the journal says may still trade.

Of several exchanges those that answer are asked, and what works at the others is said to be unconfirmed: one
that is away must not keep an order alive at another.

Not here: the kill file, which is written before and keeps whatever comes next from sending (`kill_file`).

Invariant: nothing is asked of the venue while another process could do so with the same journal; every cancel
is durable in that journal before it is sent."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import Fatal, UserError
from parley.instruments import exchange_of
from parley.messages import Balance, Intent
from runtime.gateway_config import GatewayConfig, make_venue, unusable
from runtime.gateway_lock import GatewayLock
from runtime.gateway_log import GatewayLog, Recovered, recover
from runtime.gateway_orders import Gateway
from runtime.kill_switch import PATIENCE_S, Swept, sweep, wanted_of
from runtime.unit import path_of, read_config
from venues.port import Venue, VenueError
from venues.several import reach

_LOCK_PATIENCE_S: Final = 5.0
_STREAM_PATIENCE_S: Final = 5.0


class Takeover(msgspec.Struct, frozen=True):
    """What was done: the process that was ended (0: none held the lock), the epoch taken, and the sweep."""

    ended: int
    epoch: int
    swept: Swept


async def take_over_from(
    file: Path, concerns: Callable[[Intent], bool] | None, *, patience_s: float = PATIENCE_S
) -> Takeover:
    """As `take_over`, of the gateway that a configuration file is of.

    Raises
    ------
    UserError
        As `take_over`, and when the file is no gateway's configuration.
    """
    return await take_over(read_config(file, GatewayConfig), concerns, patience_s=patience_s)


async def take_over(
    config: GatewayConfig, concerns: Callable[[Intent], bool] | None, *, patience_s: float = PATIENCE_S
) -> Takeover:
    """End the gateway and cancel what works of what is concerned; None: it is only ended.

    Raises
    ------
    UserError
        When its lock or journal cannot be had, or the venue cannot be reached.
    """
    path = path_of(config.journal)
    if not path.exists():
        raise UserError(f"there is no journal {str(path)!r}: this gateway has never sent anything")
    lock = GatewayLock(path)
    ended = lock.end_holder()
    lock.take(_LOCK_PATIENCE_S)
    try:
        earlier = recover(path)
        if concerns is None:
            return Takeover(ended=ended, epoch=earlier.counters.epoch, swept=Swept(0, 0, (), 0.0, 0.0))
        venue = make_venue(config)
        try:
            epoch, swept = await _cancel(config, path, earlier, venue, concerns, patience_s)
        finally:
            await venue.close()
    finally:
        lock.release()
    return Takeover(ended=ended, epoch=epoch, swept=swept)


async def _cancel(
    config: GatewayConfig,
    path: Path,
    earlier: Recovered,
    venue: Venue,
    concerns: Callable[[Intent], bool],
    patience_s: float,
) -> tuple[int, Swept]:
    failures: list[Fatal] = []
    try:
        reached, instruments, assets, missing = await reach(venue)
    except VenueError as error:
        raise unusable(config, error, "reached") from error
    log = GatewayLog(path, {}, asyncio.get_running_loop(), failures.append, earlier.unsent)
    try:
        earlier.counters.heard(log.epoch + 1)  # whoever spoke to the ended gateway is behind from now on
        balance = Balance(account=config.account, venue=config.venue.name, assets=assets, t=time.time_ns())
        gateway = Gateway(config, reached, instruments, earlier.counters, log, balance, _nothing)
        gateway.adopt(earlier)
        ready = asyncio.Event()
        following = asyncio.ensure_future(reached.follow(gateway.tell, ready.set))
        doubts = asyncio.ensure_future(gateway.doubts.run())
        try:
            # the stream says what filled meanwhile; without it the cancels go all the same
            await _wait(ready, _STREAM_PATIENCE_S)
            swept = await _swept(gateway, concerns, missing, patience_s)
        finally:
            following.cancel()
            doubts.cancel()
            await asyncio.gather(following, doubts, return_exceptions=True)
    finally:
        log.close()
    if failures:
        sys.stderr.write(f"kill: {failures[0]}\n")
    return earlier.counters.epoch, swept


async def _swept(
    gateway: Gateway,
    concerns: Callable[[Intent], bool],
    missing: Mapping[str, VenueError],
    patience_s: float,
) -> Swept:
    swept = await sweep(
        gateway,
        lambda order: exchange_of(order.symbol) not in missing and concerns(order),
        patience_s=patience_s,
    )
    left = [
        f"{order.cid} ({error.venue} cannot be reached: {error})"
        for order in wanted_of(gateway, concerns)
        if (error := missing.get(exchange_of(order.symbol))) is not None
    ]
    return msgspec.structs.replace(swept, unconfirmed=(*swept.unconfirmed, *sorted(left)))


async def _wait(ready: asyncio.Event, patience_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ready.wait(), patience_s)


def _nothing() -> None:
    pass
