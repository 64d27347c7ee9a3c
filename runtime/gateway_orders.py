"""What a gateway does with one account's orders: looks, writes, sends once, and tells.

Not here: the process around it (`gateway`), which checks (`lastlook`), what is written (`gateway_log`), how a
venue is asked (`venues`), when an `Unknown` has its fate (`doubts`, `resolution`).

Invariant: an order is sent at most once, ever: its client order id is durable in this process's own journal,
and its desk has said that it is durable there too (`held_orders`), before the one request; the request is
never repeated, and after a restart an attempt without an outcome is `Unknown`. Of one order the desk hears
`Attempt`, what traded at once, then `Ack`, `VenueReject` or `Unknown`, then what else happens to it; after an
`Unknown` comes an `Ack`, or a `VenueReject` that is durable here before it is said. A desk that comes back
hears all but the attempts again (`resync`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Final

import msgspec

from parley.errors import ProtocolError
from parley.instruments import ZERO, Instrument
from parley.messages import (
    Ack,
    Attempt,
    Balance,
    CancelIntent,
    Compared,
    Envelope,
    Gap,
    Heartbeat,
    Intent,
    Message,
    Unknown,
    VenueReject,
    decode,
    encode,
)
from runtime import limit_word
from runtime.alarms import Refusals, in_doubt
from runtime.credits import Credits
from runtime.doubts import Doubts
from runtime.frames import CONTROL, Link, control, wrap
from runtime.gateway_config import GatewayConfig
from runtime.gateway_door import Door, Introductions
from runtime.gateway_log import NOT_ACCEPTED, OWN, GatewayLog, Recovered
from runtime.heard_facts import HeardFacts
from runtime.held_orders import HeldOrders, read_word
from runtime.kill_switch import KillSwitch, first_open
from runtime.lanes import Lanes
from runtime.lastlook import DUPLICATE, Counters, cancel_refusal
from runtime.limit_switch import LimitSwitch
from runtime.passing import Passing
from runtime.resync import RESYNCED, Resync, Retelling, read_resync
from runtime.unit import Begun, path_of
from runtime.venue_faults import VenueFaults
from venues.clock import compare_clocks
from venues.limits import Request
from venues.meter import words
from venues.port import Acked, Ambiguous, Fact, Rejected, SendResult, Unasked, Venue

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 1.0
MAX_WAITING: Final = 256
UNSETTLED: Final = "unsettled"
UNRELEASED: Final = ("unreleased", "its desk took it back, or was gone before its own record was durable")
_STOP_PATIENCE_S: Final = 5.0
_OWN_CANCEL_NS: Final = 5_000_000_000


class Gateway:
    """One account's gateway to its venue.

    Orders of a symbol are sent in the order they came, one at a time; symbols do not wait for each other.
    """

    def __init__(
        self, config: GatewayConfig, venue: Venue, instruments: dict[str, Instrument], counters: Counters,
        journal: GatewayLog, balance: Balance, idle: Callable[[], None],
        introductions: Introductions | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._venue = venue
        self._instruments = instruments
        self._counters = counters
        self._journal = journal
        self._balance = balance
        self._link: Link | None = None
        self._desk_head = b""
        self._offset_ms = -1.0
        self._gaps = 0  # told in this life
        self._lanes = Lanes(self._rest)
        self._rounds: dict[bytes, bytes] = {}
        self._held_orders = HeldOrders()
        self._idle = idle
        self._left: frozenset[bytes] = frozenset()  # of an earlier life, without a fate: nothing opens
        self._sent: set[bytes] = set()  # orders whose request was begun, in this life or an earlier one
        # the balance is of now: what this gateway's own fills brought is part of it
        brought = {asset: amount - counters.positions.get(asset, ZERO) for asset, amount in balance.assets}
        self.doubts = Doubts(venue, self)
        self._facts = HeardFacts(counters, self._rounds, self._say, self.doubts.heard)
        path = path_of(config.halt_file) if config.halt_file else None
        self._refusals = Refusals(self._say)
        self._door = Door(config.desk_pid, introductions, self._refusals.refused)
        self.limits = LimitSwitch(config, lambda it: journal.say(it, counters.epoch), self._say_durably)
        self.kills = KillSwitch(
            path, config.tenant, config.account, self, self._say, self._door.watch, self.limits.asked
        )
        self.credits = Credits(venue.meter, self._say)
        self._faults = VenueFaults(venue.meter.faults, self._say)
        self._passing = Passing(
            config.limits, counters, instruments, venue, brought, self.kills, self.limits.followed,
            self.credits,
        )  # fmt: skip

    # ------------------------------------------------------------------ the desk

    def on_connect(self, link: Link) -> None:
        """Take a desk's connection; it replaces an older one."""
        if not self._door.admits(link):
            return
        if self._link is not None:
            self._link.close("another desk connected")
            self._held_orders.drop_all()
            self._held_orders = HeldOrders()
        self._link = link
        link.on_envelope = lambda envelope: self.on_envelope(link, envelope)
        link.on_lost = lambda why: self._lost(link)
        listed = msgspec.json.encode(self._instruments).decode()
        link.send(control("instruments:" + listed, sender="gateway", to="desk"))
        self._send(self._balance, self._journal.say(self._balance, self._counters.epoch))
        self.kills.greet()
        self._beat()

    def _lost(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._held_orders.drop_all()

    def on_envelope(self, link: Link, envelope: Envelope) -> None:
        """Take one envelope of the desk.

        Raises
        ------
        ProtocolError
            When it holds no message that a gateway takes; the link is closed.
        """
        if link is not self._link:
            return
        if envelope.kind == CONTROL:
            if asked := read_resync(envelope.body):
                self._resync(link, asked)
            elif (limits := limit_word.read_word(envelope.body)) is not None:
                self.limits.confirmed(limits)
            else:
                self._held_orders.say(*read_word(envelope.body))
            return
        if envelope.tenant != self._config.tenant or envelope.desk != self._config.desk:
            raise ProtocolError(f"a frame of tenant {envelope.tenant!r} desk {envelope.desk}")
        try:
            message = decode(envelope.body)
        except (msgspec.MsgspecError, ArithmeticError, UnicodeDecodeError) as error:
            raise ProtocolError(f"an envelope without a message: {error}") from error
        match message:
            case Intent():
                self._take_order(message, envelope)
            case CancelIntent():
                self._take_cancel(message, envelope)
            case Heartbeat():
                self._desk_head = message.head
                self._counters.heard(message.epoch)
            case _:
                raise ProtocolError(f"a gateway takes no {type(message).__name__}")

    # ------------------------------------------------------------------ a desk that comes back

    def _resync(self, link: Link, asked: Resync) -> None:
        self._counters.heard(asked.epoch)
        self.limits.confirmed(limit_word.Confirmed(n=asked.limits[0], values=asked.limits[1]))
        self._journal.flush()  # what became durable is worked off in the next turn; only then is all said
        asyncio.get_running_loop().call_soon(lambda: self._lanes.begin(self._retell(link, asked)))

    async def _retell(self, link: Link, asked: Resync) -> None:
        self._journal.flush()
        telling, gaps = Retelling(asked), self._gaps

        def tell(message: Message, seq: int, round_: bytes) -> None:
            # while a desk read what was said before, something new may have gone missing: that came first
            if not isinstance(message, Compared) or self._gaps == gaps:
                self._send(message, seq, round_)

        await telling.deliver(self._journal.said(), link, tell)
        for no in telling.missing() if link.is_open else ():
            if not no.cancel:
                self._counters.iids.add(no.iid)
            self._say(no)
        self.credits.again()
        link.send(control(RESYNCED, sender="gateway", to="desk"))

    # ------------------------------------------------------------------ orders

    def _take_order(self, intent: Intent, envelope: Envelope) -> None:
        now, cause = time.monotonic_ns(), envelope.seq
        no = self._passing.refusal(intent, now) or self._unsettled(intent)
        if no is None and self._lanes.waiting(intent.symbol) >= MAX_WAITING:
            no = ("busy", f"{MAX_WAITING} orders wait for {intent.symbol}")
        if no is not None:
            self._refuse(intent, *no, cause)
            return
        self._counters.sent(intent, now)
        self._rounds[intent.iid] = intent.round
        attempt = self._attempt(intent, envelope.body, intent.attempt, now)

        def attempted(seq: int, is_first: bool) -> None:
            if not is_first:
                held.forget(cause)
                self._counters.dead(intent.iid)
                self._refuse(intent, DUPLICATE, "the journal has this client order id", cause)
                return

            def drop() -> None:
                self._counters.dead(intent.iid)
                self._refuse(intent, *UNRELEASED, cause)

            place = partial(
                self._lanes.enter, intent.symbol, lambda: self._place(intent, attempt, seq, cause)
            )
            held.durable(cause, place, drop)

        held = self._held_orders
        held.expect(cause)
        self._journal.attempt(intent, envelope.body, attempt, self._counters.epoch, attempted)

    def _take_cancel(self, intent: CancelIntent, envelope: Envelope) -> None:
        now, cause = time.monotonic_ns(), envelope.seq
        no = cancel_refusal(intent, self._counters, now_mono=now)
        if no is not None:
            self._refuse(intent, *no, cause)
            return
        self._counters.heard(intent.epoch)
        attempt = self._attempt(intent, envelope.body, intent.n, now)

        def attempted(seq: int, is_first: bool) -> None:
            cancel = partial(self._lanes.enter, intent.symbol, lambda: self._cancel(intent, cause))
            held.durable(cause, cancel, lambda: self._refuse(intent, *UNRELEASED, cause))

        held = self._held_orders
        held.expect(cause)
        self._journal.attempt(intent, envelope.body, attempt, self._counters.epoch, attempted)

    def _attempt(self, intent: Intent | CancelIntent, asked: bytes, n: int, now_mono: int) -> Attempt:
        t_send = time.time_ns()
        # It may wait in its lane until send_by, and the venue may take it a whole window later.
        fence = t_send + max(0, intent.send_by - now_mono) + self._venue.fence_ns
        return Attempt(
            iid=intent.iid, cid=intent.cid, n=n, t_send=t_send, fence_until=fence,
            body_hash=blake2b(asked, digest_size=16).digest(), desk_head=self._desk_head,
        )  # fmt: skip

    def _unsettled(self, intent: Intent) -> tuple[str, str] | None:
        """Return (code, detail) when an order may open while it is not known what an earlier life left."""
        self._left = self._left and self.doubts.unsettled(self._left)
        if not self._left or self._passing.reduces(intent, is_counted=False):
            return None
        return UNSETTLED, f"the fate of {len(self._left)} orders of an earlier gateway is not known yet"

    def _rest(self) -> None:
        """Do in an idle moment what would cost the next order time."""
        self._journal.settle()
        self._idle()

    async def _place(self, intent: Intent, attempt: Attempt, seq: int, cause: int) -> None:
        if (no := self._passing.unsendable(intent)) is not None:
            self._send(attempt, seq, intent.round, cause)
            self._counters.dead(intent.iid)
            self._refuse(intent, *no, cause)
            return
        self._sent.add(intent.iid)
        self._facts.hold(intent.iid)
        sending = Begun(self._venue.send(intent))  # the request goes first, the desk hears of it then
        fence = time.monotonic_ns() + self._venue.fence_ns
        self._send(attempt, seq, intent.round, cause)
        result = await sending
        self._conclude(intent, result, cause)
        if isinstance(result, Ambiguous):
            retention_ns = self._venue.capabilities.of(intent.symbol).remembered_ns(intent)
            self.doubts.open(intent, fence, sure_until=fence + retention_ns)
        self._facts.release(intent.iid)

    async def _cancel(self, intent: CancelIntent, cause: int) -> None:
        if time.monotonic_ns() >= intent.send_by:
            self._refuse(intent, "too_late", "it waited past send_by", cause)
            return
        if (no := await self._venue.meter.of(intent.symbol).turn(Request.CANCEL, intent.send_by)) is not None:
            self._refuse(intent, *words(no), cause)
            return
        self._conclude(intent, await self._venue.cancel(intent), cause)

    def _conclude(self, intent: Intent | CancelIntent, result: SendResult, cause: int) -> None:
        is_cancel = isinstance(intent, CancelIntent)
        match result:
            case Acked():
                self._facts.known.add(intent.iid)
                # The answer comes last: a desk that has it has everything the venue said with it.
                self._facts.tell_all(result)
                self._facts.release(intent.iid)
                ack = Ack(iid=intent.iid, venue_id=result.venue_id, t_venue=result.t_venue, cancel=is_cancel)
                self._say(ack, intent.round, cause)
            case Rejected():
                if not is_cancel:
                    self._counters.dead(intent.iid)
                no = VenueReject(
                    iid=intent.iid, code=result.code, definitive=True, detail=result.detail, cancel=is_cancel
                )
                self._say(no, intent.round, cause)
            case Ambiguous():
                self._say(Unknown(iid=intent.iid, cause=result.cause, cancel=is_cancel), intent.round, cause)

    def _refuse(self, intent: Intent | CancelIntent, code: str, detail: str, cause: int) -> None:
        # A second order of the same id cannot exist, but the first one may, unless it was never sent.
        is_definitive = code != DUPLICATE or intent.iid in self._journal.unsent
        if is_definitive and isinstance(intent, Intent):
            self._counters.iids.add(intent.iid)  # a copy of it that comes later is no order any more
        no = VenueReject(
            iid=intent.iid, code=OWN + code, definitive=is_definitive, detail=detail,
            cancel=isinstance(intent, CancelIntent),
        )  # fmt: skip
        self._say(no, intent.round, cause)

    # ------------------------------------------------------------------ orders in doubt

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        """Tell of an order in doubt that it exists, as if its answer had come now."""
        if is_known:
            self._facts.tell_all(order)
        else:
            self._conclude(intent, order, 0)

    def not_accepted(self, intent: Intent) -> None:
        """Tell of an order in doubt that it does not exist: durable first, because it frees money."""
        code, detail = NOT_ACCEPTED
        no = VenueReject(iid=intent.iid, code=code, definitive=True, detail=detail)

        def durable(seq: int) -> None:
            self._counters.dead(intent.iid)
            self._send(no, seq, intent.round)

        self._journal.say_durably(no, self._counters.epoch, intent.round, durable)

    def appeared(self, intent: Intent) -> None:
        """Raise the alarm over an order that was told not to exist, and cancel it."""
        log.error("order_appeared_late cid=%s", intent.cid)
        self._say(Gap(stream=f"late:{intent.cid}", from_seq=0, to_seq=-1), intent.round)

        def durable(cancels: list[CancelIntent]) -> None:
            for cancel in cancels:
                self._lanes.enter(cancel.symbol, partial(self._cancel, cancel, 0))

        self._own_cancels([intent], durable)

    def alarm(self, intent: Intent, n: int, why: str) -> None:
        """Call a person over an order whose fate nobody can find out."""
        log.error("order_in_doubt cid=%s n=%d why=%s", intent.cid, n, why)
        self._say(in_doubt(intent, n, why), intent.round)

    def _own_cancels(self, intents: list[Intent], durable: Callable[[list[CancelIntent]], None]) -> None:
        """Write down cancels that no desk asked for, as one group, then hand them on."""
        now = time.monotonic_ns()
        cancels = [
            CancelIntent(
                iid=each.iid, cid=each.cid, round=each.round, account=each.account, venue=each.venue,
                symbol=each.symbol, send_by=now + _OWN_CANCEL_NS, epoch=self._counters.epoch, n=0,
            )
            for each in intents
        ]  # fmt: skip
        attempts = [self._attempt(each, encode(each), each.n, now) for each in cancels]
        self._journal.cancels(cancels, attempts, self._counters.epoch, lambda: durable(cancels))

    # ------------------------------------------------------------------ the kill switch

    def working(self) -> list[Intent]:
        """Orders that were sent and may still trade."""
        return [intent for intent in self._counters.working() if intent.iid in self._sent]

    def is_known(self, iid: bytes) -> bool:
        """Whether the venue has spoken of an order."""
        return iid in self._facts.known

    async def written(self, intents: list[Intent]) -> list[CancelIntent]:
        """Make cancels of orders durable, all at once."""
        done: asyncio.Future[list[CancelIntent]] = asyncio.get_running_loop().create_future()
        self._own_cancels(intents, done.set_result)
        return await done

    async def cancel_now(self, cancel: CancelIntent) -> SendResult:
        """Cancel an order past its lane, and tell the desk what came of it."""
        if (no := await self._venue.meter.of(cancel.symbol).turn(Request.CANCEL, cancel.send_by)) is not None:
            code, detail = words(no)
            self._refuse(cancel, code, detail, 0)
            return Rejected(code=OWN + code, detail=detail)
        result = await self._venue.cancel(cancel)
        self._conclude(cancel, result, 0)
        return result

    async def cancelable(self, orders: Sequence[Intent], patience_s: float) -> list[Intent]:
        """Wait until the venue of some of these may be asked for cancels; none when that takes longer."""
        return await first_open(orders, self._venue, patience_s)

    # ------------------------------------------------------------------ facts

    def tell(self, fact: Fact | Unasked) -> None:
        """Pass on what the user stream said, or the venue did by itself."""
        self._facts.tell(fact)

    def tell_of_account(self, said: Gap | Compared) -> None:
        """Tell whether the account holds what the fills say."""
        self._say(said)

    def adopt(self, recovered: Recovered) -> None:
        """Take over the orders of an earlier life; those without an outcome are unknown from now on."""
        for cid, iid in recovered.orders.items():
            self._venue.know(cid, iid)
        for iid in recovered.open_ended:
            self._say(Unknown(iid=iid, cause="gateway_restarted"))
        for iid in recovered.cancelling:  # a desk waits for an answer to each cancel as well
            self._say(Unknown(iid=iid, cause="gateway_restarted", cancel=True))
        self.limits.adopt(recovered.limits)
        now, now_mono = time.time_ns(), time.monotonic_ns()
        self._left = frozenset(order.intent.iid for order in recovered.alive)
        for order in recovered.alive:
            self._sent.add(order.intent.iid)
            if order.is_known:
                self._facts.known.add(order.intent.iid)
            self._rounds[order.intent.iid] = order.intent.round
            # What the wall clock did meanwhile nobody knows, so the whole window counts from now at least.
            fence = now_mono + max(order.fence_until - now, self._venue.fence_ns)
            retention_ns = self._venue.capabilities.of(order.intent.symbol).remembered_ns(order.intent)
            sure_until = now_mono + order.fence_until - now + retention_ns
            self.doubts.open(order.intent, fence, is_known=order.is_known, sure_until=sure_until)
        for intent in recovered.buried:
            self._rounds[intent.iid] = intent.round
            self.doubts.bury(intent)

    def _say_durably(self, message: Message, then: Callable[[], None]) -> None:
        def durable(seq: int) -> None:
            self._send(message, seq)
            then()

        self._journal.say_durably(message, self._counters.epoch, b"", durable)

    def _say(self, message: Message, round_: bytes = b"", cause: int = 0) -> None:
        self._gaps += isinstance(message, Gap)
        self._send(message, self._journal.say(message, self._counters.epoch, round_), round_, cause)

    def _send(self, message: Message, seq: int, round_: bytes = b"", cause: int = 0) -> None:
        if self._link is None:
            return
        self._link.send(
            wrap(
                message, sender="gateway", to="desk", tenant=self._config.tenant, desk=self._config.desk,
                epoch=self._counters.epoch, seq=seq, round_=round_, cause=cause, t_event=time.time_ns(),
                t_mono=time.monotonic_ns(),
            )
        )  # fmt: skip

    async def beat(self) -> None:
        """Measure the venue's clock and send a heartbeat, every second, until some work of its own failed."""
        while True:
            self._lanes.look()
            self._offset_ms = await compare_clocks(self._venue, self.doubts.measured)
            self.kills.look()
            self._refusals.look()
            self.credits.look()
            self._beat()
            self._idle()  # each look at an exchange that is away leaves garbage, and no order comes
            await asyncio.sleep(HEARTBEAT_S)

    def _beat(self) -> None:
        self._faults.tell()
        beat = Heartbeat(
            unit="gateway", incarnation=self._config.incarnation, epoch=self._counters.epoch,
            head=self._journal.head, t=time.time_ns(), offset_ms=self._offset_ms,
        )  # fmt: skip
        self._send(beat, 0)

    async def stop(self) -> None:
        """Take no more orders, wait for those on their way, and mark as unknown what does not answer."""
        if self._link is not None:
            self._link.on_envelope = lambda envelope: None
        self._held_orders.drop_all()
        self.kills.close()
        self._refusals.tell_rest()
        await self._lanes.finish(_STOP_PATIENCE_S)
        if self._link is not None:
            self._link.close("the gateway stops")
