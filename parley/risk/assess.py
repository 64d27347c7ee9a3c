"""Risk's opinion of a proposal's final numbers, as a pure function.

The risk agent answers reviews with it, and the desk itself evaluates it for
reductions when the risk agent is silent, so both say the same. It works out how much
of leg 0 every limit leaves room for; the least of these caps the quantity. What has
no room at all, or would leave a scrap, is refused.

Not here: breakers and loss streaks (they need memory: the risk agent), the gate.

Invariant: a proposal resized to ``max_qty`` and assessed again under the same view
is not capped by an exposure or cash limit again; missing data never widens a cap.
"""

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite

import msgspec
from msgspec.structs import replace

from parley.instruments import Instrument, assets_of
from parley.messages import Breach, Leg, Proposal
from parley.view import FirmView

from .correlation import apart, moving_with
from .exposure import (
    MOST,
    Exposure,
    Prices,
    all_usable,
    exposure,
    gridlike,
    open_trades,
    to_decimal,
)
from .holding_rules import held_since
from .limits import HOUR_NS, Limits
from .loads import BotUse, of_account
from .nodes import of_exposure
from .states import ACTIVE, FLATTENING, REDUCING
from .tree import Ask, path_of, tightest

ZERO = Decimal(0)
ONE = Decimal(1)


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What risk thinks: ``max_qty`` of leg 0, and the limits broken or binding, tightest first."""

    ok: bool
    max_qty: Decimal
    breached: tuple[Breach, ...]
    codes: tuple[str, ...]


class Cap(msgspec.Struct, frozen=True):
    """How much of leg 0 a limit leaves, and the asked value against its cap."""

    code: str
    qty: Decimal
    value: Decimal
    cap: Decimal


def assess(
    proposal: Proposal,
    size: float,
    view: FirmView,
    limits: Limits,
    instruments: Mapping[str, Instrument],
    marks: Mapping[str, float],
    correlations: Mapping[tuple[str, str], float],
    now: int,
) -> Assessment:
    """Judge a proposal under one view.

    Parameters
    ----------
    size
        The meta-decision's factor; only checked (0 < size <= 1), the quantities carry it already.
    marks
        Mids in each symbol's quote.
    correlations
        By sorted pair of symbols; a pair that is missing counts as fully correlated.
    now
        Market time, ns.
    """
    try:
        wrong = _unusable(proposal, size, view, instruments)
        if wrong is not None:
            return _refused((wrong,))
        if proposal.reduce_only:
            return _reduction(proposal, view, instruments)
        hard = _forbidden(proposal, view, limits, now)
        if hard:
            return _refused(tuple(hard))
        free = _without_own(view, proposal.pid)
        return _opening(proposal, free, limits, instruments, marks, correlations, now)
    except ArithmeticError as err:
        return _refused((_breach("arithmetic", type(err).__name__, "finite"),))


def _breach(limit: str, value: object, cap: object) -> Breach:
    return Breach(limit=limit, value=str(value), cap=str(cap))


def _refused(breaches: tuple[Breach, ...]) -> Assessment:
    return Assessment(ok=False, max_qty=ZERO, breached=breaches, codes=tuple(b.limit for b in breaches))


def _unusable(
    proposal: Proposal, size: float, view: FirmView, instruments: Mapping[str, Instrument]
) -> Breach | None:
    if not (isfinite(size) and 0 < size <= 1):
        return _breach("bad_size", size, 1)
    if not proposal.legs or not (isfinite(proposal.edge_bps) and isfinite(proposal.conf)):
        return _breach("not_finite", "legs_edge_conf", "finite")
    state = view.state
    amounts = [state.equity, state.peak, state.day_open]
    for p in state.positions:
        amounts += (p.qty, p.mark, p.avg_px)
    for c in state.cash:
        amounts += (c.total, c.reserved)
    for r in state.reservations:
        amounts += (r.amount, r.qty_left)
    if not all_usable(amounts) or state.equity <= 0:
        return _breach("not_finite", "state", "finite")
    for leg in proposal.legs:
        if leg.symbol not in instruments:
            return _breach("unknown_instrument", leg.symbol, "known")
        if not gridlike(leg.qty) or not (leg.limit_px is None or gridlike(leg.limit_px)):
            return _breach("not_finite", f"{leg.qty}@{leg.limit_px}", "finite")
        if leg.side not in ("buy", "sell"):
            return _breach("unknown_enum", leg.side, "buy_sell")
    return None


def _reduction(proposal: Proposal, view: FirmView, instruments: Mapping[str, Instrument]) -> Assessment:
    # only a halt stops a reduction; all it must not do is turn the position over
    if view.state.trading not in (ACTIVE, REDUCING, FLATTENING):
        return _refused((_breach("trading_state", view.state.trading, "REDUCING"),))
    first = proposal.legs[0]
    most = first.qty
    breaches: list[Breach] = []
    for leg in proposal.legs:
        position = view.position(leg.symbol)
        held = position.qty if position is not None else ZERO
        if held == 0 or leg.side != ("sell" if held > 0 else "buy"):
            return _refused((_breach("reduce_only", leg.side, "opposite_of_position"),))
        pending = sum(
            [r.qty_left for r in view.state.reservations if r.symbol == leg.symbol and r.side == leg.side],
            ZERO,
        )
        left = max(ZERO, abs(held) - pending)
        if leg.qty > left:
            breaches.append(_breach("reduce_only", leg.qty, left))
            most = min(most, instruments[first.symbol].qty(left * first.qty / leg.qty))
    if most <= 0:
        return _refused(tuple(breaches))
    return Assessment(ok=True, max_qty=most, breached=tuple(breaches), codes=tuple(b.limit for b in breaches))


def _forbidden(proposal: Proposal, view: FirmView, limits: Limits, now: int) -> list[Breach]:
    """Name what forbids any opening, whatever its size."""
    state, found = view.state, []
    if state.trading != "ACTIVE":
        found.append(_breach("trading_state", state.trading, "ACTIVE"))
    if view.day_loss > limits.max_daily_loss or state.day_open <= 0:
        found.append(_breach("max_daily_loss", view.day_loss, limits.max_daily_loss))
    if view.drawdown > limits.breakers.flatten_drawdown or state.peak <= 0:
        found.append(_breach("max_drawdown", view.drawdown, limits.breakers.flatten_drawdown))
    if state.trades_today >= limits.max_daily_trades:
        found.append(_breach("max_daily_trades", state.trades_today, limits.max_daily_trades))
    for symbol in sorted({leg.symbol for leg in proposal.legs}):
        if symbol in limits.blacklist or (limits.whitelist and symbol not in limits.whitelist):
            found.append(_breach("symbol_list", symbol, "allowed"))
        if symbol in state.blocked:
            found.append(_breach("symbol_blocked", symbol, "known_orders"))
    first = proposal.legs[0].symbol
    open_ = open_trades(view)  # fee dust is no trade, however old it is
    others = open_ - {(proposal.agent, first)}
    if len(others) >= limits.max_open_trades:
        found.append(_breach("max_open_trades", len(others) + 1, limits.max_open_trades))
    held = view.holding(proposal.agent, first)
    age = now - held.opened if held is not None and (proposal.agent, first) in open_ else 0
    if age > limits.max_position_age_h * HOUR_NS:
        found.append(_breach("max_position_age", age // HOUR_NS, limits.max_position_age_h))
    return found


def _without_own(view: FirmView, pid: bytes) -> FirmView:
    """Leave out what the proposal itself has reserved: a later slice of it is not a second one."""
    own = [r for r in view.state.reservations if r.pid == pid]
    if not own:
        return view
    freed: dict[str, Decimal] = {}
    for r in own:
        freed[r.asset] = freed.get(r.asset, ZERO) + r.amount
    state = replace(
        view.state,
        reservations=tuple(r for r in view.state.reservations if r.pid != pid),
        cash=tuple(replace(c, reserved=c.reserved - freed.get(c.asset, ZERO)) for c in view.state.cash),
    )
    return FirmView(state)


def _opening(
    proposal: Proposal,
    view: FirmView,
    limits: Limits,
    instruments: Mapping[str, Instrument],
    marks: Mapping[str, float],
    correlations: Mapping[tuple[str, str], float],
    t: int,
) -> Assessment:
    prices = Prices(view, marks)
    for leg in proposal.legs:
        position = view.position(leg.symbol)
        held = position.qty if position is not None else ZERO
        if instruments[leg.symbol].is_contract and held != 0 and (held > 0) != (leg.side == "buy"):
            return _refused((_breach("opposite_position", held, "one_way"),))
        base, quote = assets_of(leg.symbol)
        mark, unit = to_decimal(marks.get(leg.symbol)), prices.of(quote)
        if mark is None or unit is None:
            return _refused((_breach("no_price", leg.symbol, "mark"),))
        if quote == view.state.quote:
            prices.set(base, mark)
    now = exposure(view, prices)
    if now.unpriced:
        return _refused((_breach("no_price", now.unpriced, "mark"),))
    first = proposal.legs[0]
    caps: list[Cap] = []
    costs = [_cost(leg, marks, prices) for leg in proposal.legs]
    adding = sum(
        [
            cost
            for leg, cost in zip(proposal.legs, costs, strict=True)
            if leg.side == "buy" or instruments[leg.symbol].is_contract
        ],
        ZERO,
    )
    delivered: dict[str, Decimal] = {}  # coupled legs go one after the other: each may spend what came before
    for leg, cost in zip(proposal.legs, costs, strict=True):
        per_leg0 = leg.qty / first.qty
        instrument = instruments[leg.symbol]
        share = cost / adding if leg.side == "buy" or instrument.is_contract else ONE
        paid, got = (instrument.quote, instrument.base)
        if leg.side == "sell" and not instrument.is_contract:
            paid, got = got, paid
        has = max(ZERO, view.free(paid)) + delivered.get(paid, ZERO)
        own = _leg_caps(leg, cost, share, instrument, has, view, limits, prices, now, correlations)
        if limits.tree:
            unit = prices.of(instrument.quote) or ONE
            ask = Ask(
                symbol=leg.symbol, side=leg.side, qty=leg.qty, px=cost / leg.qty, mid=cost / leg.qty,
                depth=MOST, now=t, goes_short=leg.side == "sell" and instrument.is_contract, unit=unit,
                apart=_apart(instrument.base, view, limits, now, correlations),
                held_since=held_since(view, proposal.agent, leg.symbol),
            )  # fmt: skip
            own += _tree_caps(ask, proposal.agent, view, limits, prices)
        if proposal.coupled and not instrument.is_contract:
            px = leg.limit_px or to_decimal(marks.get(leg.symbol)) or ZERO
            received = leg.qty if leg.side == "buy" else leg.qty * px
            delivered[got] = delivered.get(got, ZERO) + received * (ONE - max(instrument.taker_fee, ZERO))
        caps += [Cap(cap.code, cap.qty / per_leg0, cap.value, cap.cap) for cap in own]
    if view.drawdown >= limits.breakers.reduce_drawdown:
        factor = limits.breakers.reduce_factor
        caps.append(
            Cap("drawdown_reduce", first.qty * factor, view.drawdown, limits.breakers.reduce_drawdown)
        )
    binding = sorted([c for c in caps if c.qty < first.qty], key=lambda c: (c.qty, c.code))
    breached = tuple([_breach(c.code, f"{c.value:.6f}", c.cap) for c in binding])
    room = instruments[first.symbol].qty(binding[0].qty) if binding else first.qty
    if binding and room < first.qty * limits.min_resize:
        return _refused(breached)
    for leg in proposal.legs:
        instrument = instruments[leg.symbol]
        qty = room if leg is first else instrument.qty(leg.qty * room / first.qty)
        code = instrument.tradable(qty, leg.limit_px or to_decimal(marks.get(leg.symbol)) or ZERO)
        if code:
            return _refused((*breached, _breach(code, qty, instrument.min_notional)))
    return Assessment(ok=True, max_qty=room, breached=breached, codes=tuple([b.limit for b in breached]))


def _cost(leg: Leg, marks: Mapping[str, float], prices: Prices) -> Decimal:
    # a buy can cost its limit, a sell is worth the mark; in the account's quote
    mark = to_decimal(marks.get(leg.symbol)) or ONE
    px = max(mark, leg.limit_px or mark) if leg.side == "buy" else mark
    return leg.qty * px * (prices.of(assets_of(leg.symbol)[1]) or ONE)


def _leg_caps(
    leg: Leg,
    asked: Decimal,
    share: Decimal,
    instrument: Instrument,
    has: Decimal,
    view: FirmView,
    limits: Limits,
    prices: Prices,
    now: Exposure,
    correlations: Mapping[tuple[str, str], float],
) -> list[Cap]:
    """Work out how much of this leg each limit leaves, in its own base quantity.

    ``has`` is what there is of the asset the leg pays with: free, or delivered by an earlier leg.
    """
    # legs that add share what is left in proportion, because a half-done cycle holds them all
    equity = view.state.equity
    base, quote = instrument.base, instrument.quote
    px = asked / leg.qty
    keep = ONE - limits.headroom

    def room(code: str, used: Decimal, cap: Decimal, part: Decimal = ONE) -> Cap:
        left = max(ZERO, cap * keep * equity - used)
        return Cap(code, left * part / px, (used + asked / part) / equity, cap)

    caps = [room("max_order_notional", ZERO, limits.max_order_notional)]
    if leg.side == "sell" and not instrument.is_contract:
        # spot: what is not held cannot be sold
        return [*caps, Cap("no_short", has, leg.qty, has)]
    caps.append(room("max_position", now.by_asset.get(base, ZERO), limits.max_position))
    caps.append(room("max_gross", now.gross, min(limits.max_gross, limits.max_leverage), share))
    net = now.net if leg.side == "buy" else -now.net
    caps.append(room("max_net", max(ZERO, net), limits.max_net, share))
    # the asset itself and everything that moves with it
    cluster = moving_with(base, now.by_asset, _apart(base, view, limits, now, correlations))
    caps.append(room("max_correlated", cluster, limits.max_correlated, share))
    if quote != view.state.quote:
        # what an earlier leg delivered is there for this one alone, and the fee comes off what it buys
        worth = has * (prices.of(quote) or ONE)
        return [*caps, Cap("funds", worth / px, asked, worth)]
    _, paid = instrument.tied_up(leg.side, ONE, px, reduces=False)
    cost = paid + px * max(instrument.taker_fee, ZERO)
    free = has * (prices.of(quote) or ONE)
    least = limits.min_uninvested
    left = max(ZERO, free - (least + limits.headroom * (ONE - least)) * equity)
    caps.append(Cap("min_uninvested", left * share / cost, (free - leg.qty * cost) / equity, least))
    caps.append(Cap("funds", free * share / cost, leg.qty * cost, free))
    return caps


def _tree_caps(ask: Ask, agent: str, view: FirmView, limits: Limits, prices: Prices) -> list[Cap]:
    # risk has no book and sends nothing: depth, collar and rate are the gate's, and so is what a bot came to
    tree = {name: of_exposure(name, node) for name, node in limits.tree.items()}
    load = of_account(view, prices)
    least = tightest(path_of(tree, load, view, prices, agent, ask.symbol, BotUse()), ask)
    if least is None or least.room >= ask.qty:
        return []
    room = least.room * (ONE - limits.headroom)
    return [Cap(f"{least.node} {least.limit}", room, Decimal(least.value), Decimal(least.cap))]


def _apart(
    base: str, view: FirmView, limits: Limits, now: Exposure, correlations: Mapping[tuple[str, str], float]
) -> frozenset[str]:
    return apart(base, now.by_asset, view.state.quote, correlations, limits.correlation_threshold)
