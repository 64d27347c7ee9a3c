"""The desk's process: carries waves to the agents, commits groups, sends what is durable.

All deciding is in `orchestrator.firm`, which reads no clock; this shell stamps what
comes in, admits one message at a time, and lets an order leave only after its group
is on disk. A commit that comes back after the order's ``send_by`` is answered by
`Void`: the order is not sent.

In lock-step (the hub's batches carry ``fills_due``) the venue's facts of one cascade are taken in the order
of their orders, so that two equal runs decide the same. There a step is durable before it is closed.

A gateway that dies is followed by another one (`gateway_line`), which is asked in the same way. So is a hub
(`hub_line`): nothing opens from the `Gap` that says so until every book was told anew (`Compared`).

Start is recovery: a desk that finds its journal goes on with it (`recovery`), under the next epoch, and hears
from the gateway what it missed (`resync`) before it hears of the market: until every open order is answered
or known to rest, it does not trade.
"""

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestrator.cascade import groups_in
from parley.errors import Fatal, ProtocolError
from parley.messages import (
    MARKET,
    Ack,
    Alarm,
    Analysed,
    Attempt,
    Balance,
    Compared,
    Envelope,
    Fill,
    FundingPaid,
    Gap,
    MarketBatch,
    Message,
    OrderEvent,
    Shutdown,
    Started,
    Strain,
    Unknown,
    VenueReject,
    Void,
    decode,
)

from .agent_socket import open_listener, parse_address, read_token
from .alarms import Refusals
from .backlog_watch import watched
from .bootstrap import Assembly, assemble, env_of, make_firm, specs_of
from .frames import CONTROL, control, wrap
from .gateway_line import BACK, GatewayLine, instruments_of
from .heartbeat import Heartbeat
from .hub_have import Have
from .hub_line import MET, HubLine
from .idle_gc import IdleCollector
from .journal import JournalError, JournalWriter
from .kept_snapshots import KeptSnapshots
from .load import meter_of
from .outbox import Outbox
from .overheard import OUTSIDE, Overheard
from .recovered import Recovered
from .recovery import recover
from .rehearsal import Rehearsal
from .resync import RESYNCED, Resync
from .run_config import DeskProcess, RunConfig, capital_of, manifest
from .seals import read_key
from .socket_transport import SocketTransport
from .tenure import in_office
from .unit import announce, die_with_parent, read_config, run_unit
from .watchdog import Watchdog

ANSWERS = (Ack, VenueReject, Unknown)
FACTS = (*ANSWERS, OrderEvent, Fill, FundingPaid)
TIMEOUT_S = 60.0
Arrived = tuple[Envelope, Message | None]


class Desk:
    """One desk process; see the module."""

    def __init__(self, config: DeskProcess, key: bytes = b"") -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Arrived] = asyncio.Queue()
        self._held: list[Arrived] = []
        self._fills: set[tuple[str, str]] = set()
        self._paid: set[str] = set()
        self._early: list[Arrived] = []  # in lock-step, payments that came before their batch
        self._have = Have()
        self._candles_before = 0  # in earlier lives
        self._gaps = 0
        self._is_resynced = True
        self._remote: SocketTransport | None = None
        self._overheard = Overheard(self._overhear)
        self._failed: BaseException | None = None
        self._feed_end: dict[str, object] | None = None
        self._stopping = False
        self._watchdog = Watchdog()
        self._heart = Heartbeat(config.heartbeat)
        self._rehearsal: Rehearsal | None = None
        self._journal: JournalWriter
        self._outbox: Outbox
        self._collector: IdleCollector
        self._assembly: Assembly
        self._started: Started
        self._hub = HubLine(
            Path(config.hub), self._arrive, self._lost("hub"), self._hub_is_away, self._note_own
        )
        self._gateway = GatewayLine(
            Path(config.gateway), key, self._arrive, self._lost("gateway"), self._gateway_is_away
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Open the desk, trade until the feed ends or ``stop`` is set, and close the journal."""
        watcher = asyncio.ensure_future(self._watch(stop))
        await self._open()
        self._collector = IdleCollector()
        if self._config.rehearse and self._config.run.desk.profile != "lockstep":
            self._rehearsal = Rehearsal(self._assembly.firm, self._collector, self._watchdog)
        announce({"ready": True, "journal": self._config.journal})
        started = time.monotonic()
        meter = meter_of(self._assembly.firm, specs_of(self._config.run), self._note_own)
        if meter is not None:
            self._outbox.on_waited = meter.waited
        backlog = watched(self._config.backlog, self._loop, self._assembly.firm, self._note_own)
        self._heart.start()
        self._gateway.keep(self._config.gateway_returns_s)
        try:
            await self._serve()
            self._gateway.keep(0.0)
            why = "stopped" if self._stopping else "feed_ended"
            await self._admit(Shutdown(why=why, flatten=False, t=0), "user")
            await self._quiesce()
        finally:
            watcher.cancel()
            self._heart.stop()
            self._hub.close()
            if meter is not None:
                meter.stop()
            if backlog is not None:
                backlog.stop()
            self._journal.close()
            self._assembly.transport.close()
        announce({"end": self._counts(time.monotonic() - started)})

    def _note_own(self, note: Strain | Alarm | Gap) -> None:
        self._inbox.put_nowait((wrap(note, sender="clock", to="desk", t_event=time.time_ns()), note))

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        self._inbox.put_nowait((control("stop", sender="user", to="desk"), None))

    def _counts(self, seconds: float) -> dict[str, object]:
        return {
            "steps": self._have.steps, "candles_admitted": self._have.candles, "fills": len(self._fills),
            "candles_here": self._have.candles - self._candles_before, "seconds": seconds,
            "rehearsed": self._rehearsal.told() if self._rehearsal is not None else None,
            "records": self._assembly.firm.table.seq, "feed": self._feed_end,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip

    # start

    async def _open(self) -> None:
        """Begin a run, or go on with the one that the journal holds."""
        comes_back = Path(self._config.journal).exists()
        await (self._go_on() if comes_back else self._begin())
        symbols = self._assembly.firm.account.instruments
        await self._hub.open(symbols, self._config.hub_returns_s, self._have if comes_back else None)

    async def _begin(self) -> None:
        """Hear the venue's instruments and balances first: before that there is nothing to record."""
        await self._gateway.open()
        balance = await self._greeting()
        instruments = instruments_of(Path(self._config.instruments))
        run = msgspec.structs.replace(self._config.run, instruments=instruments)
        self._assembly = await self._seated(run)
        capital = capital_of(run, balance)
        path = self._config.journal
        self._journal = JournalWriter.create(path, manifest(run), on_fatal=self._journal_failed)
        self._outbox = self._make_outbox()
        await self._start(
            Started(run_id=run.run_id, epoch=1, quote=run.desk.quote, capital=capital, t=balance.t)
        )
        await self._admit(balance, "gateway")
        self._take_up_held()

    async def _go_on(self) -> None:
        """Be what the journal says, take back what was never released, and hear what was missed."""
        self._watchdog.start()  # folding asks agents as well
        path = self._config.journal
        try:
            past = recover(path, self._config.run, watch=self._watchdog)
            checked = past.groups + 1000  # what was folded, and a little before that
            self._journal = JournalWriter.resume(path, on_fatal=self._journal_failed, check_groups=checked)
        except JournalError as error:
            raise Fatal(f"nothing is traded on a damaged journal: {error}") from error
        past.tell()
        epoch = self._journal.epoch + 1
        self._assembly = await self._seated(past.run, past)
        self._have, self._candles_before = past.have, past.have.candles
        self._fills, self._paid, self._gaps = past.fills, past.paid, past.gaps
        await self._gateway.open(self._config.gateway_returns_s)
        balance = await self._greeting()
        self._outbox = self._make_outbox()
        self._outbox.placed, self._outbox.is_open = past.placed, False
        for group in past.tail:
            self._outbox.keep(group, epoch)
        run, capital = past.run, past.started.capital if past.started else capital_of(past.run, balance)
        start = Started(
            run_id=run.run_id, epoch=epoch, quote=run.desk.quote, capital=capital, t=time.time_ns()
        )
        await self._start(start)
        if not past.is_open:
            await self._admit(balance, "gateway")
        for void in past.taken_back():
            await self._admit(void, "clock")
        self._journal.flush()  # the epoch, and what is taken back, before anyone hears of this desk
        self._take_up_held()
        self._gateway.keep(self._config.gateway_returns_s)
        await self._resync()

    async def _reconcile(self) -> None:
        """Take up the next gateway under a new epoch; nothing leaves until all is told."""
        epoch = max(self._journal.epoch + 1, self._gateway.epoch)
        await self._start(msgspec.structs.replace(self._started, epoch=epoch, t=time.time_ns()))
        self._journal.flush()
        await self._resync()

    async def _start(self, start: Started) -> None:
        self._started, self._assembly.firm.table.epoch = start, start.epoch
        await self._admit(start, "supervisor")

    async def _resync(self) -> None:
        """Ask the gateway what it said to nobody, and wait until every open order is answered or rests."""
        life = self._gateway.life
        orders = self._assembly.firm.account.orders.live()
        cancels = [o for o in orders if o.cancelling]
        asked = Resync(
            epoch=self._assembly.firm.table.epoch, gaps=self._gaps,
            orders=tuple([o.intent.iid for o in orders]),
            cancels=tuple([(o.intent.iid, o.cancels) for o in cancels]),
            limits=self._assembly.firm.limits.book.told,
        )  # fmt: skip
        self._outbox.outstanding = {(o.intent.iid, False) for o in orders if not o.exists and not o.doubtful}
        self._outbox.outstanding |= {(o.intent.iid, True) for o in cancels}
        self._is_resynced = False
        self._gateway.send(control(asked.text(), sender="desk", to="gateway"))
        await self._facts_until(lambda: self._is_resynced or not self._gateway.is_still(life), "memory")
        await self._quiesce()
        self._outbox.is_open = self._is_resynced and self._gateway.is_still(life)

    async def _seated(self, run: RunConfig, past: Recovered | None = None) -> Assembly:
        """Build the firm, with its agents in this process or, where they dial in, in their own."""
        if not self._config.agents:
            if past is not None:
                return past.in_process(clock=time.monotonic_ns, watch=self._watchdog)
            self._watchdog.start()
            return assemble(run, epoch=1, clock=time.monotonic_ns, watch=self._watchdog)
        address = parse_address(self._config.agents)
        token = read_token(address.token_file) if address.is_tcp else b""
        listener = open_listener(self._config.agents)
        kept = KeptSnapshots(Path(self._config.journal), run.run_id)
        self._remote = remote = SocketTransport(
            specs_of(run), lambda: env_of(run), run.desk.seed, listener, token,
            overheard=self._overheard.take,
            refused=Refusals(self._note_own).refused, keep=kept.keep,
        )  # fmt: skip
        if past is not None:
            past.seat(remote.seats.values(), kept)
        await remote.assembled(TIMEOUT_S)
        return Assembly(past.firm if past is not None else make_firm(run), remote)

    def _overhear(self, message: Analysed) -> None:
        self._inbox.put_nowait((wrap(message, sender=OUTSIDE, to="desk", t_event=time.time_ns()), message))

    async def _hear(self, message: Analysed) -> None:
        await self._admit(message, OUTSIDE)
        await self._quiesce()

    def _make_outbox(self) -> Outbox:
        def void(void: Void) -> None:
            self._inbox.put_nowait((wrap(void, sender="clock", to="desk", t_event=time.time_ns()), void))

        return Outbox(self._journal, self._gateway, on_fatal=self._fail, on_void=void)

    def _take_up_held(self) -> None:
        while self._held:
            self._inbox.put_nowait(self._held.pop(0))

    async def _greeting(self) -> Balance:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                envelope, message = await self._next()
                if isinstance(message, Balance):
                    return message
                self._held.append((envelope, message))

    # what arrives

    def _arrive(self, envelope: Envelope) -> None:
        if envelope.kind == CONTROL:
            self._inbox.put_nowait((envelope, None))
            return
        try:
            message = decode(envelope.body)
        except msgspec.MsgspecError as err:
            raise ProtocolError(f"{envelope.sender} sent a body that is no message: {err}") from err
        self._inbox.put_nowait((envelope, message))

    def _gateway_is_away(self) -> None:
        self._outbox.is_open = False
        self._inbox.put_nowait((control("lost", sender="gateway", to="desk"), None))

    def _hub_is_away(self) -> None:
        self._note_own(Gap(stream=MARKET, from_seq=self._have.step, to_seq=-1))

    def _lost(self, peer: str) -> Callable[[str], None]:
        def lost(why: str) -> None:
            if not self._stopping and self._feed_end is None:
                self._fail(Fatal(f"the {peer} is gone: {why}"))
            else:  # whoever waits for answers looks again
                self._inbox.put_nowait((control("lost", sender=peer, to="desk"), None))

        return lost

    def _journal_failed(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._fail, Fatal(f"the journal failed: {error}"))

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error
        self._inbox.put_nowait((control("failed", sender="desk", to="desk"), None))

    async def _next(self) -> Arrived:
        self._heart.rest()
        arrived = await self._inbox.get()
        self._heart.work()
        if self._failed is not None:
            raise self._failed
        return arrived

    # the loop

    async def _serve(self) -> None:
        while not self._stopping:
            # what the gateway does now is more urgent
            if self._inbox.empty() and not self._outbox.outstanding:
                self._journal.settle()
                self._collector.idle()
                if self._rehearsal is not None and not self._overheard.in_lockstep:
                    self._heart.rest()
                    await self._rehearsal.until(lambda: not self._inbox.empty())
            self._collector.busy()
            envelope, message = await self._next()
            if isinstance(message, MarketBatch):
                await self._step(message, envelope)
                self._hub.closed(message.step)
            elif isinstance(message, FundingPaid) and self._overheard.in_lockstep:
                # its fills may come later, and whom it is shared by must not hang on that
                self._note(message)
                self._early.append((envelope, message))
            elif message is not None:
                await self._admit(message, envelope.sender, envelope)
            elif envelope.body == BACK.encode():
                await self._reconcile()
            elif envelope.body == MET.encode():
                self._hub.say_what_it_has(self._have)
            elif envelope.body.startswith(b"end:"):
                self._feed_end = msgspec.json.decode(envelope.body.removeprefix(b"end:"))
                return

    async def _step(self, batch: MarketBatch, envelope: Envelope) -> None:
        """Admit a batch; one that an earlier life of this desk admitted is only brought to its end."""
        in_lockstep = self._overheard.in_lockstep = batch.fills_due >= 0
        if batch.step > self._have.step:
            if in_lockstep:
                due = batch.fills_due
                await self._facts_until(lambda: len(self._fills) + len(self._paid) >= due, "fills")
            if self._hub.is_whole_with(batch) and self._assembly.firm.account.is_doubted((MARKET,)):
                await self._admit(Compared(streams=(MARKET,), t=batch.t), "clock")  # its rounds may open
            self._have.take(batch)
            await self._admit(batch, envelope.sender, envelope)
        if in_lockstep:
            await self._quiesce()
            if self._remote is not None:
                await self._overheard.hear_out(self._remote, self._hear, TIMEOUT_S)
            self._journal.flush()  # the market does not come back to this step

    async def _quiesce(self) -> None:
        """Wait until every order sent is answered, and work off the answers; again while that sends more."""
        orders, gateway, life = self._outbox, self._gateway, self._gateway.life
        while orders.outstanding:
            if not gateway.is_still(life):
                if gateway.is_awaited or gateway.is_open:
                    return  # the next one is asked for them
                raise Fatal(f"the gateway is gone, unanswered are {orders.outstanding!r}")
            await self._facts_until(lambda: not (orders.outstanding and gateway.is_still(life)), "answers")

    async def _facts_until(self, enough: Callable[[], bool], what: str) -> None:
        """Gather the venue's facts until there are enough, then admit them in the order of their orders."""
        gathered, self._early = self._early, []
        put_back: list[Arrived] = []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not enough():
                    envelope, message = await self._next()
                    if isinstance(message, FACTS):
                        self._note(message)
                        gathered.append((envelope, message))
                    elif message is None and envelope.body == RESYNCED.encode():
                        self._is_resynced = True
                    elif message is None or isinstance(message, MarketBatch):
                        put_back.append((envelope, message))
                    else:
                        await self._admit(message, envelope.sender, envelope)
                    if self._stopping and what == "fills":
                        break
        except TimeoutError as err:
            waiting = f"{TIMEOUT_S:.0f} s: {self._outbox.outstanding!r}"
            raise Fatal(f"the venue's {what} did not come within {waiting}") from err
        put_back += [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]  # it came later
        for arrived in put_back:
            self._inbox.put_nowait(arrived)
        gathered.sort(key=lambda arrived: self._outbox.place_of(arrived[1]))
        for envelope, message in gathered:
            if message is not None:
                await self._admit(message, envelope.sender, envelope)

    def _note(self, message: Message) -> None:
        """Count fills, and tick off what was answered."""
        if isinstance(message, Fill):
            self._fills.add((message.symbol, message.trade_id))
        elif isinstance(message, FundingPaid):
            self._paid.add(message.ref)
        elif isinstance(message, ANSWERS):
            self._outbox.outstanding.discard((message.iid, message.cancel))

    # into the firm, and out

    async def _admit(self, message: Message, sender: str, envelope: Envelope | None = None) -> None:
        """Admit one message and carry out its cascade."""
        if isinstance(message, Attempt):
            return  # the gateway's own record; it stands in the gateway's journal
        self._note(message)
        firm = self._assembly.firm
        if not firm.is_news(message):
            return
        self._gaps += isinstance(message, Gap) and message.stream != MARKET
        now, mono = time.time_ns(), time.monotonic_ns()
        t_event = (envelope.t_event if envelope else 0) or now
        cascade = firm.admit(message, sender, t_event=t_event, t_mono=mono, t_recv=now)
        for group in groups_in(cascade, self._assembly.transport.exchange):
            left = self._outbox.commit(group, firm.table.epoch)
            if left is not None:
                await left  # computing on would hold back the commit thread
        self._assembly.transport.rest()
        if self._journal.pending > 4096:  # a burst must not outrun the disk without bound
            await asyncio.to_thread(self._journal.flush)


def main() -> int:
    """Run a desk: ``python -m runtime.desk --config FILE.json``."""
    parser = argparse.ArgumentParser(prog="runtime.desk", description="One desk: decides, records, orders.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file of a DeskProcess")
    parser.add_argument("--key-on-input", action="store_true", help="standard input holds the own key")
    arguments = parser.parse_args()

    async def serve(stop: asyncio.Event) -> None:
        # the commit thread asks for the interpreter between its calls of SQLite; 5 ms are its fsync ten times
        sys.setswitchinterval(2e-4)
        config = read_config(arguments.config, DeskProcess)
        if config.parent_pid:
            die_with_parent()
        key = read_key() if arguments.key_on_input else b""
        await in_office(config.journal, Desk(config, key).run(stop))

    return run_unit("desk", serve)


if __name__ == "__main__":
    sys.exit(main())
