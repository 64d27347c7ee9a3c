"""Which answers the desk understands: who may say what, and whether the numbers can be traded.

An answer that fails here never reaches scoring; its agent gets `NotUnderstood` and
a strike. Each check gives a code, or the empty string when all is well.
"""

from decimal import Decimal
from math import isfinite

from parley.agent import AgentEnv
from parley.messages import (
    Allocation,
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
    Ranking,
    Refuse,
    ScheduleDone,
    Verdict,
    Vote,
    WeightUpdate,
)
from parley.view import FirmView

SIDES = ("buy", "sell")
TIFS = ("GTC", "IOC", "FOK")
MAX_NOTE = 256
COLLAR = Decimal("0.10")  # a limit further than this from the mid is a typing error, not a price

MAY_SAY: dict[str, frozenset[type]] = {
    "strategy": frozenset({Proposal, Refuse, CounterReply, AnalysisReady}),
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
    named = getattr(message, "agent", agent)
    return "" if named == agent else "foreign_name"


def _number(value: Decimal | None) -> bool:
    return value is None or (value.is_finite() and value > 0)


def proposal(p: Proposal, env: AgentEnv, view: FirmView, books: dict[str, Book]) -> str:
    """Check a proposal's schema, grid, price collar and, for reductions, that there is something to reduce."""
    if not p.legs or len(p.legs) > 8:
        return "bad_leg_count"
    if not (isfinite(p.edge_bps) and isfinite(p.conf) and isfinite(p.max_slippage_bps)):
        return "not_finite"
    if not 0.0 <= p.conf <= 1.0 or p.max_slippage_bps < 0 or p.horizon_ms <= 0 or p.ttl_ns <= 0:
        return "out_of_range"
    if not (_number(p.stop) and _number(p.take)) or len(p.why) > MAX_NOTE:
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
    if not (_number(qty) and _number(px)):
        return "bad_number"
    if instrument.qty(qty) != qty or (px is not None and instrument.price(px, "near") != px):
        return "off_grid"
    book = books.get(symbol)
    if book is None or not book.bids or not book.asks:
        return "no_book"
    mid = Decimal(repr(book.mid))
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


def ranking(r: Ranking, round_: bytes, pids: frozenset[bytes]) -> str:
    """Check that a ranking is of this round, names its proposals once and carries finite numbers."""
    if r.round != round_:
        return "wrong_round"
    named = [x.pid for x in r.ranked]
    if len(set(named)) != len(named) or not pids.issuperset(named):
        return "unknown_pid"
    numbers = [r.margin_of_win, r.quorum, *(x.score for x in r.ranked), *(x.size for x in r.ranked)]
    if not all(isfinite(x) for x in numbers) or not all(0 <= x.size <= 1 for x in r.ranked):
        return "out_of_range"
    return ""


def allocation(a: Allocation, pid: bytes) -> str:
    """Check that an allocation is for this proposal and a finite amount."""
    if a.pid != pid:
        return "unknown_pid"
    return "" if a.max_qty.is_finite() and a.max_qty >= 0 and a.margin_reserved.is_finite() else "bad_number"


def verdict(v: Verdict, pid: bytes, state_version: int, now: int) -> str:
    """Check that a verdict is for this proposal, this state and still valid."""
    if v.pid != pid:
        return "unknown_pid"
    if v.state_version != state_version:
        return "stale_version"
    if v.valid_until <= now:
        return "expired_verdict"
    return "" if v.max_qty.is_finite() and v.max_qty >= 0 else "bad_number"


def counter(c: Counter, pid: bytes) -> str:
    """Check that a counter is about this proposal and carries usable numbers."""
    if c.pid != pid:
        return "unknown_pid"
    if not (_number(c.qty_max) and _number(c.px_limit)):
        return "bad_number"
    if c.style not in (None, "market", "limit", "post_only", "twap") or c.tif not in (None, *TIFS):
        return "unknown_enum"
    if any(not _number(child.qty) or child.delay_ms < 0 for child in c.split):
        return "bad_split"
    return ""
