"""The desk's process: carries waves to the agents, commits groups, sends what is durable.

All deciding is in `orchestrator.firm`, which reads no clock; this shell stamps what
comes in, admits one message at a time, and lets an order leave only after its group
is on disk. A commit that comes back after the order's ``send_by`` is answered by
`Void`: the order is not sent.

In lock-step (the hub's batches carry ``fills_due``) the venue's facts of one cascade
are taken in the order of the orders they are about, so that two runs over the same
data decide the same.
"""

import argparse
import asyncio
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from orchestrator.policy import GroupOut
from parley.bus import Answer, Wave
from parley.errors import Fatal, ProtocolError, UserError
from parley.instruments import Instrument
from parley.messages import (
    KINDS,
    Ack,
    Attempt,
    Balance,
    CancelIntent,
    Envelope,
    Fill,
    Intent,
    MarketBatch,
    Message,
    OrderEvent,
    Shutdown,
    Started,
    Unknown,
    VenueReject,
    Void,
    decode,
)

from .agent_socket import open_listener, parse_address, read_token
from .bootstrap import Assembly, assemble, env_of, make_firm, specs_of
from .frames import CONTROL, Link, connect, control, frame_of, pack, wrap
from .held_orders import DROP, RELEASE, word_of
from .idle_gc import IdleCollector
from .journal import Group, IntentRow, JournalError, JournalWriter, Record
from .run_config import DeskProcess, RunConfig, to_json
from .socket_transport import SocketTransport
from .unit import announce, die_with_parent, read_config, run_unit
from .watchdog import Watchdog

ANSWERS = (Ack, VenueReject, Unknown)
ORDER_KINDS = (KINDS[Intent], KINDS[CancelIntent])
FACTS = (*ANSWERS, OrderEvent, Fill)
TIMEOUT_S = 60.0
Arrived = tuple[Envelope, Message | None]


class Desk:
    """One desk process; see the module."""

    def __init__(self, config: DeskProcess) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._inbox: asyncio.Queue[Arrived] = asyncio.Queue()
        self._held: list[Arrived] = []
        self._outstanding: dict[tuple[bytes, bool], int] = {}
        self._placed: dict[bytes, int] = {}
        self._fills: set[tuple[str, str]] = set()
        self._candles = 0
        self._steps = 0
        self._failed: BaseException | None = None
        self._feed_end: dict[str, object] | None = None
        self._stopping = False
        self._watchdog = Watchdog()
        self._journal: JournalWriter
        self._collector: IdleCollector
        self._assembly: Assembly
        self._gateway: Link
        self._hub: Link

    async def run(self, stop: asyncio.Event) -> None:
        """Open the desk, trade until the feed ends or ``stop`` is set, and close the journal."""
        watcher = asyncio.ensure_future(self._watch(stop))
        await self._open()
        self._collector = IdleCollector()
        announce({"ready": True, "journal": self._config.journal})
        started = time.monotonic()
        try:
            await self._serve()
            why = "stopped" if self._stopping else "feed_ended"
            await self._admit(Shutdown(why=why, flatten=False, t=0), "user")
            await self._quiesce()
        finally:
            watcher.cancel()
            self._journal.close()
            self._assembly.transport.close()
        announce({"end": self._counts(time.monotonic() - started)})

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        self._inbox.put_nowait((control("stop", sender="user", to="desk"), None))

    def _counts(self, seconds: float) -> dict[str, object]:
        return {
            "steps": self._steps, "candles_admitted": self._candles, "fills": len(self._fills),
            "seconds": seconds, "records": self._assembly.firm.table.seq, "feed": self._feed_end,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip

    # start

    async def _open(self) -> None:
        """Hear the venue's instruments and balances first: before that there is nothing to record."""
        self._gateway = await connect(Path(self._config.gateway), self._arrive, self._lost("gateway"))
        balance = await self._greeting()
        instruments = _instruments(Path(self._config.instruments))
        run = msgspec.structs.replace(self._config.run, instruments=instruments)
        self._assembly = await self._seated(run)
        desk = run.desk
        capital = dict(balance.assets).get(desk.quote)
        if capital is None:
            raise UserError(f"account {desk.account!r} must hold {desk.quote}, it has {balance.assets!r}")
        path = self._config.journal
        self._journal = JournalWriter.create(path, manifest(run), on_fatal=self._journal_failed)
        start = Started(run_id=run.run_id, epoch=1, quote=desk.quote, capital=capital, t=balance.t)
        await self._admit(start, "supervisor")
        await self._admit(balance, "gateway")
        for arrived in self._held:
            self._inbox.put_nowait(arrived)
        self._held = []
        self._hub = await connect(Path(self._config.hub), self._arrive, self._lost("hub"))

    async def _seated(self, run: RunConfig) -> Assembly:
        """Build the firm, with its agents in this process or, where they dial in, in their own."""
        if not self._config.agents:
            self._watchdog.start()
            return assemble(run, epoch=1, clock=time.monotonic_ns, watch=self._watchdog)
        address = parse_address(self._config.agents)
        token = read_token(address.token_file) if address.is_tcp else b""
        listener = open_listener(self._config.agents)
        remote = SocketTransport(specs_of(run), lambda: env_of(run), run.desk.seed, listener, token)
        await remote.assembled(TIMEOUT_S)
        return Assembly(make_firm(run), remote)

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

    def _lost(self, peer: str) -> Callable[[str], None]:
        def lost(why: str) -> None:
            if not self._stopping and self._feed_end is None:
                self._fail(Fatal(f"the {peer} is gone: {why}"))

        return lost

    def _journal_failed(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._fail, Fatal(f"the journal failed: {error}"))

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error
        self._inbox.put_nowait((control("failed", sender="desk", to="desk"), None))

    async def _next(self) -> Arrived:
        arrived = await self._inbox.get()
        if self._failed is not None:
            raise self._failed
        return arrived

    # the loop

    async def _serve(self) -> None:
        while not self._stopping:
            if self._inbox.empty() and not self._outstanding:  # what the gateway does now is more urgent
                self._journal.settle()
                self._collector.idle()
            self._collector.busy()
            envelope, message = await self._next()
            if isinstance(message, MarketBatch):
                if message.fills_due >= 0:
                    await self._fills_until(message.fills_due)
                self._candles += len(message.bars)
                self._steps += 1
                await self._admit(message, envelope.sender, envelope)
                if message.fills_due >= 0:
                    await self._quiesce()
                self._hub.send_now(pack(control(f"closed:{message.step}", sender="desk", to="hub")))
            elif message is not None:
                await self._admit(message, envelope.sender, envelope)
            elif envelope.body.startswith(b"end:"):
                self._feed_end = msgspec.json.decode(envelope.body.removeprefix(b"end:"))
                return

    async def _fills_until(self, due: int) -> None:
        await self._facts_until(lambda: len(self._fills) >= due, "fills")

    async def _quiesce(self) -> None:
        """Wait until every order sent is answered, and work off the answers; again while that sends more."""
        while self._outstanding:
            await self._facts_until(lambda: not self._outstanding, "answers")

    async def _facts_until(self, enough: Callable[[], bool], what: str) -> None:
        """Gather the venue's facts until there are enough, then admit them in the order of their orders."""
        gathered: list[Arrived] = []
        put_back: list[Arrived] = []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not enough():
                    envelope, message = await self._next()
                    if isinstance(message, FACTS):
                        self._note(message)
                        gathered.append((envelope, message))
                    elif message is None or isinstance(message, MarketBatch):
                        put_back.append((envelope, message))
                    else:
                        await self._admit(message, envelope.sender, envelope)
                    if self._stopping and what == "fills":
                        break
        except TimeoutError as err:
            waiting = f"{TIMEOUT_S:.0f} s: {self._outstanding!r}"
            raise Fatal(f"the venue's {what} did not come within {waiting}") from err
        for arrived in put_back:
            self._inbox.put_nowait(arrived)
        gathered.sort(key=self._place)
        for envelope, message in gathered:
            if message is not None:
                await self._admit(message, envelope.sender, envelope)

    def _place(self, arrived: Arrived) -> tuple[int, int, str]:
        message = arrived[1]
        rank = 0 if isinstance(message, Fill) else 1 if isinstance(message, OrderEvent) else 2
        iid = getattr(message, "iid", b"")
        return (self._placed.get(iid, 1 << 62), rank, message.trade_id if isinstance(message, Fill) else "")

    def _note(self, message: Message) -> None:
        """Count fills, and tick off what was answered."""
        if isinstance(message, Fill):
            self._fills.add((message.symbol, message.trade_id))
        elif isinstance(message, ANSWERS):
            self._outstanding.pop((message.iid, message.cancel), None)

    # into the firm, and out

    async def _admit(self, message: Message, sender: str, envelope: Envelope | None = None) -> None:
        """Admit one message and carry out its cascade."""
        if isinstance(message, Attempt):
            return  # the gateway's own record; it stands in the gateway's journal
        self._note(message)
        firm = self._assembly.firm
        if not firm.is_news(message):
            return
        now, mono = time.time_ns(), time.monotonic_ns()
        t_event = (envelope.t_event if envelope else 0) or now
        cascade = firm.admit(message, sender, t_event=t_event, t_mono=mono, t_recv=now)
        answers: Sequence[Answer] | None = None
        while True:
            try:
                step = next(cascade) if answers is None else cascade.send(answers)
            except StopIteration:
                break
            answers = None
            if isinstance(step, Wave):
                answers = self._assembly.transport.exchange(step)
            else:
                left = self._commit(step)
                if left is not None:
                    await left  # computing on would hold back the commit thread
        self._assembly.transport.rest()
        if self._journal.pending > 4096:  # a burst must not outrun the disk without bound
            await asyncio.to_thread(self._journal.flush)

    def _commit(self, out: GroupOut) -> asyncio.Future[None] | None:
        """Commit a group and let its orders leave; a future if that is done only when it has its result."""
        if not out.records:
            return None
        orders = out.orders
        records = [Record(*r) for r in out.records]
        if not orders:
            group = Group(self._assembly.firm.table.epoch, records)
            self._journal.post(group, self._durable_or_fatal, lazy=True)
            return None
        intents: list[IntentRow] = []
        leaving: list[tuple[Intent | CancelIntent, int]] = []
        for order, record in zip(orders, [r for r in records if r.kind in ORDER_KINDS], strict=True):
            cancel = isinstance(order, CancelIntent)
            self._outstanding[(order.iid, cancel)] = len(self._placed)
            if isinstance(order, Intent):
                self._placed[order.iid] = len(self._placed)
                intents.append(IntentRow(order.cid.encode(), order.iid, record.seq))
            leaving.append((order, record.seq))
            # Handed over before it is durable here, so that the gateway looks and writes meanwhile; it sends
            # nothing without the word of `_leave`. What it gets is what is journaled, to the byte.
            self._gateway.send_now(frame_of(record.body))
        left: asyncio.Future[None] | None = None
        here = False

        def leave(error: JournalError | None) -> None:
            self._leave(leaving, error)
            if left is not None:
                left.set_result(None)

        def durable(gid: int, error: JournalError | None) -> None:
            nonlocal here
            if threading.get_ident() == self._thread:
                here = True
                leave(error)
            else:
                self._loop.call_soon_threadsafe(leave, error)

        self._journal.post_now(Group(self._assembly.firm.table.epoch, records, intents), durable)
        if not here:
            left = self._loop.create_future()  # `leave` runs in this thread, thus later
        return left

    def _durable_or_fatal(self, gid: int, error: JournalError | None) -> None:
        if error is not None:
            self._loop.call_soon_threadsafe(self._fail, Fatal(f"a group could not be committed: {error}"))

    def _leave(
        self, leaving: Sequence[tuple[Intent | CancelIntent, int]], error: JournalError | None
    ) -> None:
        """Let the orders of a durable group go, or void them when their time is over."""
        if error is not None:
            self._fail(Fatal(f"a group with orders could not be committed: {error}"))
            return
        now = time.monotonic_ns()
        rounds: dict[bytes, list[bytes]] = {}
        words: dict[str, list[int]] = {}
        for order, seq in leaving:
            late = isinstance(order, Intent) and now > order.send_by
            words.setdefault(DROP if late else RELEASE, []).append(seq)
            if late:
                rounds.setdefault(order.round, []).append(order.iid)
                self._outstanding.pop((order.iid, False), None)
        for word, seqs in words.items():
            self._gateway.send_now(pack(control(word_of(word, seqs), sender="desk", to="gateway")))
        for round_, iids in rounds.items():
            head = self._journal.head.hex()[:16]
            void = Void(round=round_, iids=tuple(iids), why=f"commit after send_by, head {head}")
            self._inbox.put_nowait((wrap(void, sender="clock", to="desk", t_event=time.time_ns()), void))


def _instruments(path: Path) -> dict[str, Instrument]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Instrument])
    except (OSError, msgspec.MsgspecError) as err:
        raise UserError(f"the gateway's instruments {str(path)!r} cannot be read: {err}") from err
    return {i.symbol: i for i in found}


def manifest(run: RunConfig) -> dict[str, str]:
    """Give the run table's rows: everything a replay needs, and what ran it."""
    desk = run.desk
    return {
        "run_id": run.run_id,
        "unit": "desk",
        "tenant": desk.tenant,
        "desk": str(desk.desk),
        "account": desk.account,
        "policy_version": str(desk.policy_version),
        "seed": str(desk.seed),
        "python": sys.version.split()[0],
        "config": to_json(run).decode(),
    }


def main() -> int:
    """Run a desk: ``python -m runtime.desk --config FILE.json``."""
    parser = argparse.ArgumentParser(prog="runtime.desk", description="One desk: decides, records, orders.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file of a DeskProcess")
    arguments = parser.parse_args()

    async def serve(stop: asyncio.Event) -> None:
        # the commit thread asks for the interpreter between its calls of SQLite; 5 ms are its fsync ten times
        sys.setswitchinterval(2e-4)
        config = read_config(arguments.config, DeskProcess)
        if config.parent_pid:
            die_with_parent()
        await Desk(config).run(stop)

    return run_unit("desk", serve)


if __name__ == "__main__":
    sys.exit(main())
