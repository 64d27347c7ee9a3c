"""A desk that comes back hears all that was said of orders, and a refusal for what never came."""

import asyncio
from collections.abc import Sequence

import pytest

from parley.errors import ProtocolError
from parley.messages import (
    Ack,
    CancelIntent,
    Compared,
    Fill,
    Gap,
    Heartbeat,
    Intent,
    Message,
    OrderEvent,
    Unknown,
    VenueFault,
    VenueReject,
)
from runtime.resync import RESYNCED, Resync, Retelling, read_resync
from tests.kit.builders import make_fill
from tests.kit.firm_kit import T0, D
from tests.kit.units import make_cancel, make_intent

ASKED = Resync(epoch=2)


class Line:
    """A link's two questions, with what the desk has not read yet."""

    def __init__(self, unsent: Sequence[int] = (), closes_after: int | None = None) -> None:
        self.asked = 0
        self._unsent = list(unsent)
        self._closes_after = closes_after

    @property
    def unsent(self) -> int:
        self.asked += 1
        return self._unsent.pop(0) if self._unsent else 0

    @property
    def is_open(self) -> bool:
        if self._closes_after is None:
            return True
        self._closes_after -= 1
        return self._closes_after >= 0


def retell(
    said: Sequence[Message], asked: Resync = ASKED, line: Line | None = None
) -> tuple[list[Message], list[VenueReject]]:
    """Return what a desk hears again, and what it is refused."""
    heard: list[Message] = []
    telling = Retelling(asked, lambda: T0)

    async def deliver() -> None:
        told = [(seq, b"", message) for seq, message in enumerate(said, 1)]
        await telling.deliver(told, line or Line(), lambda message, seq, round_: heard.append(message))  # type: ignore[arg-type]

    asyncio.run(deliver())
    return heard, list(telling.missing())


def ack(intent: Intent) -> Ack:
    return Ack(iid=intent.iid, venue_id="v", t_venue=T0)


def opened(intent: Intent) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid, venue_id="v", symbol=intent.symbol, status="open", cum_qty=D(0), avg_px=D(0), t=T0
    )


def asks(*orders: Intent, cancels: Sequence[CancelIntent] = (), gaps: int = 0) -> Resync:
    return Resync(
        epoch=2, gaps=gaps, orders=tuple(o.iid for o in orders), cancels=tuple((c.iid, c.n) for c in cancels)
    )


def test_every_fact_is_told_again_in_the_order_in_which_it_was_said() -> None:
    one, two = make_intent(0), make_intent(1)
    fill = make_fill(iid=one.iid)
    lost = Unknown(iid=two.iid, cause="timeout")
    said = [one, two, fill, opened(one), ack(one), lost]

    heard, refused = retell(said, asks(one, two))

    assert heard == [fill, opened(one), ack(one), lost]
    assert refused == []


def test_what_the_desk_knows_already_is_told_as_well() -> None:
    """It finds out by itself what is news: its last record does not say that it has those before."""
    order = make_intent()

    assert retell([order, ack(order)], ASKED) == ([ack(order)], [])


def test_requests_attempts_and_heartbeats_are_nobodys_facts() -> None:
    order = make_intent()
    beat = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=T0, offset_ms=1.0)

    assert retell([order, make_cancel(order), beat])[0] == []


def test_order_that_never_came_is_refused_for_good() -> None:
    there, gone = make_intent(0), make_intent(1)

    _, refused = retell([there, ack(there)], asks(there, gone))

    assert [(no.iid, no.code, no.definitive, no.cancel) for no in refused] == [
        (gone.iid, "last_look:never_came", True, False)
    ]


def test_order_refused_at_the_last_look_did_come() -> None:
    """Nothing of it but the refusal is in the gateway's journal, and that is told again."""
    order = make_intent()
    no = VenueReject(iid=order.iid, code="last_look:rate", definitive=True)

    assert retell([no], asks(order)) == ([no], [])


def test_cancel_that_never_came_is_refused_by_its_number() -> None:
    order = make_intent()
    first, again = make_cancel(order), make_cancel(order, n=2)

    _, refused = retell([order, ack(order), first], asks(order, cancels=[first, again]))

    assert [(no.iid, no.cancel) for no in refused] == [(order.iid, True)]
    assert retell([order, first, again], asks(cancels=[first, again]))[1] == []


def test_refused_cancel_says_nothing_of_its_order() -> None:
    order = make_intent()
    no = VenueReject(iid=order.iid, code="unknown_order", definitive=True, cancel=True)

    heard, refused = retell([no], asks(order))

    assert heard == [no]
    assert [(each.iid, each.cancel) for each in refused] == [(order.iid, False)]


@pytest.mark.parametrize(("knows", "told"), [(0, 3), (2, 1), (3, 0), (4, 0)])
def test_gaps_the_desk_knows_are_not_told_again(knows: int, told: int) -> None:
    """They are told apart by nothing but their number, and each would close the account once more."""
    gaps = [Gap(stream="user", from_seq=n, to_seq=n + 1) for n in range(3)]

    assert retell(gaps, asks(gaps=knows))[0] == gaps[3 - told :]


def test_calls_that_failed_are_told_again_for_a_minute() -> None:
    """Older ones say nothing of the venue now; which of them the desk knows it finds out by itself."""
    second = 1_000_000_000
    old, new, newest = (
        VenueFault(n=n, call="time", why="timeout", t=T0 - ago * second)
        for n, ago in ((1, 60), (2, 59), (3, 0))
    )
    assert retell([old, new, newest]) == ([new, newest], [])


def test_comparison_is_told_last_and_only_if_no_gap_came_after_it() -> None:
    gap, compared = Gap(stream="user", from_seq=0, to_seq=-1), Compared(streams=("user",), t=1)
    fill = make_fill(trade_id="1")

    assert retell([gap, compared, fill], asks(gaps=1))[0] == [fill, compared]
    assert retell([gap, compared, gap, fill], asks(gaps=1))[0] == [gap, fill]


def test_nothing_is_told_faster_than_it_is_read() -> None:
    order = make_intent()
    line = Line(unsent=[2 << 20, 2 << 20, 0])

    heard, _ = retell([ack(order)], line=line)

    assert heard == [ack(order)]
    assert line.asked == 3


def test_desk_that_went_away_is_told_no_more() -> None:
    said = [make_fill(trade_id=str(n)) for n in range(5)]

    heard, _ = retell(said, line=Line(closes_after=2))

    assert heard == said[:2]


def test_question_survives_the_line() -> None:
    order = make_intent()
    asked = asks(order, cancels=[make_cancel(order)], gaps=3)

    assert read_resync(asked.text().encode()) == asked
    assert read_resync(RESYNCED.encode()) is None
    assert read_resync(b"release:17") is None


@pytest.mark.parametrize("text", ["resync:", "resync:{}", 'resync:{"epoch":"one"}', "resync:[1]"])
def test_question_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="must hold what the desk has open"):
        read_resync(text.encode())


def test_fill_that_was_said_twice_is_told_twice() -> None:
    """A gateway's journal says it once; whoever hears it twice books it once."""
    fill = make_fill()

    heard, _ = retell([fill, fill])

    assert heard == [fill, fill]
    assert all(isinstance(each, Fill) for each in heard)
