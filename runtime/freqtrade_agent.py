"""A freqtrade strategy as an agent of a desk: it hears the market, and its orders are offers at the table.

Problem: a freqtrade strategy acts on candles and prices, a desk decides in rounds. Between them stand an
offer for every order the strategy wants (`agents.outside`), and the way back: the decision, and what was
filled.

Not here: the strategy's own rules (`freqtrade_bridge.paper`), who reads what it says (`orchestrator`). It
runs in a process of its own (settled 12): news are worked off by one thread and calls are answered by
another at once, from memory.

Invariant: what the strategy holds is what was filled for it. An order that was not called for, refused, or
not filled is gone; the strategy may want it again.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import fields
from math import ceil
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from agents.outside import Made, Offer, OutsideStrategy
from freqtrade_bridge.options import Options
from freqtrade_bridge.paper import Candle, Quote, Trader, Wanted, open_trader
from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.depth import is_usable, side_levels, walk
from parley.errors import ConfigError, nearest
from parley.messages import (
    Analysed,
    Book,
    Cfp,
    Counter,
    Decision,
    Fill,
    MarketBatch,
    Message,
    OrderEvent,
    VenueReject,
)
from parley.view import FirmView
from runtime.freqtrade_orphans import WHY, Orphans
from runtime.freqtrade_works import Work, Works

MS: Final = 1_000_000
BPS: Final = 10_000.0
EXIT_LOOKS: Final = 4  # how often in a candle an exit nobody called for is looked at anew
UNDECIDED: Final = 3  # candles after which nothing more comes of an offer that was called for
_PATHS: Final = frozenset(
    {"user_data_dir", "datadir", "strategy_path", "backtest_directory", "markets", "leverage_tiers"}
)
# How far beyond the price through which an order fits its limit lies, bps: as native strategies have it.
ENTRY_BPS: Final = 5.0
EXIT_BPS: Final = 20.0
STOP_BPS: Final = 150.0


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``options`` are fields of `freqtrade_bridge.options.Options`, ``begin_ms`` the start in market time.

    Candles that open before it are read from the options' data folder, later ones are only heard.
    """

    options: dict[str, Any]
    begin_ms: int
    errors: Literal["refuse", "default"] = "refuse"


class FreqtradeAgent:
    """One freqtrade strategy at the desk; see the module."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._env = env
        self._params = params_of(spec, Params)
        self._options = _options_of(spec, self._params)
        self._trader = self._open()
        self._seat = OutsideStrategy(spec, env)
        self._works = Works()
        self._books: dict[str, Book] = {}
        self._orphans = Orphans(spec.id)
        self._faults: list[str] = []
        self._dropped: set[str] = set()  # told of the newest candle
        self._undecided: dict[bytes, Made] = {}  # given up; should a decision come after all, it is known
        self._unseen: list[tuple[MarketBatch, Context]] = []  # followed, and not yet acted on
        self._now_ms = self._params.begin_ms
        self._since: dict[str, int] = {}  # by key, when an exit was offered, market ns
        # Calls are answered by one thread while another works off news. The seat is only touched under the
        # first, which nobody holds for long; everything else under the second.
        self._at_the_seat = threading.Lock()
        self._at_work = threading.RLock()

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer a call from memory; work off anything else."""
        if isinstance(msg, Cfp | Counter):
            if self._unseen:
                self._catch_up()
            with self._at_the_seat:
                return self._seat.handle(msg, ctx)
        with self._at_work:
            self._catch_up()
            if isinstance(msg, MarketBatch):
                return self._batch(msg, ctx)
            self._hear(msg, ctx)
            return ()

    def follow(self, msg: Message, ctx: Context) -> None:
        """Take a message nobody wants an answer to: what was called for is worked out again, no more.

        Without trades and without a call, candles are only taken down.
        """
        with self._at_work:
            match msg:
                case MarketBatch() if self._is_idle:
                    if msg.bars:
                        self._pass_over()
                    self._unseen.append((msg, ctx))
                    return
                case Decision() if msg.agent != self.spec.id and self._made_in(msg.round) is None:
                    return
                case Fill() | OrderEvent() | VenueReject() if self._works.find(msg.iid) is None:
                    return
            self._catch_up()
            self.handle(msg, ctx)

    def snapshot(self) -> bytes:
        with self._at_work:
            self._catch_up()
            with self._at_the_seat:
                seat = self._seat.snapshot()
            said = {
                "trader": self._trader.save(self._now_ms), "seat": seat.hex(), "now_ms": self._now_ms,
                "books": msgspec.to_builtins(list(self._books.values())),
                "works": msgspec.json.encode(self._works).decode(), "faults": self._faults,
                "orphans": self._orphans.looks, "dropped": sorted(self._dropped),
            }  # fmt: skip
        return json.dumps(said).encode()

    def restore(self, blob: bytes) -> None:
        said = json.loads(blob)
        with self._at_work:
            if self._is_used:
                self._trader = self._open()
            self._trader.load(said["trader"])
            self._seat.restore(bytes.fromhex(said["seat"]))
            self._now_ms, self._faults, self._unseen = said["now_ms"], said["faults"], []
            self._orphans.looks, self._dropped = said["orphans"], set(said["dropped"])
            self._books = {book.symbol: book for book in msgspec.convert(said["books"], list[Book])}
            self._works = msgspec.json.decode(said["works"], type=Works)

    def _open(self) -> Trader:
        self._is_used = False
        return open_trader(
            self._options, self._params.begin_ms, self._env.symbols, self._env.tf_ns // MS,
            self._params.errors,
        )  # fmt: skip

    # what it hears

    @property
    def _is_idle(self) -> bool:
        return not (self._trader.register.open or self._works.open or self._seat.made)

    def _catch_up(self) -> None:
        """Work out what was only followed: the next word may be about it."""
        with self._at_work:
            unseen, self._unseen = self._unseen, []
            for batch, context in unseen:
                self._batch(batch, context)

    def _pass_over(self) -> None:
        for batch, context in self._unseen:
            self._now_ms, self._is_used = context.now // MS, True
            self._trader.follow(self._now_ms, self._see(batch), self._candles(batch))
        self._unseen = []

    def _batch(self, batch: MarketBatch, ctx: Context) -> tuple[Message, ...]:
        now_ms, trader = ctx.now // MS, self._trader
        self._now_ms, self._is_used = now_ms, True
        quotes = self._see(batch)
        for work in self._works.lost(ctx.view):
            self._end(work)
        for key in self._take_back({bar.symbol for bar in batch.bars}, ctx):
            trader.done(key, now_ms)
        faults = (*self._faults, *trader.see(now_ms, quotes, self._candles(batch), self._held(ctx.view)))
        self._faults = []
        told = set() if batch.bars else self._dropped
        offers, self._dropped = self._offers(ctx)
        dropped = tuple(sorted(self._dropped - told))
        self._dropped |= told
        with self._at_the_seat:
            for offer in offers:
                self._seat.offer(offer)
                self._since[offer.key] = ctx.now
            ready = self._seat.ready(ctx.now)
        if not (ready or faults or dropped):
            return ()
        return (Analysed(agent=self.spec.id, ready=ready, faults=faults, dropped=dropped),)

    def _hear(self, msg: Message, ctx: Context) -> None:
        match msg:
            case Decision():
                self._decided(msg, ctx)
            case Fill():
                work = self._works.find(msg.iid)
                if work is not None:
                    self._trader.filled(
                        work.key, f"{msg.venue}/{msg.trade_id}", float(msg.qty), float(msg.px),
                        float(msg.fee), msg.fee_asset, msg.t // MS,
                    )  # fmt: skip
            case OrderEvent() | VenueReject():
                work = self._works.find(msg.iid)
            case _:
                return
        if not isinstance(msg, Decision) and work is not None and self._works.hear(work, msg):
            self._end(work)

    def _see(self, batch: MarketBatch) -> dict[str, Quote]:
        self._books.update({book.symbol: book for book in batch.books})
        return {book.symbol: Quote(book.bids, book.asks) for book in batch.books}

    def _held(self, view: FirmView) -> dict[str, float]:
        """What the desk's books hold for the strategy's trades, as far as it was told."""
        if not view.version:
            return {}
        found = {}
        for trade in self._trader.register.open:
            holding = view.holding(self.spec.id, trade.pair)
            base = self._env.instruments[trade.pair].base
            found[base] = 0.0 if holding is None else float(holding.qty)
        return found

    def _candles(self, batch: MarketBatch) -> list[Candle]:
        return [
            Candle(bar.symbol, bar.t_open // MS, bar.open, bar.high, bar.low, bar.close, bar.volume)
            for bar in batch.bars
            if bar.tf_ns == self._env.tf_ns
        ]

    # what becomes of its offers

    def _made_in(self, round_: bytes) -> Made | None:
        return next((made for made in self._seat.made if made.round == round_), None)

    def _take_back(self, closed: set[str], ctx: Context) -> list[str]:
        """Withdraw what nobody called for: when its candle is over, exits after a part of one.

        Not at every look: the call for an exit may be on its way while the next price is looked at.
        """
        patience = self._env.tf_ns // EXIT_LOOKS
        with self._at_the_seat:
            old = [
                offer
                for offer in self._seat.offers
                if offer.symbol in closed
                or (offer.leaves and ctx.now - self._since.get(offer.key, 0) >= patience)
            ]
            offered = {offer.key for offer in self._seat.offers}
            self._since = {key: t for key, t in self._since.items() if key in offered}
            for offer in old:
                self._seat.withdraw(offer.symbol)
            undecided = [made for made in self._seat.made if ctx.now - made.t > UNDECIDED * self._env.tf_ns]
            for made in undecided:
                self._seat.forget(made.pid)
                self._undecided[made.round] = made
        return [offer.key for offer in old] + [made.offer.key for made in undecided]

    def _decided(self, decision: Decision, ctx: Context) -> None:
        me, version = self.spec.id, ctx.view.version
        with self._at_the_seat:
            made = self._made_in(decision.round)
            if made is not None:
                self._seat.forget(made.pid)
        made = made or self._undecided.pop(decision.round, None)
        is_mine = decision.action == "accept" and decision.agent == me
        if made is not None:
            if is_mine and decision.pid == made.pid:
                self._works.begin(made.offer.key, decision, version)
            else:
                self._trader.done(made.offer.key, self._now_ms)
        elif is_mine and decision.plan:
            self._left(decision, version)

    def _left(self, decision: Decision, version: int) -> None:
        """Take that the desk itself sells what the strategy holds, when it leaves everything."""
        plan = decision.plan[0]
        if plan.side == "sell":
            with self._at_the_seat:
                old = [o.key for o in self._seat.offers if o.symbol == plan.symbol and o.leaves]
                if old:
                    self._seat.withdraw(plan.symbol)
            for key in old:
                self._trader.done(key, self._now_ms)
            # "" without a trade: what nobody watches is sold
            key = self._trader.leave_for_another(plan.symbol, float(plan.qty), "desk", self._now_ms)
            self._works.begin(key, decision, version)
            return
        self._faults.append(f"{plan.symbol} decision: a {plan.side} was decided that was never wanted")

    def _end(self, work: Work) -> None:
        self._works.end(work)
        self._trader.done(work.key, self._now_ms)

    # what it wants

    def _offers(self, ctx: Context) -> tuple[list[Offer], set[str]]:
        """Make offers of what freqtrade would have ordered now; what cannot be ordered here is given up."""
        with self._at_the_seat:
            waiting = [*self._seat.offers, *(made.offer for made in self._seat.made)]
        known = {offer.key for offer in waiting} | {work.key for work in self._works.open}
        busy = {offer.symbol for offer in waiting} | {work.symbol for work in self._works.open}
        found, dropped = [], set()
        for wanted in (*self._trader.orders(), *self._unwatched(ctx, busy)):
            if wanted.id not in known:
                offer = self._offer_of(wanted)
                if isinstance(offer, Offer):
                    found.append(offer)
                else:
                    dropped.add(f"{wanted.pair} {wanted.side} {wanted.amount:g}: {offer}")
                    self._trader.done(wanted.id, self._now_ms)
        return found, dropped

    def _unwatched(self, ctx: Context, busy: set[str]) -> list[Wanted]:
        """Sell what the desk holds for the strategy and no trade of it stands for."""
        known = busy | {trade.pair for trade in self._trader.register.open}
        prices = {symbol: book.bids[0][0] for symbol, book in self._books.items() if is_usable(book)}
        orphans = self._orphans.look(ctx.view, known, self._env.instruments, prices)
        return [
            Wanted(
                id=f"{WHY}/{symbol}/{self._now_ms}", pair=symbol, side="sell", amount=float(qty),
                rate=prices[symbol], why=WHY, leaves=True, is_own=False, is_stop=True, t_candle_ms=0,
            )
            for symbol, qty in orphans.items()
        ]  # fmt: skip

    def _offer_of(self, wanted: Wanted) -> Offer | str:
        """Make an offer, or say why nobody could place it."""
        instrument, book = self._env.instruments.get(wanted.pair), self._books.get(wanted.pair)
        if instrument is None or book is None or not is_usable(book):
            return "there is no usable book"
        qty, buys = instrument.qty(wanted.amount), wanted.side == "buy"
        levels = side_levels(book, wanted.side)
        best = levels[0][0]
        if wanted.is_own:
            px = instrument.price(wanted.rate, wanted.side)
        else:
            slack = (STOP_BPS if wanted.is_stop else EXIT_BPS if wanted.leaves else ENTRY_BPS) / BPS
            through = walk(levels, float(qty)).worst_px or best
            px = instrument.crossing_price(through * (1 + slack if buys else 1 - slack), wanted.side)
        if code := instrument.tradable(qty, px):
            return f"the venue takes no such order: {code}"
        beyond = (float(px) / best - 1) * BPS * (1 if buys else -1)
        return Offer(
            symbol=wanted.pair, side=wanted.side, qty=qty, px=px, why=wanted.why, leaves=wanted.leaves,
            slippage_bps=max(0.0, ceil(beyond * 100) / 100), horizon_ms=self._trader.horizon_ms,
            t_candle=max(0, wanted.t_candle_ms) * MS, key=wanted.id,
        )  # fmt: skip


def _options_of(spec: AgentSpec, params: Params) -> Options:
    known = {field.name: field for field in fields(Options)}
    for name in params.options:
        if name not in known or name in ("given",):
            raise ConfigError(f"agent {spec.id!r} has no option {name!r}: {nearest(name, list(known))}")
    try:
        return Options(**{name: _value(name, value) for name, value in params.options.items()})
    except TypeError as error:
        raise ConfigError(f"agent {spec.id!r}: options: {error}") from error


def _value(name: str, value: Any) -> Any:
    if name in _PATHS and value is not None:
        return Path(value)
    if name == "config":
        return tuple(Path(each) for each in value)
    return tuple(value) if isinstance(value, list) else value


def make(spec: AgentSpec, env: AgentEnv) -> FreqtradeAgent:
    """Build the agent: load, start and warm up its strategy.

    Raises
    ------
    UserError
        When the strategy cannot be loaded, or does what is not done in paper.
    """
    return FreqtradeAgent(spec, env)
