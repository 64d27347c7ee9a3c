"""Keeps the way of an order warm: in idle moments a stand-in firm decides on made-up candles.

Problem: a round runs thousands of small functions once. Milliseconds later the processor's caches hold
something else, and the next round takes twice the time of one that follows at once, when a signal comes after
an hour of silence as much as at 300 a second. Trading systems therefore send made-up events down the same
path all the time and stop short of the wire. So here: a second firm with the same instruments and the default
agents gets one candle after the other and trades on each, its groups go into a journal in memory, and each of
its orders is filled at once at the price it asked for.

Costs: one core is never idle. Not here: when there is time for it (`desk`).

Invariant: nothing leaves a rehearsal: no file, no socket, no state of the real firm, of which only the last
books are read; no code of the user's runs in it, and one that fails ends itself alone.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from orchestrator.firm import Firm
from orchestrator.policy import GroupOut
from parley.agent import AgentSpec
from parley.bus import Answer, Watch, Wave
from parley.messages import (
    Ack,
    Balance,
    Bar,
    Book,
    CancelIntent,
    Fill,
    Heartbeat,
    Intent,
    MarketBatch,
    Message,
    Started,
)
from parley.money import decimal

from .bootstrap import Assembly, assemble
from .defaults import default_agents
from .frames import frame_of
from .idle_gc import IdleCollector
from .journal.scratch import Scratch
from .outbox import group_of
from .run_config import RunConfig

log = logging.getLogger(__name__)

ROUNDS: Final = 500  # of one stand-in; the next one begins without this one's past
CASH: Final = Decimal(
    10**6
)  # an order is worth some 10,000: above each minimum, within a contract's first tiers
DEEP: Final = 30.0  # times the account
NOTHING: Final = Decimal(0)
# What would end a rehearsal early, all of it about how much was traded.
LIMITS: Final[Mapping[str, object]] = {
    "max_daily_trades": 10**9, "orders_per_s": 10**6, "max_repeats": 10**9, "max_daily_loss": "0.9",
    "max_drawdown": "0.9",
}  # fmt: skip
# A strategy that trades on each candle, and a meta agent that lets it although all it does is pay.
AGENTS: Final[Mapping[str, Mapping[str, object]]] = {
    "strategy/trend": {"source": "strategies.pulse:make", "cooldown_ms": 0, "share": 0.1, "risk": 0.02},
    "meta/main": {"theta": -100.0, "margin": -1000.0, "full_score": -99.0},
}


class Rehearsal:
    """Rehearses a desk's rounds; belongs to the desk's loop.

    ``firm`` is the real one, ``collector`` takes away what rehearsing leaves, ``watch`` is told who computes,
    as of a real round. ``rounds`` and ``orders`` count what was rehearsed.
    """

    def __init__(self, firm: Firm, collector: IdleCollector, watch: Watch) -> None:
        self.rounds = 0
        self.orders = 0
        self._run = RunConfig(
            run_id="rehearsal", agents=tuple(_cast()), limits=dict(LIMITS),
            desk=replace(firm.config, venue_stops=False, max_rounds_per_s=0.0, max_in_flight=0),
            instruments=dict(firm.table.env.instruments),
        )  # fmt: skip
        self._market = firm.market
        self._collector = collector
        self._watch = watch
        self._steps = self._play()
        self._failed = False
        self._said = False

    def told(self) -> dict[str, int]:
        """Return what was rehearsed, for the run's result."""
        return {"rounds": self.rounds, "orders": self.orders}

    async def until(self, is_over: Callable[[], bool]) -> None:
        """Rehearse until something real comes, step by step: a step is what a wave or a group takes."""
        while not (is_over() or self._failed):
            try:
                next(self._steps)
            except StopIteration:  # there is no market yet
                self._steps = self._play()
                return
            except Exception:
                # whatever is wrong with a rehearsal must not be wrong with the desk
                log.exception("rehearsal_failed rounds=%d", self.rounds)
                self._failed = True
                return
            self._collector.young()
            await asyncio.sleep(0)

    def _play(self) -> Iterator[None]:
        while True:
            mids = self._market.mids()
            symbols = [symbol for symbol in self._run.desk.symbols if symbol in mids]
            if not symbols:
                return
            stand_in = _StandIn(self._run, self._watch)
            yield
            yield from stand_in.begin(mids)
            traded = self.orders
            for n, symbol in zip(range(ROUNDS), itertools.cycle(symbols), strict=False):
                if n % len(symbols) == 0:  # each pair has a candle in each, or it would count as silent
                    stand_in.turn(max(self._market.books[each].t for each in symbols))
                before = stand_in.orders
                if symbol in mids:
                    yield from stand_in.candle(self._market.books[symbol])
                self.rounds += 1
                self.orders += stand_in.orders - before
            stand_in.end()
            if traded == self.orders and not self._said:
                self._said = True
                log.warning("rehearsal_trades_nothing rounds=%d", self.rounds)
            yield


class _StandIn:
    """A firm with its agents and its journal, and the venue's answers to its orders."""

    def __init__(self, run: RunConfig, watch: Watch) -> None:
        self.orders = 0
        self._assembly: Assembly = assemble(run, clock=time.monotonic_ns, watch=watch)
        self._journal = Scratch()
        self._desk = run.desk
        self._t = 0
        self._step = 0
        self._beat = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=0, offset_ms=0.0)
        self._instruments = run.instruments
        self._prices: dict[tuple[str, str], Decimal] = {}
        self._due: deque[Message] = deque()

    def begin(self, mids: Mapping[str, float]) -> Iterator[None]:
        """Open the account, with some of each currency that pairs are quoted in and that has a price."""
        quote = self._desk.quote
        start = Started(run_id="rehearsal", epoch=1, quote=quote, capital=CASH, t=0)
        yield from self._admit(start, "supervisor")
        others = {self._instruments[symbol].quote for symbol in self._desk.symbols} - {quote}
        priced = {
            i.base: mids[i.symbol]
            for i in self._instruments.values()
            if i.quote == quote and i.symbol in mids
        }
        some = [(each, CASH / 10 / decimal(priced[each])) for each in sorted(others & priced.keys())]
        assets = ((quote, CASH), *some)
        yield from self._admit(
            Balance(account=self._desk.account, venue=self._desk.venue, assets=assets, t=0), "gateway"
        )

    def turn(self, now: int) -> None:
        """Let the next candles begin, behind the real market's time, ns."""
        self._t = max(self._t, now) + self._desk.tf_ns

    def candle(self, book: Book) -> Iterator[None]:
        """Close a candle at a real book's price, and work off what comes of it."""
        yield from self._admit(self._beat, "gateway")  # a silent gateway would end it at the gate
        self._step += 1
        t = self._t
        mid = book.mid
        deep = DEEP * float(CASH) / mid
        bar = Bar(
            symbol=book.symbol, tf_ns=self._desk.tf_ns, t_open=t - self._desk.tf_ns, open=mid, high=mid,
            low=mid, close=mid, volume=deep,
        )  # fmt: skip
        instrument = self._instruments[book.symbol]
        bid, ask = instrument.price(mid, "buy"), instrument.price(mid, "sell") + instrument.tick
        self._prices[book.symbol, "buy"], self._prices[book.symbol, "sell"] = bid, ask
        # narrow and deep, so that no limit that goes by the market's state is in the way
        made_up = replace(book, t=t, seq=self._step, bids=((float(bid), deep),), asks=((float(ask), deep),))
        yield from self._admit(MarketBatch(step=self._step, t=t, bars=(bar,), books=(made_up,)), "hub")
        while self._due:
            yield from self._admit(self._due.popleft(), "gateway")

    def end(self) -> None:
        """Let go of everything: a firm holds itself in circles, which would wait for a full collection."""
        self._journal.close()
        vars(self._assembly.firm).clear()

    def _admit(self, message: Message, sender: str) -> Iterator[None]:
        now = time.time_ns()
        cascade = self._assembly.firm.admit(
            message, sender, t_event=now, t_mono=time.monotonic_ns(), t_recv=now
        )
        answers: list[Answer] | None = None
        while True:
            try:
                step = next(cascade) if answers is None else cascade.send(answers)
            except StopIteration:
                return
            answers = None
            if isinstance(step, Wave):
                answers = list(self._assembly.transport.exchange(step))
            elif step.records:
                self._commit(step)
            yield

    def _commit(self, step: GroupOut) -> None:
        group, records = group_of(step, 1)
        for order, record in zip(step.orders, records, strict=True):
            frame_of(record.body)
            self._answer(order)
        self._journal.write(group, is_whole=bool(step.orders))

    def _answer(self, order: Intent | CancelIntent) -> None:
        """Fill an order at the better side, for losses would trip a breaker; a cancel comes too late."""
        if isinstance(order, CancelIntent):
            return
        self.orders += 1
        nth = str(self.orders)
        self._due.append(Ack(iid=order.iid, venue_id=nth, t_venue=self._t))
        self._due.append(
            Fill(
                trade_id=nth, venue=order.venue, account=order.account, iid=order.iid, venue_id=nth,
                symbol=order.symbol, side=order.side, qty=order.qty,
                px=self._prices[order.symbol, order.side],
                fee=NOTHING, fee_asset=self._desk.quote, liquidity="taker", t=self._t,
            )
        )  # fmt: skip


def _cast() -> Iterator[AgentSpec]:
    for spec in default_agents():
        if spec.role != "strategy" or spec.id in AGENTS:
            yield replace(spec, params={**spec.params, **AGENTS.get(spec.id, {})})
