"""Standing opinions from candles (family technical) or from books and the tape (family book).

With every new candle of a symbol the agent says where it leans, how sure it is and for
how long. An opinion that is not renewed expires, and an expired one is an abstention.
Confidence is the claimed probability that the sign is right at the horizon; nothing here
has been shown to be right much more often than a coin, so it stays close to one half.
Not here: what anybody trades on it.
"""

from collections.abc import Sequence
from math import log, sqrt, tanh
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from parley.agent import Agent, AgentEnv, AgentSpec, Context, params_of
from parley.ids import opinion_id
from parley.indicators import (
    Atr,
    EwmaVol,
    Macd,
    Moments,
    Rank,
    Regime,
    Resampler,
    Ring,
    Rsi,
    TradeFlow,
    imbalance,
    microprice,
    spread_bps,
    turnover,
    usable_bar,
    usable_book,
)
from parley.messages import Ballot, Bar, Book, MarketBatch, Message, Opinion, Vote

MS = 1_000_000
HORIZONS = (15, 60, 240)  # candles over which momentum is read
ROOTS = tuple(sqrt(h) for h in HORIZONS)
BOOK_WARMUP = 20


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``every`` candles make one of the slow indicators' candles; an opinion lasts ``validity_bars`` candles.

    ``smooth`` is the span in candles over which the direction is averaged, ``depth`` how
    many book levels count, ``lift`` what a full lean adds to a confidence of one half.
    """

    family: Literal["technical", "book"] = "technical"
    every: Annotated[int, Meta(ge=1, le=1440)] = 5
    validity_bars: Annotated[int, Meta(ge=1, le=1440)] = 3
    smooth: Annotated[int, Meta(ge=1, le=1000)] = 8
    depth: Annotated[int, Meta(ge=1, le=100)] = 5
    lift: Annotated[float, Meta(ge=0, le=0.5)] = 0.02


class Lean(msgspec.Struct):
    """What a family makes of a candle: a raw direction in [-1, 1], its regime and its reasons."""

    direction: float
    regime: str
    why: str


class Family(Protocol):
    """Features of one symbol."""

    horizon_bars: int

    def see(self, book: Book, signed: float, total: float) -> None: ...

    def lean(self, bar: Bar) -> Lean | None:
        """Take a usable, newer candle; None while warming up."""
        ...


class Technical(msgspec.Struct):
    """Momentum where the market trends, reversion where it ranges."""

    frame: Resampler
    closes: Ring = msgspec.field(default_factory=lambda: Ring(HORIZONS[-1] + 1))
    vol: EwmaVol = msgspec.field(default_factory=lambda: EwmaVol(60.0))
    rsi: Rsi = msgspec.field(default_factory=lambda: Rsi(14))
    macd: Macd = msgspec.field(default_factory=Macd)
    atr: Atr = msgspec.field(default_factory=lambda: Atr(14))
    band: Moments = msgspec.field(default_factory=lambda: Moments(20))
    regime: Regime = msgspec.field(default_factory=Regime)
    warm: bool = False
    horizon_bars: int = 60

    def see(self, book: Book, signed: float, total: float) -> None:
        """Take a book; candles are all this family reads."""

    def lean(self, bar: Bar) -> Lean | None:
        """Take a usable, newer candle; None while warming up."""
        close = bar.close
        self.closes.push(close)
        vol = self.vol.update(close)
        for candle in self.frame.push(bar):
            self.rsi.update(candle.close)
            self.macd.update(candle.close)
            self.atr.update(candle.high, candle.low, candle.close)
            self.band.update(candle.close)
            self.regime.update(candle.close)
        if not self.warm:
            self.warm = self.closes.full and self.vol.ready and self.macd.ready and self.regime.ready
            return None
        momentum = 0.0
        if vol > 0.0:
            # the ring is full: reading it here saves three calls per candle
            past, at = self.closes.values, self.closes.at - 1
            for h, root in zip(HORIZONS, ROOTS, strict=True):
                momentum += tanh(log(close / past[at - h]) / (vol * root))
        atr = self.atr.value
        turn = tanh(2.0 * self.macd.value / atr) if atr > 0.0 else 0.0
        slow = 0.5 * tanh((self.rsi.value - 50.0) / 20.0) + 0.5 * turn
        z = self.band.z(close)
        momentum /= len(HORIZONS)
        label = self.regime.label
        match label:
            case "trend_up" | "trend_down":
                direction = 0.6 * momentum + 0.4 * slow
            case "volatile":
                # what moves most says least: half the lean
                direction = 0.3 * momentum + 0.2 * slow
            case _:
                direction = -0.6 * tanh(0.5 * z) + 0.2 * slow
        return Lean(direction, label, f"{label}: mom={momentum:.2f} rsi={self.rsi.value:.0f} z={z:.1f}")


class Tape(msgspec.Struct):
    """Pressure in the book and in the trades; spreads far above their usual width halve the lean."""

    depth: int
    imbalance: float = 0.0
    micro: float = 0.0
    flow: TradeFlow = msgspec.field(default_factory=lambda: TradeFlow(5.0))
    spread: Rank = msgspec.field(default_factory=lambda: Rank(240))
    seen: int = 0
    horizon_bars: int = 5

    def see(self, book: Book, signed: float, total: float) -> None:
        """Take a usable book and the turnover of its batch."""
        self.seen += 1
        decay = 0.3 if self.seen > 1 else 1.0
        bid, ask = book.bids[0][0], book.asks[0][0]
        self.imbalance += decay * (imbalance(book, self.depth) - self.imbalance)
        off = 2.0 * (microprice(book) - (bid + ask) / 2.0) / (ask - bid)
        self.micro += decay * (max(-1.0, min(1.0, off)) - self.micro)
        self.flow.update(signed, total)
        self.spread.update(spread_bps(book))

    def lean(self, bar: Bar) -> Lean | None:
        """Take a candle's end; None before enough books were seen."""
        if self.seen < BOOK_WARMUP:
            return None
        flow = self.flow.value
        direction = 0.4 * self.imbalance + 0.2 * self.micro + 0.4 * flow
        if self.spread.value > 0.95:
            direction *= 0.5
        return Lean(direction, "", f"book: imb={self.imbalance:.2f} micro={self.micro:.2f} flow={flow:.2f}")


class State(msgspec.Struct):
    """Everything the agent remembers, by symbol; of the two families one is in use."""

    technical: dict[str, Technical] = {}
    tape: dict[str, Tape] = {}
    last: dict[str, int] = {}
    smooth: dict[str, float] = {}
    opinions: dict[str, Opinion] = {}


class SignalAgent:
    """One family of signals at the desk; see the module."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self.env = env
        self.params = params_of(spec, Params)
        self._symbols = frozenset(env.symbols)
        self._state = State()
        self._version = f"{self.params.family}/1"
        self._reads_books = self.params.family == "book"

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case MarketBatch():
                return self._see(msg, ctx)
            case Ballot(stage="vote"):
                return self._vote(msg, ctx)
            case _:
                return ()

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        self._state = msgspec.msgpack.decode(blob, type=State)

    def _family(self, symbol: str) -> Family:
        state = self._state
        if not self._reads_books:
            found = state.technical.get(symbol)
            if found is None:
                found = state.technical[symbol] = Technical(Resampler(self.params.every))
            return found
        tape = state.tape.get(symbol)
        if tape is None:
            tape = state.tape[symbol] = Tape(self.params.depth)
        return tape

    def _see(self, batch: MarketBatch, ctx: Context) -> Sequence[Message]:
        symbols, tf_ns = self._symbols, self.env.tf_ns
        if self._reads_books and batch.books:
            sums = turnover(batch.prints)
            for book in batch.books:
                if book.symbol in symbols and usable_book(book):
                    self._family(book.symbol).see(book, *sums.get(book.symbol, (0.0, 0.0)))
        opinions = []
        last = self._state.last
        for bar in batch.bars:
            symbol = bar.symbol
            if symbol not in symbols or bar.tf_ns != tf_ns or not usable_bar(bar):
                continue
            if bar.t_open <= last.get(symbol, -1):
                continue
            last[symbol] = bar.t_open
            family = self._family(symbol)
            lean = family.lean(bar)
            if lean is not None:
                opinions.append(self._opinion(symbol, lean, family.horizon_bars, ctx))
        return opinions

    def _opinion(self, symbol: str, lean: Lean, horizon_bars: int, ctx: Context) -> Opinion:
        p, state = self.params, self._state
        before = state.smooth.get(symbol, 0.0)
        smooth = before + (lean.direction - before) * 2.0 / (p.smooth + 1)
        state.smooth[symbol] = smooth = max(-1.0, min(1.0, smooth))
        # rounded: the last bits of tanh differ between C libraries, opinions must not
        direction = round(smooth, 4)
        opinion = Opinion(
            oid=opinion_id(self.spec.id, symbol, ctx.now),
            agent=self.spec.id,
            symbol=symbol,
            direction=direction,
            conf=round(0.5 + p.lift * abs(direction), 4),
            horizon_ms=horizon_bars * self.env.tf_ns // MS or 1,
            valid_from=ctx.now,
            valid_to=ctx.now + p.validity_bars * self.env.tf_ns,
            model_version=self._version,
            why=lean.why,
            evidence_ref=f"nth:{ctx.nth}",
            regime=lean.regime,
        )
        state.opinions[symbol] = opinion
        return opinion

    def _vote(self, ballot: Ballot, ctx: Context) -> Sequence[Message]:
        votes = []
        for p in ballot.proposals:
            leg = p.legs[0] if p.legs else None
            opinion = self._state.opinions.get(leg.symbol if leg else p.symbol)
            if leg is None or opinion is None:
                why = "no_opinion" if p.symbol not in self._symbols else "warming_up"
                votes.append(Vote(pid=p.pid, agent=self.spec.id, score=0.0, conf=0.0, abstain=True, why=why))
            elif not opinion.valid_from <= ctx.now < opinion.valid_to:
                votes.append(
                    Vote(pid=p.pid, agent=self.spec.id, score=0.0, conf=0.0, abstain=True, why="expired")
                )
            else:
                score = opinion.direction if leg.side == "buy" else -opinion.direction
                votes.append(
                    Vote(pid=p.pid, agent=self.spec.id, score=score, conf=opinion.conf, why=opinion.why)
                )
        return votes


def make(spec: AgentSpec, env: AgentEnv) -> Agent:
    """Build a signal agent; ``params["family"]`` is technical or book."""
    return SignalAgent(spec, env)
