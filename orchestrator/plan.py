"""From a settled proposal to orders: the plan of a decision, its worst prices and its intents.

The execution agent's advice decides the style; it can never make a price worse than
the proposal's own limit. Without advice the proposal's own limits stay.

Invariant: what opens has a price. Where its proposal names none that is the worst one it may
trade at, of which its reservation is made. Only an exit goes as a market order, and only if
nobody advises a price: where it names one itself, only an urgent one.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from parley.execution.pricing import touch_price
from parley.execution.styles import FOLLOWING, SLICED, venue_style
from parley.ids import client_order_id, intent_id, tenant_tag
from parley.instruments import Instrument, exchange_of
from parley.messages import Book, Child, Counter, Intent, Leg, PlanLeg, Proposal
from parley.money import decimal

from .policy import DeskConfig

ZERO = Decimal(0)
BPS = Decimal(10_000)


def better(side: str, *prices: Decimal | None) -> Decimal | None:
    """Give the tightest of several limit prices for a side: the lowest for a buy, the highest for a sell."""
    known = [p for p in prices if p is not None]
    if not known:
        return None
    return min(known) if side == "buy" else max(known)


def plan_legs(
    proposal: Proposal,
    qty: Decimal,
    advice: Sequence[Counter],
    instruments: Mapping[str, Instrument],
    books: Mapping[str, Book],
) -> tuple[PlanLeg, ...]:
    """Lay out each leg for a decided quantity of leg 0; coupled legs shrink in proportion."""
    first = proposal.legs[0]
    legs = []
    for index, leg in enumerate(proposal.legs):
        instrument = instruments[leg.symbol]
        wanted = qty if index == 0 else instrument.qty(leg.qty * qty / first.qty)
        if leg.limit_px is None and not leg.reduce_only:
            leg = _priced(leg, books[leg.symbol], proposal.max_slippage_bps, instrument)
        if index == 0 and not proposal.coupled:
            legs.append(_advised(proposal, leg, wanted, advice, instrument))
        else:
            legs.append(_own(leg, wanted))
    return tuple(legs)


def _priced(leg: Leg, book: Book, slippage_bps: float, instrument: Instrument) -> Leg:
    """Price an opening that names no price: at its worst to take what is there, else at its side to rest."""
    if leg.post_only:
        return replace(leg, limit_px=touch_price(book, leg.side, instrument), tif="GTC")
    worst = worst_reach(leg.side, book, slippage_bps, instrument)
    return replace(leg, limit_px=worst, tif="FOK" if leg.tif == "FOK" else "IOC")


def _own(leg: Leg, qty: Decimal) -> PlanLeg:
    style = "market" if leg.limit_px is None else "post_only" if leg.post_only else "limit"
    tif = "IOC" if leg.limit_px is None else leg.tif
    return PlanLeg(
        symbol=leg.symbol,
        side=leg.side,
        qty=qty,
        style=style,
        px=leg.limit_px,
        tif=tif,
        reduce_only=leg.reduce_only,
    )


def _advised(
    proposal: Proposal, leg: Leg, qty: Decimal, advice: Sequence[Counter], instrument: Instrument
) -> PlanLeg:
    own = _own(leg, qty)
    advised = [c.px_limit for c in advice if c.px_limit is not None]
    if leg.limit_px != proposal.legs[0].limit_px and not advised:
        return own  # nobody named a price: the desk's own is one to take at, not to rest or to be cut at
    styled = next(iter([c for c in advice if c.style is not None]), None)
    style = styled.style or own.style if styled else own.style
    tif = (styled.tif if styled else None) or own.tif
    must_leave = leg.reduce_only and proposal.urgency == "urgent"
    px = (
        None if must_leave and style == "market" and not advised else better(leg.side, leg.limit_px, *advised)
    )
    px = None if px is None else instrument.price(px, leg.side)  # advice may be off the grid
    if style == "market":
        # a market order has no price; with a bound on it, it is an immediate-or-cancel limit
        return PlanLeg(
            symbol=leg.symbol,
            side=leg.side,
            qty=qty,
            style="market" if px is None else "limit",
            px=px,
            tif="IOC",
            reduce_only=leg.reduce_only,
        )
    if px is None:
        return own
    children = scaled(styled.split, qty, instrument) if styled and style in SLICED else ()
    if style in SLICED and (len(children) < 2 or any(instrument.tradable(c.qty, px) for c in children)):
        style, children = venue_style(style), ()  # too little to be split
    if style in FOLLOWING:
        tif = "GTC"
    return PlanLeg(
        symbol=leg.symbol,
        side=leg.side,
        qty=qty,
        style=style,
        px=px,
        tif=tif,
        reduce_only=leg.reduce_only,
        children=children,
    )


def scaled(split: Sequence[Child], qty: Decimal, instrument: Instrument) -> tuple[Child, ...]:
    """Fit a split to the decided quantity; the last child takes the rounding."""
    total = sum((c.qty for c in split), ZERO)
    if total <= 0:
        return ()
    children: list[Child] = []
    left = qty
    for child in split[:-1]:
        part = instrument.qty(child.qty * qty / total)
        if part > 0:
            children.append(Child(qty=part, delay_ms=child.delay_ms))
            left -= part
    if left > 0:
        children.append(Child(qty=left, delay_ms=split[-1].delay_ms))
    return tuple(children)


def worst_price(
    leg: PlanLeg, own: Decimal | None, book: Book, slippage_bps: float, instrument: Instrument
) -> Decimal:
    """Price a leg at the worst it may trade at, in its own quote; ``own`` is the proposal's limit.

    An order that follows the market may be quoted anew up to the proposal's limit and slippage.
    """
    if leg.px is not None and leg.style not in FOLLOWING:
        return leg.px
    reach = worst_reach(leg.side, book, slippage_bps, instrument)
    if leg.side == "buy":
        worst = reach if own is None else min(own, reach)
        return worst if leg.px is None else max(worst, leg.px)
    worst = reach if own is None else max(own, reach)
    return worst if leg.px is None else min(worst, leg.px)


def worst_reach(side: str, book: Book, slippage_bps: float, instrument: Instrument) -> Decimal:
    """Give the worst price within a slippage, of at least 50 bps, from the best of a book."""
    factor = decimal(max(slippage_bps, 50.0)) / BPS
    best = book.asks[0][0] if side == "buy" else book.bids[0][0]
    return instrument.crossing_price(decimal(best) * (1 + factor if side == "buy" else 1 - factor), side)


def order_style(plan: PlanLeg) -> str:
    """Name the venue order a plan's child is: market, limit or post_only."""
    return venue_style(plan.style)


def intent(
    config: DeskConfig,
    key: bytes,
    *,
    epoch: int,
    round_: bytes,
    pid: bytes,
    leg: int,
    child: int,
    symbol: str,
    side: str,
    qty: Decimal,
    px: Decimal | None,
    style: str,
    tif: str,
    reduce_only: bool,
    send_by: int,
    reservation_id: bytes,
    ref_px: Decimal | None,
    agent: str,
    trigger: Decimal | None,
) -> Intent:
    """Make the draft of an order; only the gate turns it into one that may be sent."""
    iid = intent_id(round_, pid, leg, child)
    return Intent(
        iid=iid,
        cid=client_order_id(key, tenant_tag(config.tenant), iid),
        round=round_,
        pid=pid,
        leg=leg,
        child=child,
        account=config.account,
        venue=exchange_of(symbol) or config.venue,
        symbol=symbol,
        side=side,
        qty=qty,
        px=None if style == "market" else px,
        style=style,
        tif="IOC" if style == "market" else tif,
        reduce_only=reduce_only,
        send_by=send_by,
        epoch=epoch,
        reservation_id=reservation_id,
        risk_hash=b"",
        ref_px=ref_px,
        agent=agent,
        trigger=trigger,
    )
