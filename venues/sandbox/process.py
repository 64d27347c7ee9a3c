"""Put the sandbox together from a configuration and run it until it is told to stop.

Not here: any of the parts. Invariant: the ready line is written only when every address answers,
and a stop by signal leaves a complete truth log and exit code 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import asdict, replace
from functools import partial
from hashlib import blake2b

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.conductor import Conductor
from venues.sandbox.config import Config, FeedConfig
from venues.sandbox.config_values import ConfigError
from venues.sandbox.connections import StreamHub
from venues.sandbox.dead_man import DeadManTimers
from venues.sandbox.exchange import Exchange, VenueRules
from venues.sandbox.feeds import CandleFeed, Feed
from venues.sandbox.hostility.door import Bans, Door
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.parts import hostility_of
from venues.sandbox.hostility.plans import Plans
from venues.sandbox.hostility.settings import HostilityConfig
from venues.sandbox.perpetual.assembly import Perpetuals, check_contracts, contracts_of
from venues.sandbox.protocol import Dialect, Engine
from venues.sandbox.protocols import DIALECTS
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.session import MarketSession
from venues.sandbox.synthetic import SyntheticFeed
from venues.sandbox.trade_feed import TradeFeed
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import money_from_text, units_from_text
from venues.sandbox.wall import VenueClock

_MAX_BODY = 256 * 1024
_MAX_LINE = 128 * 1024


def make_feed(config: FeedConfig, seed: int) -> Feed:
    """The configured source of market data; reads and checks files."""
    if config.kind == "candles":
        return CandleFeed(
            config.folder,
            config.exchange,
            list(config.pairs),
            config.timeframe,
            config.start,
            config.end,
            seed,
            config.trades_per_candle,
            config.history,
            config.decimals,
        )
    if config.kind == "trades":
        return TradeFeed(config.files, config.slice_ms, config.start, config.end)
    return SyntheticFeed(
        list(config.assets),
        config.quote,
        list(config.crosses),
        config.timeframe,
        config.start,
        config.candles,
        seed,
        config.trades_per_candle,
        config.history,
    )


def check(config: Config, feed: Feed) -> None:
    """Refuse a configuration that names a pair which the feed does not have."""
    listed = sorted(one.pair for one in feed.instruments)
    for pair in config.hostility.delistings:
        if pair not in listed:
            raise ConfigError(f"hostility.delistings: expected one of {', '.join(listed)}, got {pair!r}")
    if DIALECTS[config.protocol].trades_contracts:
        check_contracts(config.perpetuals, feed.instruments)


def _seed_of(config: Config) -> int:
    """Return the seed of the displayed books: exchanges of one market differ in these alone."""
    if not config.books:
        return config.seed
    return int.from_bytes(blake2b(f"{config.seed}/{config.books}".encode(), digest_size=7).digest(), "big")


class Sandbox:
    """All parts of one sandbox exchange."""

    def __init__(self, config: Config, feed: Feed) -> None:
        self.config = config
        self.feed = feed
        self.truth = TruthLog(config.truth)
        accounts = [
            Account(
                one.name,
                one.api_key,
                one.secret,
                {asset: money_from_text(text) for asset, text in one.balances.items()},
                passphrase=one.passphrase,
                can_withdraw=one.can_withdraw,
            )
            for one in config.accounts
        ]
        dialect = DIALECTS[config.protocol]
        rates = units_from_text(config.maker_fee), units_from_text(config.taker_fee)
        instruments = feed.instruments
        perpetuals = None
        if dialect.trades_contracts:
            instruments = contracts_of(instruments, config.perpetuals.asset)
            perpetuals = Perpetuals(config.perpetuals, instruments, accounts, self.truth, rates)
        self.exchange = Exchange(
            instruments,
            accounts,
            perpetuals.settlement if perpetuals else dialect.settlement(self.truth, *rates),
            self.truth,
            _seed_of(config),
            config.book_levels,
            _rules_of(dialect, config.hostility),
            dialect.spelled,
        )
        if perpetuals is not None:
            perpetuals.join(self.exchange)
        hub = StreamHub()
        session = MarketSession(feed, self.exchange)
        notes = Notes(self.truth, lambda: self.exchange.clock)
        self.hostility = hostility_of(config.hostility, config.seed, notes, hub.flush)
        self.wall = VenueClock(config.hostility.clock_skew_ms)
        self.timers = DeadManTimers(self.exchange, hub.flush)
        limits = RateLimits(config.weight_limit, config.order_limit)
        self.spoken = dialect.speak(
            Engine(
                self.exchange,
                session,
                hub,
                self.hostility,
                limits,
                self.wall,
                self.timers,
                config.maker_fee,
                config.taker_fee,
                perpetuals,
            )
        )
        self.door = Door(
            self.spoken.handle,
            self.spoken.close,
            dialect.refusing,
            Bans(config.hostility.ban),
            self.wall.ms,
            notes,
        )
        is_ever_shut = config.hostility.ban.after or config.hostility.maintenance
        self._answer = self.door.handle if is_ever_shut else self.spoken.handle
        self.exchange.on_market_change = self.spoken.streams.changed
        self.conductor = Conductor(
            feed, self.exchange, session, self.spoken.streams, hub, config.speed, config.feed.parts
        )
        self._moments = [self._plans(notes).reached]
        self.conductor.on_moment = self._reached
        self._write_start(accounts)
        session.open_market()
        if perpetuals is not None:
            perpetuals.open()
            self._moments.append(perpetuals.clearing.reached)

    def _reached(self, ms: int) -> None:
        for act in self._moments:
            act(ms)

    def _write_start(self, accounts: list[Account]) -> None:
        shown = asdict(self.config)
        shown["accounts"] = [one.name for one in self.config.accounts]
        self.truth.write(
            "start",
            0,
            {
                "config": shown,
                "notes": self.feed.notes,
                "accounts": {account.name: account.texts() for account in accounts},
            },
        )

    def _plans(self, notes: Notes) -> Plans:
        hostility, plans = self.config.hostility, Plans()
        if hostility.maintenance is not None and hostility.maintenance.at is not None:
            plans.add(hostility.maintenance.at, partial(self.door.shut_for, hostility.maintenance.ms))
        symbols = {one.pair: one.symbol for one in self.feed.instruments}
        for pair, at_ms in hostility.delistings.items():
            plans.add(at_ms, partial(self._delist, symbols[pair], notes))
        return plans

    def _delist(self, symbol: str, notes: Notes) -> None:
        notes.write("delisted", symbol=self.exchange.markets[symbol].instrument.pair)
        self.exchange.delist(symbol)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Let the protocol answer, unless the venue is shut."""
        assert isinstance(request, web.Request)
        return await self._answer(request)


def _rules_of(dialect: Dialect, hostility: HostilityConfig) -> VenueRules:
    """What the protocol's venue does, but for what the configuration says of client ids."""
    return replace(dialect.rules, unique=hostility.client_ids) if hostility.client_ids else dialect.rules


async def serve(config: Config, feed: Feed) -> None:
    """Run until SIGTERM or SIGINT, or until the parent is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(config, feed)
    app = web.Application(client_max_size=_MAX_BODY)
    app.router.add_route("*", "/{path:.*}", sandbox.handle)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=1.0,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
    )
    await runner.setup()
    site = web.TCPSite(runner, config.host, config.port)
    await site.start()
    port = runner.addresses[0][1]
    if config.parent_pid is not None:
        stop_with(config.parent_pid, stop)
    if config.hostility.maintenance is not None:
        sandbox.door.plan(config.hostility.maintenance)
    tasks: list[asyncio.Task[None]] = []
    control = None
    if config.control is not None:
        control = await sandbox.conductor.listen(config.control)
    else:
        tasks.append(asyncio.create_task(sandbox.conductor.run_without_control()))
    ready = {
        "ready": True,
        "rest": f"http://{config.host}:{port}",
        "ws": f"ws://{config.host}:{port}",
        "pid": os.getpid(),
        "server_time": sandbox.wall.ms(),
    }
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    await stop.wait()
    if control is not None:
        control.close()
    await sandbox.conductor.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sandbox.hostility.stop()
    sandbox.door.stop()
    sandbox.timers.stop()
    await sandbox.spoken.close()
    await runner.cleanup()
    sandbox.truth.write(
        "end",
        sandbox.exchange.clock,
        {
            "steps": sandbox.conductor.progress.steps,
            "candles_sent": sandbox.spoken.streams.candles_sent,
            "fills": sandbox.exchange.settlement.fill_count,
            "accounts": {one.name: one.texts() for one in sandbox.exchange.accounts.values()},
        },
    )
    sandbox.truth.close()


def is_alive(pid: int | None) -> bool:
    """Whether a process exists; no pid at all counts as alive."""
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop_with(parent_pid: int, stop: asyncio.Event) -> None:
    """Set `stop` when the parent ends, however it ends.

    A process descriptor, because PR_SET_PDEATHSIG would already fire when the thread that started us ends.
    """
    try:
        descriptor = os.pidfd_open(parent_pid)
    except ProcessLookupError:
        stop.set()
        return
    asyncio.get_running_loop().add_reader(descriptor, stop.set)
