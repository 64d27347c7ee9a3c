"""Which answers the desk understands: who may say what, and whether the numbers can be traded.

An answer that fails here never reaches scoring; its agent gets `NotUnderstood` and
a strike. Each check gives a code, or the empty string when all is well.
"""

from decimal import Decimal
from math import isfinite

from parley.agent import AgentEnv
from parley.execution.styles import STYLES
from parley.messages import (
    Allocation,
    Analysed,
    AnalysisReady,
    Book,
    Breaker,
    CancelRequest,
    Counter,
    CounterReply,
    Message,
    Opinion,
    OrderRequest,
    Proposal,
    Protect,
    Ranking,
    Refuse,
    ScheduleDone,
    Verdict,
    Vote,
    WeightUpdate,
)
from parley.money import decimal
from parley.view import FirmView

SIDES = ("buy", "sell")
TIFS = ("GTC", "IOC", "FOK")
MAX_NOTE = 256
MAX_EDGE_BPS = 10_000.0
MAX_DELAY_MS = 86_400_000
MAX_CHILDREN = 256
ZERO = Decimal(0)
COLLAR = Decimal("0.10")  # a limit further than this from the mid is a typing error, not a price

MAY_SAY: dict[str, frozenset[type]] = {
    "strategy": frozenset({Proposal, Refuse, CounterReply, AnalysisReady, Analysed, Protect}),
    "signal": frozenset({Opinion, Vote}),
    "capital": frozenset({Allocation}),
    "risk": frozenset({Verdict, Breaker}),
    "execution": frozenset({Counter, OrderRequest, CancelRequest, ScheduleDone}),
    "arbitrage": frozenset({AnalysisReady, Proposal, Refuse, Counter, CounterReply}),
    "meta": frozenset({Ranking, WeightUpdate}),
}


def understood(agent: str, role: str, message: Message) -> str:
    """Check that this role may say this, in its own name."""
    if type(message) not in MAY_SAY[role]:
        return "not_its_role"
    return "" if getattr(message, "agent", agent) == agent else "foreign_name"


def number(value: Decimal | None) -> bool:
    """Whether a price or quantity is absent, or above zero and of a size that can be calculated with."""
    return value is None or (value.is_finite() and value > ZERO and -18 <= value.adjusted() <= 18)


def _amount(value: Decimal) -> bool:
    return value.is_zero() or number(value)


def proposal(p: Proposal, env: AgentEnv, view: FirmView, books: dict[str, Book]) -> str:
    """Check a proposal's schema, grid, price collar and, for reductions, that something is held."""
    if len(p.pid) != 16:
        return "bad_pid"
    if not p.legs or len(p.legs) > 8:
        return "bad_leg_count"
    if not (isfinite(p.edge_bps) and isfinite(p.conf) and isfinite(p.max_slippage_bps)):
        return "not_finite"
    if not 0.0 <= p.conf <= 1.0 or not 0.0 <= p.max_slippage_bps <= 1e4 or abs(p.edge_bps) > MAX_EDGE_BPS:
        return "out_of_range"
    if p.horizon_ms <= 0 or p.ttl_ns <= 0:
        return "out_of_range"
    if not (number(p.stop) and number(p.take)) or len(p.why) > MAX_NOTE:
        return "bad_field"
    if len(p.legs) > 1 and not p.coupled:
        return "uncoupled_legs"
    for leg in p.legs:
        code = _leg(leg.symbol, leg.side, leg.qty, leg.limit_px, leg.tif, env, books)
        if code:
            return code
        if leg.reduce_only:
            code = _reduces(p.agent, leg.symbol, leg.side, leg.qty, view)
            if code:
                return code
    return ""


def _leg(
    symbol: str, side: str, qty: Decimal, px: Decimal | None, tif: str, env: AgentEnv, books: dict[str, Book]
) -> str:
    instrument = env.instruments.get(symbol)
    if instrument is None:
        return "unknown_symbol"
    if side not in SIDES or tif not in TIFS:
        return "unknown_enum"
    if not (number(qty) and number(px)):
        return "bad_number"
    if instrument.qty(qty) != qty or (px is not None and instrument.price(px, "near") != px):
        return "off_grid"
    book = books.get(symbol)
    if book is None or not book.bids or not book.asks:
        return "no_book"
    mid = decimal(book.mid)
    if px is not None and abs(px - mid) > COLLAR * mid:
        return "outside_collar"
    return ""


def _reduces(agent: str, symbol: str, side: str, qty: Decimal, view: FirmView) -> str:
    held = view.holding(agent, symbol)
    if held is None or held.qty == 0:
        return "nothing_to_reduce"
    # trap T1: a long is left by selling, a short by buying back
    if side != ("sell" if held.qty > 0 else "buy"):
        return "wrong_exit_side"
    return "" if qty <= abs(held.qty) else "more_than_held"


def revision(revised: Proposal, bid: Proposal, qty: Decimal) -> str:
    """Check that a revised proposal is the same trade, not larger, and no worse in price than before."""
    if [(x.symbol, x.side, x.reduce_only) for x in revised.legs] != [
        (x.symbol, x.side, x.reduce_only) for x in bid.legs
    ] or (revised.agent, revised.coupled) != (bid.agent, bid.coupled):
        return "revision_turns"
    if revised.legs[0].qty > qty or any(r.qty > b.qty for r, b in zip(revised.legs, bid.legs, strict=True)):
        return "revision_grows"
    if revised.max_slippage_bps > bid.max_slippage_bps:
        return "revision_grows"
    # a cycle's prices hang together: the arbitrage review judges them anew
    now, before = revised.legs[0].limit_px, bid.legs[0].limit_px
    if bid.coupled or before is None:
        return ""
    looser = now is None or (now > before if bid.legs[0].side == "buy" else now < before)
    return "revision_grows" if looser else ""


def vote(v: Vote, pids: frozenset[bytes]) -> str:
    """Check a vote's ranges and that it is about a proposal of this round."""
    if v.pid not in pids:
        return "unknown_pid"
    if not (isfinite(v.score) and isfinite(v.conf)) or not (-1 <= v.score <= 1 and 0 <= v.conf <= 1):
        return "out_of_range"
    return ""


def opinion(o: Opinion, env: AgentEnv) -> str:
    """Check an opinion's ranges and validity interval."""
    if o.symbol not in env.instruments:
        return "unknown_symbol"
    if not (isfinite(o.direction) and isfinite(o.conf)) or not (-1 <= o.direction <= 1 and 0 <= o.conf <= 1):
        return "out_of_range"
    return "" if o.valid_to > o.valid_from and o.horizon_ms > 0 else "bad_validity"


def protect(p: Protect, env: AgentEnv) -> str:
    """Check that a stop is a price of something that is traded."""
    if p.symbol not in env.instruments:
        return "unknown_symbol"
    return "" if number(p.stop) else "bad_number"


def ranking(r: Ranking, round_: bytes, pids: frozenset[bytes]) -> str:
    """Check that a ranking is of this round, names its proposals once and carries finite numbers."""
    if r.round != round_:
        return "wrong_round"
    named = [x.pid for x in r.ranked]
    if len(set(named)) != len(named) or not pids.issuperset(named):
        return "unknown_pid"
    numbers = [r.margin_of_win, r.quorum, *(x.score for x in r.ranked), *(x.size for x in r.ranked)]
    if not all(map(isfinite, numbers)) or not all(0 <= x.size <= 1 for x in r.ranked):
        return "out_of_range"
    return ""


def allocation(a: Allocation, pid: bytes) -> str:
    """Check that an allocation is for this proposal and a finite amount."""
    if a.pid != pid:
        return "unknown_pid"
    for bound in a.bounds:
        if bound.qty_max.is_nan():
            return "bad_number"
    return "" if _amount(a.max_qty) and a.margin_reserved.is_finite() else "bad_number"


def verdict(v: Verdict, pid: bytes, state_version: int, now: int) -> str:
    """Check that a verdict is for this proposal, this state and still valid."""
    if v.pid != pid:
        return "unknown_pid"
    if v.state_version != state_version:
        return "stale_version"
    if v.valid_until <= now:
        return "expired_verdict"
    return "" if _amount(v.max_qty) else "bad_number"


def counter(c: Counter, pid: bytes) -> str:
    """Check that a counter is about this proposal and carries usable numbers."""
    if c.pid != pid:
        return "unknown_pid"
    if not (number(c.qty_max) and number(c.px_limit)):
        return "bad_number"
    if (c.style is not None and c.style not in STYLES) or c.tif not in (None, *TIFS):
        return "unknown_enum"
    if len(c.split) > MAX_CHILDREN:
        return "bad_split"
    for child in c.split:
        if not number(child.qty) or not 0 <= child.delay_ms <= MAX_DELAY_MS:
            return "bad_split"
    return ""
