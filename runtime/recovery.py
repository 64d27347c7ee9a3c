"""Where a desk left off: its journal folded into the firm it was, up to the last committed record.

Problem: a desk may be killed at any moment, also in the middle of a cascade. What is in its journal is folded
again; what the cut cascade had still to say comes out of the same fold, and is new: nobody heard of it. Its
orders were never released, because their group was not durable, and they are not released now, because they
are answers to a market that has moved: whoever drives the desk commits them and takes them back (`Void`).

Not here: writing, asking the gateway what it did meanwhile (`resync`), the fold itself (`refold`).

Invariant: every record of the journal came out again, to the byte, or there is no recovered firm at all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.firm import Firm
from orchestrator.policy import GroupOut
from parley.bus import AgentHost, Ask, InProc, Watch
from parley.errors import Fatal, UserError
from parley.messages import (
    MARKET,
    NAMES,
    Balance,
    Fill,
    FundingPaid,
    Gap,
    Intent,
    MarketBatch,
    Message,
    Started,
    Void,
    decode_envelope,
)

from .agent_line import Seat
from .bootstrap import Assembly, hosts_of, make_firm
from .hub_have import Have
from .journal import JournalReader
from .kept_snapshots import KeptSnapshots
from .outbox import voids
from .refold import Refold, config_of, difference, lateness, outsiders, recorded
from .run_config import Origin, RunConfig

CUT: Final = "the desk ended before they were durable"


class DoesNotReplay(Fatal):
    """The journal's records do not follow from its inputs: nothing may be traded on what it says."""


@dataclass(slots=True)
class Recovered:
    """A firm as its journal left it.

    ``tail`` are the groups that the last cascade had still to commit. ``fills`` are (symbol, trade id),
    ``placed`` numbers the orders by iid, ``gaps`` counts the gateway's; ``step`` is the last batch's;
    ``told`` is what agents from outside have heard, by agent; ``last`` is the seq of the last durable record.
    """

    run: RunConfig
    firm: Firm
    hosts: dict[str, AgentHost]
    tail: list[GroupOut] = field(default_factory=list)
    started: Started | None = None
    is_open: bool = False
    last: int = 0
    have: Have = field(default_factory=Have)
    gaps: int = 0
    fills: set[tuple[str, str]] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    told: dict[str, list[Ask]] = field(default_factory=dict)
    placed: dict[bytes, int] = field(default_factory=dict)

    def in_process(
        self,
        *,
        clock: Callable[[], int] | None = None,
        late: Callable[[Ask], int] | None = None,
        watch: Watch | None = None,
    ) -> Assembly:
        """Seat the agents in this process; the arguments are those of `InProc`."""
        return Assembly(self.firm, InProc(self.hosts, clock=clock, late=late, watch=watch))

    def seat(self, seats: Iterable[Seat], kept: KeptSnapshots) -> None:
        """Leave at each seat what a process needs to go on as its agent."""
        for seat in seats:
            agent = seat.spec.id
            if agent in self.told:
                seat.remember(self.told[agent])
                if found := kept.find(agent, self.last):
                    seat.take_kept(*found)
            else:
                seat.take_snapshot(self.hosts[agent].agent.snapshot())

    def taken_back(self) -> list[Void]:
        """Take back the orders of the cascade that was cut."""
        orders = [o for group in self.tail for o in group.orders if isinstance(o, Intent)]
        return voids(orders, CUT)

    def note(self, message: Message) -> None:
        """Keep what the process, not the firm, has to know of a message from outside."""
        match message:
            case MarketBatch():
                self.have.take(message)
            case Fill():
                self.fills.add((message.symbol, message.trade_id))
            case FundingPaid():
                self.paid.add(message.ref)
            case Gap() if message.stream != MARKET:
                self.gaps += 1
            case Started() if self.started is None:
                self.started = message
            case Balance():
                self.is_open = True
            case _:
                pass


def recover(path: str | Path, run: RunConfig, *, watch: Watch | None = None) -> Recovered:
    """Fold a desk's journal into the firm and the agents it leaves, all in this process; ``watch``: `InProc`.

    Raises
    ------
    UserError
        When the journal is of another run, or was written with another configuration.
    DoesNotReplay
        When a record does not come out again.
    DataError, JournalError
        When it is no desk's journal.
    """
    with JournalReader(path) as reader:
        written = config_of(reader)
        _check_same(Path(path), written, run)
        told: dict[str, list[Ask]] = {agent: [] for agent in outsiders(written)}
        hosts = hosts_of(written, recorded(reader, told))
        past = Recovered(run=written, firm=make_firm(written), hosts=hosts, told=told)
        refold = Refold(past.in_process(late=lateness(reader), watch=watch))
        for record in reader.records():
            envelope = decode_envelope(record.body)
            again = refold.step(record, envelope)
            if again is None or again[1] != record.body:
                kind = NAMES.get(record.kind, str(record.kind))
                raise DoesNotReplay(
                    f"the journal {str(path)!r} does not replay, so nothing is traded on it: seq {record.seq}"
                    f" {kind} of {envelope.sender}: the replay said {difference(record.body, again)}"
                )
            if refold.message is not None:
                past.note(refold.message)
                for group in refold.groups:
                    for order in group.orders:
                        if isinstance(order, Intent):
                            past.placed[order.iid] = len(past.placed)
            past.last = record.seq
    last = past.last
    if missing := min((seq for seq in refold.left if seq <= last), default=0):
        kind = NAMES[refold.left[missing][0]]
        raise DoesNotReplay(
            f"the journal {str(path)!r} does not replay, so nothing is traded on it: it lacks seq {missing}"
            f" {kind}"
        )
    past.tail = [group for group in refold.groups if group.records[-1][0] > last]
    for group in past.tail:
        if group.records[0][0] <= last:
            raise DoesNotReplay(f"the journal {str(path)!r} ends inside a group, at seq {last}")
    return past


def _check_same(path: Path, written: RunConfig, run: RunConfig) -> None:
    if written.run_id != run.run_id:
        raise UserError(f"the journal {str(path)!r} is of run {written.run_id!r}, not of {run.run_id!r}")
    if _core(written) != _core(run):
        raise UserError(
            f"the journal {str(path)!r} was written with another configuration of run {run.run_id!r}"
        )


def _core(run: RunConfig) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(run, instruments={}, origin=Origin()))
