"""What a desk's journal leaves: the firm, its agents, and what the desk's process has to know beside them.

Not here: how it is folded (`recovery`), how it is kept for later (`kept_firm`).
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.firm import Firm
from orchestrator.policy import GroupOut
from parley.bus import AgentHost, Ask, InProc, Watch
from parley.messages import (
    MARKET,
    Balance,
    Fill,
    FundingPaid,
    Gap,
    Intent,
    MarketBatch,
    Message,
    Started,
    Void,
)

from .agent_line import Seat
from .bootstrap import Assembly
from .hub_have import Have
from .kept_snapshots import KeptSnapshots
from .outbox import voids
from .run_config import RunConfig

log = logging.getLogger(__name__)

CUT: Final = "the desk ended before they were durable"


@dataclass(slots=True)
class Recovered:
    """A firm as its journal left it.

    ``tail`` are the groups that the last cascade had still to commit. ``fills`` are (symbol, trade id),
    ``placed`` numbers the orders by iid, ``gaps`` counts the gateway's; ``step`` is the last batch's;
    ``told`` is what agents from outside have heard, by agent; ``last`` is the seq of the last durable record.
    ``gid`` is the group up to which nothing had to be folded, for it was kept; 0: all was. ``groups`` is how
    many were. ``kept`` is the last record not folded, ``took_s`` what folding the others took.
    """

    run: RunConfig
    firm: Firm
    hosts: dict[str, AgentHost]
    tail: list[GroupOut] = field(default_factory=list)
    started: Started | None = None
    is_open: bool = False
    last: int = 0
    gid: int = 0
    groups: int = 0
    kept: int = 0
    took_s: float = 0.0
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

    def tell(self) -> None:
        """Say in the log how much of the journal had to be read."""
        log.warning("desk_comes_back kept_seq=%d last_seq=%d seconds=%.1f", self.kept, self.last, self.took_s)

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
