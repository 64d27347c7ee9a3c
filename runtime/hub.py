"""The market data process: streams of a venue in, one batch at a time out to the desk.

Run as ``python -m runtime.hub --config FILE.json``; it writes one JSON line when it serves. A desk gets
`MarketBatch` envelopes and answers each with the control text ``closed:<step>``: that is its credit for the
next one. ``end:<json>`` follows when the venue's feed ends. A desk that comes to a stream under way says
``have:<step>`` of the last batch it has: in lock-step the one under way is sent again, otherwise what it lost
goes into the next one.

Three ways to pace it: in lock-step with a sandbox (`lockstep`: one step, one batch, then the sandbox may go
on), behind a sandbox that runs by the clock (a control socket without `lockstep`), or by arrival (no control
socket), where ``t`` is wall time because market and wall are the same. Of several exchanges that run by the
clock the first one paces (`hub_away`); several in lock-step there are not.

With ``--again`` it takes the place of one that is gone: it waits for a venue that cannot be reached, and for
the desk's word of what it has, before it sends anything.

Not here: how a batch is made and what a desk lacks (`hub_batches`), ccxt (`venues.ccxt_feed`), the sandbox's
announcements (`hub_control`).

Invariant: only a hub that nobody waits for yet ends because its venue cannot be reached.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final

from parley.errors import ConfigError, UserError
from runtime.frames import listen
from runtime.heartbeat import Heartbeat
from runtime.hub_away import AwaySandboxes
from runtime.hub_batches import Hub, HubConfig
from runtime.hub_control import Sandbox
from runtime.hub_feed import MS, Step
from runtime.unit import announce, die_with_parent, first_of, path_of, read_config, run_unit
from venues.adapters import feed_of
from venues.backoff import Backoff
from venues.ccxt_feed import CcxtFeed
from venues.several_feed import Feed, SeveralFeeds

log = logging.getLogger(__name__)

_BY_ARRIVAL_S: Final = 0.02
_LEAST_S: Final = 0.001  # a shorter wait is none to the loop
# How long a stream is left unwatched between steps: its messages are in the caches anyway.
_BETWEEN_STEPS_S: Final = 0.25


async def run_lockstep(hub: Hub, sandbox: Sandbox) -> None:
    """One step, one batch, one acknowledgement, until the feed ends."""
    await hub.opened()
    sandbox.go()
    while isinstance(step := await sandbox.next(), Step):
        await hub.arrived(step)
        hub.gather(step.t * MS)
        hub.send(step.step, step.t * MS, step.fills)
        await hub.closed()
        sandbox.acknowledge(step.step)
    hub.send_end(step)


async def run_announced(hub: Hub, sandbox: Sandbox, away: AwaySandboxes) -> None:
    """Follow a sandbox that runs by the clock; steps that meet a busy desk share the next batch."""
    await hub.opened()
    sandbox.go()
    away.go()
    t, unsent = 0, 0
    while isinstance(step := await sandbox.next(), Step):
        await hub.arrived(step)
        t = max(step.t * MS, hub.t)  # a candle of another exchange may have closed before
        hub.gather(t)
        unsent = 0 if hub.is_free else step.step
        if hub.is_free:
            hub.send(step.step, t)
    end = await away.end(step, hub.arrived, hub.on_gap)
    await hub.closed()
    await hub.finish()
    while unsent or hub.has_news:  # news: candles in doubt, and what a killed desk gave back
        hub.send(max(unsent, hub.next_step), max(t, hub.t))
        unsent = 0
        await hub.closed()
    hub.send_end(end)


async def run_by_arrival(hub: Hub, feed: Feed) -> None:
    """Send what came whenever the desk is free; market time is wall time.

    Closed candles go at once, for rounds are about them; books and prints by themselves at most every
    20 ms, which bounds the journal.
    """
    await hub.opened()
    feed.hear_at_once()
    hub.on_free = feed.heard.set
    last = -math.inf
    while True:
        feed.heard.clear()
        hub.gather(time.time_ns())
        rests = last + _BY_ARRIVAL_S - time.monotonic()
        if hub.is_free and (hub.has_bars or (hub.has_news and rests <= 0)):
            hub.send(hub.next_step, time.time_ns())
            last, rests = time.monotonic(), 0.0
        with contextlib.suppress(TimeoutError):
            # `wait_for` may lose the cancel that ends this hub when both come at once
            async with asyncio.timeout(max(rests, _LEAST_S) if rests > 0 else _BY_ARRIVAL_S):
                await feed.heard.wait()


async def serve(config: HubConfig, stop: asyncio.Event, *, again: bool = False) -> None:
    """Run a hub until `stop`, or until its desk left; ``again``: in the place of one that is gone.

    Raises
    ------
    UserError
        When configuration or socket cannot be used, or venue or sandbox cannot be reached at the start.
    Fatal
        When a step does not arrive, or the sandbox is lost.
    """
    _check(config)
    feed = _make_feed(config)
    heart = Heartbeat(config.heartbeat)
    heart.start()
    try:
        await first_of(stop, _connect(feed, waits=again))
        if not stop.is_set():
            await _serve(config, feed, stop, again=again)
    finally:
        heart.stop()
        await feed.close()


def _check(config: HubConfig) -> None:
    """Refuse a configuration whose exchanges cannot be played together."""
    if config.lockstep and not config.control:
        raise ConfigError("lockstep needs the sandbox's control socket in 'control'")
    names = [config.exchange, *(each.exchange for each in config.also)]
    if len({*names}) != len(names):
        raise ConfigError(f"also: expected exchanges that differ from each other, was {', '.join(names)}")
    if config.lockstep and config.also:
        raise ConfigError(
            f"lock-step plays one exchange, was {', '.join(names)}: several run by the clock, so set a speed"
        )
    if any(bool(each.control) != bool(config.control) for each in config.also):
        raise ConfigError("also: expected a control socket for every exchange or for none")


def _make_feed(config: HubConfig) -> Feed:
    def of(exchange: str, rest: str, ws: str, symbols: Sequence[str]) -> CcxtFeed:
        return feed_of(
            exchange, rest, ws, symbols=symbols, timeframe=config.timeframe, streams=config.streams,
            pause_s=_BETWEEN_STEPS_S if config.control else _BY_ARRIVAL_S / 2,
        )  # fmt: skip

    home = of(config.exchange, config.rest, config.ws, config.symbols)
    if not config.also:
        return home
    away = {each.exchange: of(each.exchange, each.rest, each.ws, each.symbols) for each in config.also}
    return SeveralFeeds({config.exchange: home} | away)


async def _connect(feed: Feed, *, waits: bool) -> None:
    """Load the venue's markets; a hub that ``waits`` tries again until they come."""
    backoff = Backoff()
    while True:
        try:
            return await feed.connect()
        except ConfigError:
            raise
        except UserError as error:
            if not waits:
                raise
            pause = backoff.pause_s()
            log.warning("venue_not_reached retry_s=%.1f %s", pause, error)
            await asyncio.sleep(pause)


async def _serve(config: HubConfig, feed: Feed, stop: asyncio.Event, *, again: bool) -> None:
    hub = Hub(config, feed, takes_over=again)
    server = await listen(path_of(config.socket), hub.on_connect)
    try:
        away = await AwaySandboxes.greet(config.also if config.control else ())
        if config.control:
            sandbox = await Sandbox.greet(path_of(config.control))
            pace = run_lockstep(hub, sandbox) if config.lockstep else run_announced(hub, sandbox, away)
        else:
            pace = run_by_arrival(hub, feed)
        announce({"ready": True, "unit": "hub", "pid": os.getpid(), "socket": config.socket})
        following = feed.follow(hub.on_gap, hub.on_break)
        await first_of(stop, _then_stay(pace), following, away.read(), _until(hub.desk_left))
    finally:
        await hub.stop()
        server.close()
        path_of(config.socket).unlink(missing_ok=True)


async def _then_stay(pace: Coroutine[None, None, None]) -> None:
    # After the end of the feed the desk still reads; it leaves when it is done.
    await pace
    await asyncio.Event().wait()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def main() -> int:
    """Run the hub's process and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.hub", description="Market data of one venue, or of several."
    )
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see HubConfig")
    parser.add_argument("--again", action="store_true", help="take the place of one that is gone")
    arguments = parser.parse_args()

    async def run(stop: asyncio.Event) -> None:
        die_with_parent()
        await serve(read_config(arguments.config, HubConfig), stop, again=arguments.again)

    return run_unit("hub", run)


if __name__ == "__main__":
    sys.exit(main())
