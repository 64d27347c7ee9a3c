"""The capital agent: how much of leg 0 the money allows, and every bound it looked at.

One review of stage capital gets one `Allocation`. All bounds are worked out and
listed; the least one binds. Reductions get the whole quantity held, coupled cycles
what the free assets of their legs carry. The formulas are `parley.sizing`.

Not here: exposure limits and breakers (risk), booking a reservation (the desk).

Invariant: ``max_qty`` is the least of the listed bounds, on the lot grid, and zero
whenever a number it rests on is missing.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite

import msgspec

from parley import sizing
from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.errors import ConfigError
from parley.instruments import Instrument, symbol_of
from parley.messages import Allocation, Book, Bound, Leg, MarketBatch, Message, Proposal, Review, Stale
from parley.money import decimal
from parley.ramp import Climb
from parley.risk.correlation import Correlations, CorrelationState
from parley.risk.exposure import Prices, all_usable, exposure, gridlike, open_trades, to_decimal
from parley.view import FirmView

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """How capital is shared out. Decimals are fractions of equity unless said otherwise.

    ``stake`` is quote money per trade; None means unlimited, all money divided by
    ``max_open_trades`` (F252); a wish up to ``stake_slack`` above it is not cut.
    ``budgets`` and ``default_budget`` are the virtual capital of an agent (F257).
    ``risk_per_trade`` bounds the loss at the stop, ``atr_risk`` the loss over
    ``atr_multiple`` true ranges of the proposal's horizon, ``target_sigma`` is the
    daily standard deviation at which stakes begin to shrink, ``correlated_free`` the
    correlated heap up to which they do not. ``kelly_floor`` is staked even where
    Kelly says nothing, because confidences are not calibrated from the start; 0
    makes Kelly a veto. ``book_share`` is of the displayed depth. A bound is switched
    off by 0 (``kelly``, ``risk_per_trade``, ``atr_risk``, ``target_sigma``,
    ``book_share``). ``ramp_start`` is the share of its stakes a desk begins with; over
    ``ramp_days`` of market time it climbs to all of them, and rests while the account
    holds less than it began with (F271); 0 days: all from the start.
    """

    stake: Decimal | None = None
    max_open_trades: int = 8
    stake_slack: Decimal = Decimal("0.01")
    tradable: Decimal = ONE
    keep_free: Decimal = Decimal("0.25")
    default_budget: Decimal = Decimal("0.50")
    budgets: dict[str, Decimal] = {}
    risk_per_trade: Decimal = Decimal("0.01")
    kelly: float = 0.5
    kelly_floor: Decimal = Decimal("0.08")
    atr_risk: Decimal = Decimal("0.02")
    atr_multiple: float = 3.0
    target_sigma: float = 0.10
    correlated_free: float = 0.25
    last_stake_min: Decimal = Decimal("0.5")
    min_stake_reserve: Decimal = Decimal("0.05")
    book_share: float = 1.0
    book_levels: int = 10
    slippage_bps: Decimal = Decimal(50)
    decay: float = 0.985
    warm_bars: int = 30
    ramp_start: Decimal = Decimal("0.15")
    ramp_days: float = 0.0

    def __post_init__(self) -> None:
        if not (self.ramp_start.is_finite() and ZERO < self.ramp_start <= ONE):
            raise ConfigError(f"ramp_start must be above 0 and at most 1, was {self.ramp_start}")
        if not (isfinite(self.ramp_days) and self.ramp_days >= 0):
            raise ConfigError(f"ramp_days must be at least 0, was {self.ramp_days}")


class Memory(msgspec.Struct, kw_only=True):
    """All that the agent remembers; its snapshot is this struct."""

    marks: dict[str, float] = {}
    atr: dict[str, float] = {}
    books: dict[str, Book] = {}
    correlation: CorrelationState = msgspec.field(default_factory=CorrelationState)
    climb: Climb = msgspec.field(default_factory=Climb)


class Bounds:
    """Collects the bounds of one review as (quantity, code, agent); the least decides."""

    __slots__ = ("agent", "found")

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.found: list[tuple[Decimal, str, str]] = []

    def add(self, code: str, qty: Decimal, agent: str = "") -> None:
        self.found.append((qty if qty > 0 else ZERO, code, agent or self.agent))

    def scale(self, size: float, instrument: Instrument) -> None:
        """Apply the meta-decision's factor to what the bounds allow, not to the wish; then the lot to all."""
        if size != 1.0:
            self.add("meta_size", sizing.scaled(self.allowed[0], size))
        lot, most = instrument.lot, instrument.max_qty
        self.found = [
            ((qty if qty < most else most) // lot * lot, code, who) for qty, code, who in self.found
        ]

    @property
    def allowed(self) -> tuple[Decimal, str, str]:
        """The least bound but for the proposer's own wish."""
        return min([b for b in self.found if b[1] != "wanted"])

    @property
    def least(self) -> tuple[Decimal, str, str]:
        return min(self.found)


class CapitalAgent:
    """Folds marks, ranges, books and correlations; one allocation per review."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._env = env
        self._params = params_of(spec, Params)
        self._quoted = "/" + env.quote
        self._memory = Memory()
        self._correlations = self._fold()

    def _fold(self) -> Correlations:
        return Correlations(self._params.decay, self._params.warm_bars, self._memory.correlation)

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer reviews with allocations; learn from market batches."""
        match msg:
            case MarketBatch():
                self._learn(msg)
                if self._params.ramp_days:
                    self._memory.climb.see(ctx.now, ctx.view.state.equity, 2 * self._env.tf_ns)
            case Review(stage="capital") if msg.state_version != ctx.view.version:
                return (Stale(agent=self.spec.id, have=ctx.view.version),)
            case Review(stage="capital"):
                return (self._allocate(msg, ctx.view),)
        return ()

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._memory)

    def restore(self, blob: bytes) -> None:
        self._memory = msgspec.msgpack.decode(blob, type=Memory)
        self._correlations = self._fold()

    # market

    def _learn(self, batch: MarketBatch) -> None:
        memory, keep = self._memory, self._params.decay
        closes: dict[str, float] = {}
        for bar in batch.bars:
            before = memory.marks.get(bar.symbol, bar.open)
            true_range = max(bar.high, before) - min(bar.low, before)
            if isfinite(true_range) and true_range >= 0:
                was = memory.atr.get(bar.symbol)
                memory.atr[bar.symbol] = true_range if was is None else keep * was + (1 - keep) * true_range
            memory.marks[bar.symbol] = bar.close
            if bar.symbol.endswith(self._quoted):
                closes[bar.symbol] = bar.close
        for book in batch.books:
            if book.bids and book.asks:
                memory.books[book.symbol] = book
        if closes:
            self._correlations.see(closes)

    def _price(self, leg: Leg, slippage_bps: float) -> Decimal | None:
        """Give the worst price a leg is to be paid at, in its own quote."""
        if leg.limit_px is not None:
            return leg.limit_px if gridlike(leg.limit_px) else None
        book = self._memory.books.get(leg.symbol)
        buys = leg.side == "buy"
        top = (book.asks if buys else book.bids)[0][0] if book else self._memory.marks.get(leg.symbol)
        px = to_decimal(top)
        if px is None or not isfinite(slippage_bps):
            return None
        slip = max(self._params.slippage_bps, decimal(slippage_bps)) / BPS
        return px * (ONE + slip if buys else ONE - min(slip, Decimal("0.5")))

    # allocation

    def _allocate(self, review: Review, view: FirmView) -> Allocation:
        proposal = review.proposal
        try:
            code = _unusable(review, view, self._env)
            if code:
                return self._answer(review, Bounds(self.spec.id), ZERO, code)
            if proposal.reduce_only:
                return self._reduction(review, view)
            if proposal.coupled or len(proposal.legs) > 1:
                return self._cycle(review, view)
            return self._opening(review, view)
        except ArithmeticError as err:
            return self._answer(
                review, Bounds(self.spec.id), ZERO, f"arithmetic_{type(err).__name__}".lower()
            )

    def _answer(self, review: Review, bounds: Bounds, px: Decimal, refused: str = "") -> Allocation:
        """Put the least bound on the grid; a refusal is one more bound, of zero."""
        if refused:
            bounds.add(refused, ZERO)
        found = sorted(bounds.found)
        most, code, _ = found[0]
        return Allocation(
            pid=review.pid, agent=self.spec.id, max_qty=most, margin_reserved=most * px,
            reservation_id=review.pid, version=review.state_version, code=refused or code,
            bounds=tuple([Bound(agent=who, code=rule, qty_max=qty) for qty, rule, who in found]),
        )  # fmt: skip

    def _reduction(self, review: Review, view: FirmView) -> Allocation:
        leg, agent = review.proposal.legs[0], review.proposal.agent
        holding = view.holding(agent, leg.symbol)
        bounds = Bounds(self.spec.id)
        if holding is None or holding.qty == 0 or leg.side != ("sell" if holding.qty > 0 else "buy"):
            return self._answer(review, bounds, ZERO, "nothing_held")
        pending = sum((r.qty_left for r in view.reserved(agent, leg.symbol) if r.side == leg.side), ZERO)
        bounds.add("held", self._env.instruments[leg.symbol].qty(abs(holding.qty) - pending))
        return self._answer(review, bounds, ZERO)

    def _opening(self, review: Review, view: FirmView) -> Allocation:
        leg = review.proposal.legs[0]
        instrument = self._env.instruments[leg.symbol]
        bounds = Bounds(self.spec.id)
        bounds.add("wanted", leg.qty, review.proposal.agent)
        px = self._price(leg, review.proposal.max_slippage_bps)
        prices = Prices(view, self._memory.marks)
        unit = prices.of(instrument.quote)
        if px is None or unit is None or px <= 0:
            return self._answer(review, bounds, ZERO, "no_price")
        if leg.side == "sell" and not instrument.is_contract:
            bounds.add("free_base", view.free(instrument.base))
        stake = self._cash_bounds(bounds, review.proposal, instrument, view, px * unit)
        if stake < 0:
            return self._answer(review, bounds, ZERO, "no_open_trade_left")
        # a stake is a target and counts at the market, cash has to be there at the worst price
        fair = to_decimal(self._memory.marks.get(leg.symbol)) or px
        whole = stake / (fair * unit)
        bounds.add("stake", whole * (ONE + self._params.stake_slack))
        self._ramp(bounds, whole)
        self._risk_bounds(bounds, review.proposal, view, px, fair, unit)
        self._market_bounds(bounds, review.proposal, instrument, view, prices, unit, whole)
        return self._finish(review, bounds, instrument, px, unit, stake)

    def _finish(
        self,
        review: Review,
        bounds: Bounds,
        instrument: Instrument,
        px: Decimal,
        unit: Decimal,
        stake: Decimal,
    ) -> Allocation:
        money, code, _ = bounds.allowed
        cost = unit * _outlay(instrument, px)
        short = code in ("free_quote", "uninvested", "budget") and money < review.proposal.legs[0].qty
        if short and not sizing.amended_stake(stake, money * px * unit, self._params.last_stake_min):
            return self._answer(review, bounds, cost, "below_last_stake")
        bounds.scale(review.size, instrument)
        most, _, _ = bounds.least
        stop = review.proposal.stop
        distance = abs(px - stop) / px if stop is not None and gridlike(stop) else ZERO
        floor = max(instrument.min_notional, instrument.min_qty * px)
        if most * px < sizing.min_stake(floor, self._params.min_stake_reserve, distance):
            return self._answer(review, bounds, cost, "below_exchange_min")
        return self._answer(review, bounds, cost)

    def _cash_bounds(
        self, bounds: Bounds, proposal: Proposal, instrument: Instrument, view: FirmView, px: Decimal
    ) -> Decimal:
        """Add what money, slots and the agent's budget allow; give the stake, -1 when no slot is left."""
        params, state = self._params, view.state
        free = max(ZERO, view.free(state.quote))
        trade = (proposal.agent, proposal.legs[0].symbol)
        others = open_trades(view) - {trade}
        if len(others) >= params.max_open_trades:
            return Decimal(-1)
        tied_up = max(ZERO, state.equity - free)
        stake = sizing.unlimited_stake(
            free * params.tradable, tied_up * params.tradable, params.max_open_trades
        )
        if params.stake is not None:
            stake = params.stake
        bounds.add("exchange_max", instrument.max_qty)
        # where nothing is bought with the account's quote, its free money does not bind
        paid = _outlay(instrument, px)
        pays = proposal.legs[0].side == "buy" or instrument.is_contract
        if pays and instrument.quote == state.quote:
            bounds.add("free_quote", free / paid)
            bounds.add("uninvested", (free - params.keep_free * state.equity) / paid)
        elif pays:
            bounds.add("free_quote", max(ZERO, view.free(instrument.quote)) / paid)
        budget = params.budgets.get(proposal.agent, params.default_budget) * state.equity
        bounds.add("budget", (budget - _used(proposal.agent, view)) / px)
        return stake

    def _ramp(self, bounds: Bounds, whole: Decimal) -> None:
        share = self._memory.climb.share(self._params.ramp_start, self._params.ramp_days)
        if share < ONE:
            bounds.add("ramp", whole * share)

    def _risk_bounds(
        self, bounds: Bounds, proposal: Proposal, view: FirmView, px: Decimal, fair: Decimal, unit: Decimal
    ) -> None:
        """Add what the distance to the stop and Kelly allow."""
        params, equity = self._params, view.state.equity
        buys = proposal.legs[0].side == "buy"
        stop = proposal.stop if proposal.stop is not None and gridlike(proposal.stop) else None
        if stop is not None and params.risk_per_trade > 0:
            # a stop on the wrong side of the entry protects nothing
            sound = stop < px if buys else stop > px
            bounds.add(
                "risk_per_trade",
                sizing.risk_quantity(equity, params.risk_per_trade, px * unit, stop * unit)
                if sound
                else ZERO,
            )
        if stop is not None and proposal.take is not None and params.kelly > 0:
            payoff = sizing.payoff_ratio(fair, stop, proposal.take)
            share = sizing.scaled(equity, sizing.kelly_fraction(proposal.conf, payoff, params.kelly))
            bounds.add("kelly", max(share, params.kelly_floor * equity) / (fair * unit))

    def _market_bounds(
        self,
        bounds: Bounds,
        proposal: Proposal,
        instrument: Instrument,
        view: FirmView,
        prices: Prices,
        unit: Decimal,
        whole: Decimal,
    ) -> None:
        """Add what volatility, correlation and the book leave of a ``whole`` stake in base quantity.

        A volatility not known yet shrinks nothing; an unknown correlation counts as 1.
        """
        params, symbol, equity = self._params, instrument.symbol, view.state.equity
        atr = self._memory.atr.get(symbol)
        if atr and params.atr_risk > 0:
            bars = max(1.0, proposal.horizon_ms * 1e6 / self._env.tf_ns)
            qty = sizing.atr_quantity(equity, params.atr_risk, atr * bars**0.5, params.atr_multiple)
            bounds.add("atr", qty / unit)
        sigma = self._correlations.sigma(symbol)
        if sigma is not None and params.target_sigma > 0:
            day = sizing.daily_sigma(sigma, self._env.tf_ns)
            factor = sizing.volatility_factor(day, params.target_sigma)
            bounds.add("volatility", sizing.scaled(whole, factor) if factor < 1 else instrument.max_qty)
        held = exposure(view, prices)
        if held.unpriced:
            bounds.add("no_price", ZERO)
            return
        own = symbol_of(instrument.base, view.state.quote)
        heap = []
        for asset in sorted(held.by_asset):
            rho = self._correlations.of(own, symbol_of(asset, view.state.quote))
            heap.append((1.0 if rho is None else rho, float(held.by_asset[asset] / equity)))
        factor = sizing.correlation_factor(heap, params.correlated_free)
        bounds.add("correlated", sizing.scaled(whole, factor) if factor < 1 else instrument.max_qty)
        book = self._memory.books.get(symbol)
        if book is not None and params.book_share > 0:
            levels = (book.asks if proposal.legs[0].side == "buy" else book.bids)[: params.book_levels]
            depth = to_decimal(sum([qty for _, qty in levels]) * params.book_share)
            bounds.add("book", depth if depth is not None else ZERO)

    def _cycle(self, review: Review, view: FirmView) -> Allocation:
        """Bound a coupled cycle, with leg 0 as the scale.

        A leg is paid with what the ones before it delivered after their fees; only what it needs
        beyond that has to be free.
        """
        proposal, bounds = review.proposal, Bounds(self.spec.id)
        first = proposal.legs[0]
        instrument = self._env.instruments[first.symbol]
        bounds.add("wanted", first.qty, proposal.agent)
        prices = Prices(view, self._memory.marks)
        spends: dict[str, Decimal] = {}
        delivered: dict[str, Decimal] = {}
        lowest = None
        for leg in proposal.legs:
            its = self._env.instruments[leg.symbol]
            px = self._price(leg, proposal.max_slippage_bps)
            if px is None or px <= 0:
                return self._answer(review, bounds, ZERO, "no_price")
            buys = leg.side == "buy"
            paid, got = (its.quote, its.base) if buys else (its.base, its.quote)
            need = leg.qty * px if buys else leg.qty
            covered = min(need, delivered.get(paid, ZERO))
            delivered[paid] = delivered.get(paid, ZERO) - covered
            if need > covered:
                spends[paid] = spends.get(paid, ZERO) + (need - covered) * (ONE + max(its.taker_fee, ZERO))
            received = (leg.qty if buys else leg.qty * px) * (ONE - max(its.taker_fee, ZERO))
            delivered[got] = delivered.get(got, ZERO) + received
            # the smallest scale at which the venue still takes this leg
            least = max(its.min_qty, its.min_notional * (ONE + self._params.min_stake_reserve) / px)
            scale = least / leg.qty
            lowest = scale if lowest is None else max(lowest, scale)
        for asset in sorted(spends):
            bounds.add(f"free_{asset}", max(ZERO, view.free(asset)) * first.qty / spends[asset])
        unit = prices.of(instrument.quote)
        px0 = self._price(first, proposal.max_slippage_bps)
        if unit is None or px0 is None:
            return self._answer(review, bounds, ZERO, "no_price")
        budget = self._params.budgets.get(proposal.agent, self._params.default_budget) * view.state.equity
        stake = self._params.stake
        if stake is None:
            stake = view.state.equity * self._params.tradable / self._params.max_open_trades
        bounds.add("stake", stake / (px0 * unit))
        self._ramp(bounds, stake / (px0 * unit))
        bounds.add("budget", (budget - _used(proposal.agent, view)) / (px0 * unit))
        bounds.scale(review.size, instrument)
        if lowest is not None and bounds.least[0] < lowest * first.qty:
            return self._answer(review, bounds, px0 * unit, "below_exchange_min")
        return self._answer(review, bounds, px0 * unit)


def _outlay(instrument: Instrument, px: Decimal) -> Decimal:
    """Money that opening one unit takes at a price, with its fee."""
    return px * ((instrument.margin or ONE) + max(instrument.taker_fee, ZERO))


def _used(agent: str, view: FirmView) -> Decimal:
    """Quote money an agent has in positions and in decisions being worked."""
    used = ZERO
    for h in view.state.holdings:
        if h.agent == agent:
            position = view.position(h.symbol)
            used += abs(h.qty) * (position.mark if position is not None else h.avg_px)
    for r in view.state.reservations:
        if r.agent == agent and r.asset == view.state.quote:
            used += r.amount
    return used


def _unusable(review: Review, view: FirmView, env: AgentEnv) -> str:
    p, state = review.proposal, view.state
    if not (isfinite(review.size) and 0 <= review.size <= 1) or not p.legs:
        return "bad_size"
    if not (isfinite(p.conf) and isfinite(p.edge_bps) and isfinite(p.max_slippage_bps)):
        return "not_finite"
    for leg in p.legs:
        if leg.symbol not in env.instruments:
            return "unknown_instrument"
    for leg in p.legs:
        if not gridlike(leg.qty) or leg.side not in ("buy", "sell"):
            return "not_finite"
    numbers = [state.equity]
    for c in state.cash:
        numbers += (c.total, c.reserved)
    for q in state.positions:
        numbers += (q.qty, q.mark, q.avg_px)
    for r in state.reservations:
        numbers += (r.amount, r.qty_left)
    for h in state.holdings:
        numbers.append(h.qty)
    if not all_usable(numbers):
        return "not_finite"
    return "" if state.equity > 0 or p.reduce_only else "no_equity"


def make(spec: AgentSpec, env: AgentEnv) -> CapitalAgent:
    """Make the capital agent of a desk.

    Raises
    ------
    ConfigError
        On an unknown parameter or one of the wrong type.
    """
    return CapitalAgent(spec, env)


__all__ = ["CapitalAgent", "Params", "make"]
