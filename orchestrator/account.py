"""The firm's account: ledger, orders and legs folded into the `StateView` agents see.

Equity, its peak and its value at the start of the UTC day are folds over the marks, in market time. The
trading state (`parley.risk.states`) only ever tightens by itself (a breaker's pause, a halt, a strain, a fall
beyond the last limit); loosening is a command, or the end of a pause, strain, kill or doubt."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from parley.instruments import Instrument, has_contracts, plain
from parley.ledger import Ledger
from parley.messages import (
    MARKET,
    Ack,
    Book,
    Breaker,
    Cash,
    Compared,
    Crossed,
    Fill,
    FundingPaid,
    Halt,
    Holding,
    Killed,
    Message,
    OrderEvent,
    StateView,
    Strain,
    Unknown,
    VenueReject,
)
from parley.money import decimal
from parley.risk.margin import collateral
from parley.risk.states import ACTIVE, BREAKER, FLATTENING, HALTED, REDUCING, moved
from parley.view import FirmView

from .kills import Kills
from .legs import Legs
from .levels import Levels
from .orders import Orders
from .policy import DeskConfig
from .pooled import is_pooled, parts_of, pooled, pooled_holdings
from .standings import DeskView, Standings
from .strains import Strains
from .together import Together

ZERO = Decimal(0)
DAY_NS = 86_400_000_000_000
KEEP_FINAL = 4096  # final orders still known, so that what the venue repeats about them has an owner
REDUCE_LEVEL, HALT_LEVEL = 3, 4  # of strain
FOREVER = 2**62  # market ns: until a person resumes


class Account:
    """Money, orders and trading state of one firm; mutable, changed by the firm only."""

    def __init__(self, config: DeskConfig, instruments: Mapping[str, Instrument]) -> None:
        self.config = config
        self.instruments = instruments
        self._has_contracts = has_contracts(instruments)
        self.ledger = Ledger(config.account, config.quote, instruments)
        self.orders = Orders(KEEP_FINAL)
        self.legs = Legs(self.orders)
        self.version = 0
        self.t = 0
        self.halt = ACTIVE
        self.pause_until = 0
        self.kills = Kills()
        self.levels = Levels()
        self._limits_version = 0
        self.strains = Strains()
        self._doubts: set[str] = set()  # streams of which something may be missing
        self._open = False
        self._peak = ZERO
        self._top = ZERO  # since a person last resumed: what the desk's own stop is measured from
        self._day = -1
        self._day_open = ZERO
        self._equity = ZERO
        self._trades_today = 0
        self._standings = Standings()  # of each owner; what `_equity` and its marks are of all of them
        self._marks: dict[str, float] = {}
        self.is_pooled = is_pooled(instruments)
        # against the account's own currency, wherever
        self._valued = frozenset(s for s, i in instruments.items() if plain(i.quote) == config.quote)
        own = [symbol for symbol, each in instruments.items() if each.quote == config.quote]
        self._together = Together(config.tf_ns, own)
        self._view: DeskView | None = None

    def open(self, assets: tuple[tuple[str, Decimal], ...], t: int) -> None:
        """Take the venue's balances as opening positions and start trading."""
        self.ledger.open(assets, t)
        self._open = True
        self.touch()

    def mark(self, books: Mapping[str, Book], t: int) -> None:
        """Mark everything held at the mids."""
        if self.pause_until and self.t < self.pause_until <= t:
            self.touch()
        self.t = max(self.t, t)
        self._together.see(books, t)
        for symbol in sorted(books):
            book = books[symbol]
            if book.bids and book.asks and (mid := book.mid) != self._marks.get(symbol):
                self._marks[symbol] = mid
                if symbol in self._valued:
                    self.ledger.mark(symbol, decimal(mid), t)
        equity = self.ledger.equity()
        standings = self._standings.marked(self.ledger.results())
        # what one of them gains another may lose
        if equity != self._equity or standings is not self._standings:
            self.touch()
        self._equity, self._standings = equity, standings
        self._turn_day(t)
        self._peak = max(self._peak, equity)
        self._top = max(self._top, equity)

    def fill(self, fill: Fill, agent: str, pid: bytes, round_: bytes) -> bool:
        """Post a fill once; False when the ledger knows it."""
        if self._day >= 0 and not self.ledger.knows(fill):
            self._turn_day(max(self.t, fill.t))  # the first of a day counts to that day
        known = not self.ledger.apply(fill, agent=agent, pid=pid, round=round_)
        if not known:
            self._trades_today += 1
            self._standings = self._standings.traded(agent)
            self.touch()
        return not known

    def cross(self, crossed: Crossed) -> None:
        """Book what one agent gave another: a trade of each of theirs, and none of the account."""
        self._turn_day(max(self.t, crossed.t))
        if self.ledger.cross(crossed):
            self._standings = self._standings.traded(crossed.seller).traded(crossed.buyer)
            self.touch()

    def _turn_day(self, t: int) -> None:
        if t // DAY_NS != self._day:
            self._day, self._day_open, self._trades_today = t // DAY_NS, self._equity, 0
            self._standings = self._standings.next_day()
            self.touch()

    def protect(self, agent: str, symbol: str, stop: Decimal | None, take: Decimal | None) -> None:
        """Remember the stop and take of an opening decision; without them what is held keeps its own."""
        if self.is_pooled:
            is_held = bool(parts_of(self.ledger, agent, symbol, self.instruments))
        else:
            instrument = self.instruments[symbol]
            held = self.ledger.holding(agent, instrument.base)
            is_held = held is not None and abs(held.qty) >= instrument.lot
        self.levels.set(agent, symbol, stop, take, is_held=is_held)

    def breaker(self, breaker: Breaker) -> None:
        """Tighten as the risk agent asks; a pause never shortens one that runs."""
        self.touch()
        self.pause_until = max(self.pause_until, breaker.until)
        if breaker.action == "flatten":
            self.halt = moved(self.halt, BREAKER)

    def fallen(self, most: Decimal, agent: str) -> Breaker | None:
        """Give the stop that is due when equity fell by more than a share of its top, else None.

        The desk says so itself, whatever became of those whose task it is: F241.
        """
        fall = self._top - self._equity
        if self.halt in (FLATTENING, HALTED) or not self._open or fall <= most * self._top:
            return None
        return Breaker(
            agent=agent,
            name="drawdown_stop",
            action="flatten",
            until=FOREVER,
            value=f"{fall / self._top:.6f}",
            cap=str(most),
        )

    def doubt(self, stream: str) -> None:
        """Open nothing until balances were compared or a person looked: the ledger may lack something."""
        self.touch()
        self._doubts.add(stream)

    def compared(self, streams: tuple[str, ...]) -> None:
        """Trust what the venue's balances were held against."""
        self.touch()
        self._doubts.difference_update(streams)

    def is_doubted(self, streams: tuple[str, ...]) -> bool:
        """Whether something of these may be missing."""
        return not self._doubts.isdisjoint(streams)

    def killed(self, killed: Killed) -> None:
        """Take over what the gateway read in the kill file."""
        self.touch()
        self.kills = Kills(killed)
        for leg in self.legs.all():
            if self.kills.ends(leg.symbol, leg.agent):
                leg.closed = True  # no further children; the gateway takes back what rests

    def command(self, halt: Halt) -> None:
        """Obey a person; a word that is not understood stops everything."""
        self.touch()
        self.halt = moved(self.halt, halt.mode)
        if halt.mode == "RESUME":
            self.pause_until = 0
            self._doubts &= {MARKET}  # no person makes books whole: that ends when all were told anew
            self._top = self._equity  # a person looked: the next fall is measured from here

    def judged_by(self, limits_version: int) -> None:
        """Say which table of limits judges from now on."""
        if limits_version != self._limits_version:
            self._limits_version = limits_version
            self.touch()

    def strain(self, strain: Strain) -> None:
        """Tighten or loosen what one source of strain asks for; nothing else is loosened by it."""
        before = self.trading
        self.strains.take(strain)
        if self.trading != before:
            self.touch()

    def is_news(self, message: Message) -> bool:
        """Whether a message from outside would change anything here; what is nothing to the account is."""
        match message:
            case Fill():
                return not self.ledger.knows(message)
            case Ack() | VenueReject() | Unknown() | OrderEvent():
                return self.orders.is_news(message)
            case FundingPaid():
                return not self.ledger.knows_funding(message.ref)
            case Compared():
                return self.is_doubted(message.streams)
            case Strain():
                return self.strains.is_news(message)
            case _:
                return True

    @property
    def trading(self) -> str:
        if not self._open:
            return HALTED  # nothing trades before the venue's balances are known
        level, halt, kill = self.strains.level, self.halt, self.kills.state
        if halt == HALTED or kill == HALTED:
            return HALTED
        if halt == FLATTENING or kill == FLATTENING:
            return FLATTENING  # leaving goes on under every strain
        if level >= HALT_LEVEL:
            return HALTED
        if halt != ACTIVE:
            return halt
        is_tight = self.t < self.pause_until or level >= REDUCE_LEVEL or bool(self._doubts)
        return REDUCING if is_tight else ACTIVE

    def holdings(self) -> tuple[Holding, ...]:
        """Sub-ledgers with the stop and take their opening decision set."""
        own = self.ledger.holdings()
        return tuple(
            [
                self.levels.shown(h)
                for h in (pooled_holdings(own, self.instruments) if self.is_pooled else own)
            ]
        )

    def engaged(self) -> frozenset[str]:
        """Symbols in which something is held or worked: whoever holds must be able to leave."""
        held = {plain(h.symbol) for h in self.ledger.holdings() if h.qty}
        return frozenset(held | {leg.symbol for leg in self.legs.all()})

    def touch(self) -> None:
        """Note that something changed: the next `view` is a new version."""
        self._view = None

    def view(self) -> tuple[DeskView, bool]:
        """Give the account as of now, and whether that is a new version nobody has seen."""
        fresh = self._view is None
        if self._view is None:
            state = self._state()
            whole = None
            if self.is_pooled:
                whole = FirmView(replace(state, holdings=self.ledger.holdings()))
                state = pooled(state, self.instruments)
            self._view = DeskView(state, self._standings, self._together, whole)
        return self._view, fresh

    def _money(self) -> Sequence[tuple[str, Decimal]]:
        """Give the balances; what contracts leave of the quote in place of the cash they are booked with."""
        balances = self.ledger.balances()
        if not self._has_contracts:
            return balances
        quote = self.config.quote
        left = collateral(self.ledger.cash(quote), self.ledger.positions(), self.instruments)
        return (*[each for each in balances if each[0] != quote], (quote, left))

    def _state(self) -> StateView:
        self.version += 1
        reservations = tuple(
            [self.legs.reservation(leg, self.instruments[leg.plan.symbol]) for leg in self.legs.all()]
        )
        reserved: dict[str, Decimal] = {}
        for r in reservations:
            reserved[r.asset] = reserved.get(r.asset, ZERO) + r.amount
        for guard in self.orders.guards():
            base = self.instruments[guard.intent.symbol].base
            reserved[base] = reserved.get(base, ZERO) + guard.left
        ledger = self.ledger
        return StateView(
            account=self.config.account,
            state_version=self.version,
            t=self.t,
            quote=self.config.quote,
            equity=self._equity,
            peak=self._peak,
            day_open=self._day_open,
            trading=self.trading,
            cash=tuple([Cash(asset=a, total=n, reserved=reserved.get(a, ZERO)) for a, n in self._money()]),
            positions=ledger.positions(),
            holdings=self.holdings(),
            reservations=reservations,
            orders=tuple([o.working() for o in self.orders.live()]),
            trades_today=self._trades_today,
            realised=ledger.realised,
            fees=ledger.fees,
            blocked=self.kills.with_symbols(self.orders.unknown_symbols()),
            limits_version=self._limits_version,
        )
