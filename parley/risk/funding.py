"""What an opening in contracts is expected to pay for being held.

Problem: funding moves from longs to shorts, or back, at fixed times; an edge of a few basis points is gone
when the next payment is larger.

Not here: what was paid (`parley.ledger`), what the payments of later intervals will be: nobody knows them.

Invariant: what is not known costs nothing here, is None and never 0.
"""

from collections.abc import Mapping
from math import isfinite

from parley.messages import Mark, Proposal

BPS = 10_000.0
_MS = 1_000_000


def funding_bps(mark: Mark | None, side: str, now: int, horizon_ms: int) -> float | None:
    """Return what a position pays until its horizon, in basis points of its worth; below 0 it is paid.

    At a positive rate longs pay. 0 when the next payment falls behind the horizon; None when rate or time of
    the next one is not known. ``now`` is market time in ns.
    """
    if mark is None or mark.rate is None or not isfinite(mark.rate) or mark.next_funding <= now:
        return None
    if mark.next_funding > now + horizon_ms * _MS:
        return 0.0
    return (mark.rate if side == "buy" else -mark.rate) * BPS


def left_after_funding(
    proposal: Proposal, marks: Mapping[str, Mark], now: int, fees_bps: float
) -> tuple[float, float] | None:
    """Return (expected payment, what of the edge ``fees_bps`` leave for it); None where nothing is paid.

    Both in basis points of the proposal's worth. One that claims no edge is not held to one, and payments
    that are not known count as none.
    """
    told = [
        funding_bps(marks.get(leg.symbol), leg.side, now, proposal.horizon_ms) or 0.0 for leg in proposal.legs
    ]
    paid = sum(told)
    return (paid, proposal.edge_bps - fees_bps) if paid > 0.0 < proposal.edge_bps else None
