"""The whole desk in a backtest: the firm and its agents on virtual time, against a simulated venue.

Problem: what trades later must be what was tested. So nothing of the desk is rebuilt here: the firm of
`orchestrator` decides, its agents answer, its groups are journaled; only the carrier differs. Market time is
that of the candles, wall time stands still (everything happens in one instant of it), and the venue answers
within the cascade's end.

A moment has this order: resting orders meet the candles that ran until now; the firm hears of the candles
that closed and of the opening prices; what it orders meets these openings; then the candles that began run.

Not here: which agents (`runtime.bootstrap`), what is done with groups (the caller commits them).

A strategy that is run beside the desk (`negotiate`) may trade inside the candle that runs; the firm then
hears of the price it trades at, and whoever trades after it at this candle knows that (ADR 0031).

Invariant: beyond that nothing the firm is told at a moment lies behind it; two runs over the same candles
with the same agents give the same records, byte for byte.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, Protocol

from agents.outside import Offer
from backtest.history import Moment
from orchestrator.cascade import groups_in
from orchestrator.firm import Firm
from orchestrator.policy import GroupOut
from parley.bus import Transport
from parley.instruments import Instrument
from parley.messages import (
    Balance,
    Bar,
    Book,
    CancelIntent,
    Fill,
    Heartbeat,
    Intent,
    MarketBatch,
    Message,
    Shutdown,
    Started,
)
from venues.sim.exchange import Candle, SimExchange

ZERO: Final = Decimal(0)
BOTTOMLESS: Final = 1e13  # base; the gate takes a larger number for a mistake
WALL: Final = 1
"""The one instant of wall time, ns: data has no age in a backtest, and no venue's clock is off."""
Commit = Callable[[GroupOut], None]


class Seat(Protocol):
    """Where a strategy that is run elsewhere sits at the table (`agents.outside`)."""

    pid: bytes

    def offer(self, offer: Offer) -> None: ...

    def withdraw(self) -> None: ...


class DeskBacktest:
    """Drives one firm over recorded candles; see the module.

    ``spread_bps`` is that of the venue's book. Its best levels show the last candle's volume each, or if it
    ``is_deep`` more than anybody asks for, as freqtrade has it.
    """

    def __init__(
        self,
        firm: Firm,
        transport: Transport,
        exchange: SimExchange,
        commit: Commit,
        spread_bps: float = 0.0,
        *,
        is_deep: bool = False,
    ) -> None:
        self.firm = firm
        self._transport = transport
        self._exchange = exchange
        self._commit = commit
        self._half = spread_bps / 2e4
        self._instruments: Mapping[str, Instrument] = firm.table.env.instruments
        self._step = 0
        self._mono = 0
        self._volumes: dict[str, float] = {}
        self._is_deep = is_deep
        self._now = 0
        self.unasked: list[Fill] = []
        """What was filled since the moment began and no negotiation was about."""
        self._seat: Seat | None = None  # whose offer is negotiated
        self._filled = ZERO  # of that offer
        self._late: list[Intent] = []  # ordered in a negotiation about something else

    def begin(self, run_id: str, capital: Decimal, t: int) -> None:
        """Open the run with `capital` of the desk's quote currency at market time `t` (ns)."""
        desk = self.firm.config
        start = Started(run_id=run_id, epoch=1, quote=desk.quote, capital=capital, t=t)
        self._admit(start, "supervisor")
        assets = tuple(sorted(self._exchange.assets.items()))
        self._admit(Balance(account=desk.account, venue=desk.venue, assets=assets, t=t), "gateway")
        beat = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=t, offset_ms=0.0)
        self._admit(beat, "gateway")

    def step(self, moment: Moment) -> None:
        """Live through one moment; see the module for its order."""
        self.unasked.clear()
        self._admit_all(self._exchange.course())
        self._exchange.open(moment.t, moment.begun)
        self._now = moment.t
        self._step += 1
        late, self._late = self._late, []
        for order in late:
            self._admit_all(self._answer(order))
        length = self.firm.config.tf_ns
        for symbol, candle in moment.closed.items():
            self._volumes[symbol] = candle.volume
        bars = [_bar(symbol, candle, length) for symbol, candle in sorted(moment.closed.items())]
        gone = [symbol for symbol in moment.closed if symbol not in moment.begun]
        books = [self._book(symbol, moment) for symbol in sorted([*moment.begun, *gone])]
        self._admit(MarketBatch(step=self._step, t=moment.t, bars=tuple(bars), books=tuple(books)), "hub")

    def negotiate(self, seat: Seat, offer: Offer, t: int) -> Decimal:
        """Let a strategy's offer be negotiated with the market at its price; returns what was filled.

        What of it did not fill at once is canceled: the strategy trades now or not at all. What else the
        desk orders meanwhile reaches the venue at the next opening: inside a candle nobody trades unasked.
        """
        self._exchange.move(offer.symbol, float(offer.px))
        # A nanosecond apart, so that two rounds of a symbol at one candle are two rounds.
        self._now = max(self._now + 1, t)
        self._step += 1
        book = self._around(offer.symbol, float(offer.px), self._now)
        seat.offer(offer)
        self._seat, self._filled = seat, ZERO
        self._admit(MarketBatch(step=self._step, t=self._now, books=(book,)), "hub")
        seat.withdraw()
        self._admit_all(self._exchange.expire(seat.pid))
        self._seat = None
        return self._filled

    def opening(self, symbol: str) -> float | None:
        """The opening price of the candle that runs, None where none does."""
        return self._exchange.opening(symbol)

    def holds(self, agent: str, symbol: str) -> float:
        """What the desk's books hold of a symbol for an agent, base."""
        held = self.firm.account.ledger.holding(agent, self._instruments[symbol].base)
        return 0.0 if held is None else float(held.qty)

    def end(self) -> None:
        """End the run: resting orders are canceled, positions stay."""
        self._admit(Shutdown(why="history_ended", flatten=False, t=0), "user")

    def _book(self, symbol: str, moment: Moment) -> Book:
        """The best levels around the opening price; none where no candle begins, or none has closed yet."""
        candle = moment.begun.get(symbol)
        if candle is None:
            return Book(symbol=symbol, t=moment.t, seq=self._step, bids=(), asks=())
        return self._around(symbol, candle.open, moment.t)

    def _around(self, symbol: str, price: float, t: int) -> Book:
        size = BOTTOMLESS if self._is_deep else self._volumes.get(symbol, 0.0)
        if not size > 0.0:
            return Book(symbol=symbol, t=t, seq=self._step, bids=(), asks=())
        # Apart, for a book that is not crossed; half a tick on each side keeps the mid, and of a cheap coin
        # half a tick is a spread that freqtrade's strategies do not know.
        tick = 0.0 if self._is_deep else float(self._instruments[symbol].tick) / 2
        away = max(price * self._half, tick, price * 1e-9)
        return Book(
            symbol=symbol, t=t, seq=self._step, bids=((price - away, size),), asks=((price + away, size),)
        )

    def _admit_all(self, facts: Iterable[Message]) -> None:
        """Admit facts, and what the venue answers to the orders they cause."""
        waiting: deque[Message] = deque(facts)
        while waiting:
            message = waiting.popleft()
            if self.firm.is_news(message):
                for order in self._cascade(message, "gateway"):
                    waiting.extend(self._answer(order))

    def _admit(self, message: Message, sender: str) -> None:
        facts: list[Message] = []
        for order in self._cascade(message, sender):
            facts += self._answer(order)
        self._admit_all(facts)

    def _answer(self, order: Intent | CancelIntent) -> list[Message]:
        if isinstance(order, CancelIntent):
            return self._exchange.cancel(order)
        if self._seat is None:
            facts = self._exchange.place(order)
            self.unasked += [fact for fact in facts if isinstance(fact, Fill)]
            return facts
        if order.pid != self._seat.pid:
            self._late.append(order)
            return []
        facts = self._exchange.place(order)
        self._filled += sum((fact.qty for fact in facts if isinstance(fact, Fill)), ZERO)
        return facts

    def _cascade(self, message: Message, sender: str) -> list[Intent | CancelIntent]:
        """Admit one message and carry out its cascade; returns what it orders."""
        self._mono += 1
        cascade = self.firm.admit(message, sender, t_event=WALL, t_mono=self._mono, t_recv=WALL)
        orders: list[Intent | CancelIntent] = []
        for group in groups_in(cascade, self._transport.exchange):
            if group.records:
                self._commit(group)
                orders += group.orders
        self._transport.rest()
        return orders


def _bar(symbol: str, candle: Candle, length: int) -> Bar:
    return Bar(
        symbol=symbol, tf_ns=length, t_open=candle.t_open, open=candle.open, high=candle.high,
        low=candle.low, close=candle.close, volume=candle.volume,
    )  # fmt: skip
