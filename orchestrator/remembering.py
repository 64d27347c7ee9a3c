"""Keeps what was said in a round until the market has shown what it was worth.

Not here: marking it (`outcomes`). Invariant: every vote and proposal is kept, executed or not.
"""

from .market import Market
from .negotiation import Negotiation
from .outcomes import Outcomes
from .table import Table
from .talk import Talk


def remember(talk: Talk, outcomes: Outcomes, negotiation: Negotiation, market: Market, table: Table) -> None:
    """Keep every proposal and vote of a round to be marked against the market later."""
    if not talk.votes:
        return
    by_pid = {p.pid: p for p in talk.bids}
    regime = negotiation.regime(talk.round.symbol)
    for vote in talk.votes:
        bid = by_pid[vote.pid]
        leg = bid.legs[0]
        book = market.books.get(leg.symbol)
        # a cycle has no direction, and an exit claims nothing that a mark-out could judge
        if vote.abstain or bid.coupled or bid.reduce_only:
            continue
        if book is None or not book.bids or not book.asks:
            continue
        buys = leg.side == "buy"
        outcomes.add(
            round=talk.round.id,
            pid=vote.pid,
            agent=vote.agent,
            kind="proposal" if vote.agent == bid.agent else "vote",
            symbol=leg.symbol,
            regime=regime,
            side=1 if buys else -1,
            score=vote.score,
            conf=vote.conf,
            executable_px=book.asks[0][0] if buys else book.bids[0][0],
            horizon_ms=bid.horizon_ms,
            cost_bps=float(table.env.instruments[leg.symbol].taker_fee) * 1e4,
            sigma_bps=market.sigma_bps(leg.symbol, bid.horizon_ms),
            t=table.now,
        )
