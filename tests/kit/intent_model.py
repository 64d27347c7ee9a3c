"""The intent protocol as states and steps, small enough to walk through all of them.

One order as its desk, its gateway and the venue have it, and every step that each can take: requests are
lost, late or answered to nobody, lists lag, clocks differ, time passes, desk and gateway die and come back.
What is decided is decided by the real code: absence by `runtime.resolution`, what a gateway knows when it
comes back by `runtime.gateway_log.fold`, what the desk believes by `orchestrator.orders`.

Not here: two orders at once, and walking (`intent_search`); sockets and SQLite (the kill tests).

Invariant: times are ages in ticks, cut where nothing more depends on them, so the states are finite and
nothing but what happened distinguishes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from orchestrator.orders import FINAL, Orders, OrderState
from parley.messages import Ack, Attempt, Message, OrderEvent, Unknown, VenueReject
from runtime.gateway_log import NOT_ACCEPTED, OWN, fold
from runtime.resolution import Doubt, Fate, Sight, learn
from tests.kit.units import make_intent

TICK: Final = 1_000_000_000
WINDOW, CLOCK_ERROR, LAG = 1, 2, 1  # ticks; an order of the age LAG may still be hidden
TAKEN_UNTIL: Final = WINDOW + CLOCK_ERROR  # the age up to which the venue may accept a request
_OLD: Final = TAKEN_UNTIL + 1
_LONG_AGO: Final = TAKEN_UNTIL + 2 * LAG + 2

# the desk's side of an order
NEW, HANDED, DURABLE, RELEASED, VOID, FORGOTTEN = "new", "handed", "durable", "released", "void", "forgotten"
# the gateway's
NONE, WRITING, HELD, SENT, DOUBT, BURYING, OVER = (
    "none", "writing", "held", "sent", "doubt", "burying", "over",
)  # fmt: skip
IN_PLAY: Final = (DURABLE, RELEASED, VOID)
# what may be said of an order, in the order in which it is folded
SAYINGS: Final = ("attempt", "unknown", "event", "ack", "no", "own_no")


class One(NamedTuple):
    """One order, everywhere. ``frame``, ``word`` and ``answer`` are under way on a socket.

    ``requests`` and ``orders`` are ages in ticks: of requests under way, and of orders at the venue.
    """

    desk: str = NEW
    told: frozenset[str] = frozenset()
    frame: bool = False
    word: str = ""  # on its way, or waiting for the gateway's own record
    heard: str = ""  # the word as the gateway has it
    gateway: str = NONE
    disk: frozenset[str] = frozenset()
    lazy: frozenset[str] = frozenset()
    sent_age: int = 0
    fence: int = 0
    absent: int | None = None
    looks: int = 0
    is_seen: bool = False
    is_known: bool = False
    requests: tuple[int, ...] = ()
    answer: str = ""
    orders: tuple[int, ...] = ()


class Policy(NamedTuple):
    """The protocol, and the ways of breaking it that must be found."""

    name: str = "fenced at most once"
    retries: bool = False  # sends again under the same id when it does not know
    looks: int = 0  # takes so many look-ups without a trace for a no, whenever they were
    records_first: bool = True
    lag: int = LAG  # what it thinks that lists are behind
    clock_error: int = CLOCK_ERROR  # what it thinks that clocks are apart


FENCED: Final = Policy()
_INTENT: Final = make_intent(0, send_by=0)


def _message(saying: str) -> Message:
    iid, cid = _INTENT.iid, _INTENT.cid
    match saying:
        case "attempt":
            return Attempt(
                iid=iid, cid=cid, n=1, t_send=0, fence_until=WINDOW * TICK, body_hash=b"", desk_head=b""
            )
        case "unknown":
            return Unknown(iid=iid, cause="timeout")
        case "event":
            return OrderEvent(
                iid=iid, venue_id="1", symbol=_INTENT.symbol, status="open", cum_qty=_INTENT.qty * 0,
                avg_px=_INTENT.qty * 0, t=0,
            )  # fmt: skip
        case "ack":
            return Ack(iid=iid, venue_id="1", t_venue=0)
        case "no":
            return VenueReject(iid=iid, code=NOT_ACCEPTED[0], definitive=True)
        case _:
            return VenueReject(iid=iid, code=OWN + "unreleased", definitive=True)


@cache
def belief(told: frozenset[str], is_void: bool) -> OrderState:
    """Return what a desk makes of what it was told of an order it has on disk."""
    orders = Orders()
    order = orders.open(_INTENT, "agent", 0)
    for saying in SAYINGS[1:]:
        if saying in told:
            message = _message(saying)
            assert isinstance(message, Ack | Unknown | OrderEvent | VenueReject)
            orders.apply(message)
    if is_void:
        orders.void(_INTENT.iid)
    return order.state


@cache
def recovered(disk: frozenset[str]) -> tuple[str, bool, bool]:
    """Return the gateway's phase after a restart on its journal, whether it says Unknown, and `is_known`."""
    messages: list[Message] = []
    for saying in SAYINGS:
        if saying in disk:
            messages += [_INTENT, _message(saying)] if saying == "attempt" else [_message(saying)]
    past = fold(messages)
    if past.alive:
        return DOUBT, bool(past.open_ended), past.alive[0].is_known
    return (OVER if _INTENT.iid in past.counters.iids else NONE), False, False


def state_of(one: One) -> OrderState | None:
    """Return what the desk believes; None when it has no such order on disk."""
    return belief(one.told, one.desk == VOID) if one.desk in IN_PLAY else None


def _say(one: One, saying: str, is_desk_up: bool) -> One:
    told = one.told | {saying} if is_desk_up and one.desk in IN_PLAY else one.told
    return one._replace(told=told, lazy=one.lazy | {saying})


class Steps:
    """What can happen next to one order, under a policy."""

    def __init__(self, policy: Policy = FENCED) -> None:
        self._policy = policy

    def of(
        self, one: One, desk_up: bool, gateway_up: bool, is_closed: bool, is_lane_taken: bool
    ) -> Iterator[tuple[str, One]]:
        """Yield every step; ``is_closed``: the symbol is, for opening."""
        yield from _at_the_venue(one, gateway_up)
        if desk_up:
            yield from _at_the_desk(one, is_closed)
        if gateway_up:
            yield from self._at_the_gateway(one, desk_up, is_lane_taken)

    def _at_the_gateway(self, one: One, up: bool, is_lane_taken: bool) -> Iterator[tuple[str, One]]:
        if one.lazy:
            yield "gateway's records are on disk", one._replace(disk=one.disk | one.lazy, lazy=frozenset())
        if one.frame:
            yield "order arrives", one._replace(frame=False, gateway=WRITING)
        if one.word and not one.frame and up:
            yield "word arrives", one._replace(word="", heard=one.heard or one.word)
        if one.gateway == WRITING:
            if not self._policy.records_first and one.heard == "release" and not is_lane_taken:
                yield "request leaves unrecorded", _send(one, attempted=False)
            yield "attempt is on disk", one._replace(gateway=HELD, disk=one.disk | {"attempt"})
        if one.gateway == HELD and one.heard == "release" and not is_lane_taken:
            yield "request leaves", _send(one, attempted=True)
        if one.gateway == HELD and one.heard == "drop":
            yield "order is dropped", _say(one._replace(gateway=OVER), "own_no", up)
        if one.gateway == SENT:
            yield from self._awaiting(one, up)
        if one.gateway in (DOUBT, OVER) and one.orders and "event" not in one.lazy | one.disk:
            yield "stream tells", _say(one._replace(is_seen=True), "event", up)
        if one.gateway == DOUBT:
            yield from self._looking(one, up)
        if one.gateway == BURYING:
            after = _say(one._replace(gateway=OVER), "no", up)
            yield "no is on disk", after._replace(disk=after.disk | {"no"}, lazy=after.lazy - {"no"})

    def _awaiting(self, one: One, up: bool) -> Iterator[tuple[str, One]]:
        disk = one.disk | {"attempt"} if not self._policy.records_first else one.disk
        if one.answer:
            yield "answer arrives", _say(one._replace(disk=disk, gateway=OVER, answer=""), one.answer, up)
        if self._policy.retries and len(one.requests) + len(one.orders) < 3:
            yield "sent again", one._replace(requests=_sorted(*one.requests, 0), answer="")
        fence = WINDOW - one.sent_age
        doubted = one._replace(disk=disk, gateway=DOUBT, fence=fence, answer="", is_seen=False)
        yield "no answer", _say(doubted, "unknown", up)

    def _looking(self, one: One, up: bool) -> Iterator[tuple[str, One]]:
        if self._policy.retries and len(one.requests) + len(one.orders) < 3:
            yield "sent again", one._replace(requests=_sorted(*one.requests, 0))
        if one.orders:
            yield "look-up finds it", _say(one._replace(gateway=OVER), "ack", up)
        if not one.orders or one.orders[0] <= LAG:
            doubt = Doubt(
                fence=one.fence * TICK, lag=self._policy.lag * TICK,
                clock_error=self._policy.clock_error * TICK,
                is_seen=one.is_seen or one.is_known,
                absent_at=None if one.absent is None else one.absent * TICK,
            )  # fmt: skip
            fate = learn(doubt, Sight.ABSENT, 0)
            looks = min(one.looks + 1, self._policy.looks)
            if looks and looks == self._policy.looks:
                fate = Fate.NOT_ACCEPTED
            absent = None if doubt.absent_at is None else doubt.absent_at // TICK
            after = one._replace(absent=absent, looks=looks)
            yield (
                "look-up does not find it",
                after._replace(gateway=BURYING) if fate is Fate.NOT_ACCEPTED else after,
            )


def desk_dies(one: One) -> One:
    """What it had not on disk is gone, what was on its way to the gateway too, and the gateway drops it."""
    return one._replace(
        desk=FORGOTTEN if one.desk in (NEW, HANDED) else one.desk,
        told=frozenset(),
        frame=False,
        word="",
        heard=one.heard or ("drop" if one.gateway in (WRITING, HELD) else ""),
    )


def gateway_returns(one: One) -> One:
    """It folds its journal; the whole window of what may be under way counts anew."""
    phase, says_unknown, is_known = recovered(one.disk)
    back = one._replace(gateway=phase, is_known=is_known, fence=WINDOW if phase == DOUBT else 0)
    return _say(back, "unknown", False) if says_unknown else back


def _at_the_desk(one: One, is_closed: bool) -> Iterator[tuple[str, One]]:
    # nothing new is decided on a symbol with an order in doubt; and what was handed over goes on
    if one.desk == NEW and not is_closed:
        yield "order is handed over", one._replace(desk=HANDED, frame=True)
    if one.desk == HANDED:
        yield "intent is on disk", one._replace(desk=DURABLE)
    if one.desk == DURABLE and not one.word and not one.heard:
        yield "order is released", one._replace(desk=RELEASED, word="release")
        yield "order is taken back", one._replace(desk=VOID, word="drop")


def _at_the_venue(one: One, gateway_up: bool) -> Iterator[tuple[str, One]]:
    is_awaited = gateway_up and one.gateway == SENT
    for age in set(one.requests):
        left = list(one.requests)
        left.remove(age)
        gone = one._replace(requests=tuple(left))
        yield "request is lost", gone
        if age <= TAKEN_UNTIL:
            # it fills at once, so an id that is unique among open orders protects nobody
            accepted = gone._replace(orders=tuple(sorted((*one.orders, 0), reverse=True)))
            yield "venue accepts", accepted._replace(answer="ack" if is_awaited else "")
        if not one.orders:
            yield "venue refuses", gone._replace(answer="own_no" if is_awaited else "")


def _send(one: One, *, attempted: bool) -> One:
    disk = one.disk | {"attempt"} if attempted else one.disk
    return one._replace(gateway=SENT, disk=disk, requests=_sorted(*one.requests, 0), sent_age=0)


def older(one: One) -> One:
    """A tick passes."""
    if one.gateway == BURYING:
        fence, absent = 0, None
    else:
        fence = max(one.fence - 1, -_LONG_AGO) if one.gateway == DOUBT else 0
        absent = None if one.absent is None else max(one.absent - 1, -LAG)
    return one._replace(
        requests=tuple(min(age + 1, _OLD) for age in one.requests),
        orders=tuple(min(age + 1, LAG + 1) for age in one.orders),
        sent_age=min(one.sent_age + 1, _LONG_AGO) if one.gateway == SENT else 0,
        fence=fence,
        absent=absent,
    )


def gateway_dies(one: One) -> One:
    """Only its disk and what has left it are left."""
    return one._replace(
        gateway=NONE, lazy=frozenset(), frame=False, word="", heard="", answer="", sent_age=0, fence=0,
        absent=None, looks=0, is_seen=False, is_known=False,
    )  # fmt: skip


def desk_returns(one: One) -> One:
    """Resync: all that was said becomes durable and is told; what never came is refused for ever."""
    if one.gateway in (WRITING, HELD):
        # its record was flushed, and the drop of the link before this one is worked off first
        one = one._replace(
            gateway=OVER, disk=one.disk | {"attempt"}, lazy=one.lazy | {"own_no"}, heard="drop"
        )
    disk = one.disk | one.lazy
    if one.gateway == NONE and one.desk in IN_PLAY:
        never_came = frozenset({"own_no"})
        return one._replace(disk=disk | never_came, lazy=frozenset(), gateway=OVER, told=never_came)
    told = disk - {"attempt"} if one.desk in IN_PLAY else frozenset[str]()
    return one._replace(disk=disk, lazy=frozenset(), told=told)


def _sorted(*ages: int) -> tuple[int, ...]:
    return tuple(sorted(ages))


def may_appear(one: One) -> bool:
    """Whether an order may exist or still come to exist, whatever anybody believes."""
    may_leave = one.gateway in (WRITING, HELD) and one.heard != "drop" and one.desk in (RELEASED, DURABLE)
    return bool(one.orders) or any(age <= TAKEN_UNTIL for age in one.requests) or may_leave


def faults(one: One) -> Iterator[str]:
    """Name what must never be true of an order, at any moment."""
    if len(one.orders) > 1:
        yield "one intent has two orders at the venue"
    state = state_of(one)
    if state is None and (one.orders or one.requests):
        yield "an order left without an intent on its desk's disk"
    if state is OrderState.FAILED and may_appear(one):
        yield "its reservation is released while the order may exist"


def wrong_end(one: One) -> Iterator[str]:
    """Name what must not be true of an order when nothing can happen any more."""
    state = state_of(one)
    if state is None:
        return
    if state in (OrderState.UNKNOWN, OrderState.PENDING_CREATE):
        yield f"nobody finds out whether it exists, the desk says {state.name}"
    elif (state in FINAL) == bool(one.orders):
        yield f"the desk says {state.name}, the venue has {len(one.orders)} orders"
