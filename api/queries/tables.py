"""The lists of the API: columns, order, and what may be asked of each.

Invariant: the key of a list is set when a row is added and never changes.
"""

from typing import Final

from api.queries.listing import Listing

ROUNDS: Final = Listing(
    "parley.rounds",
    "round, opened_seq, t, symbol, trigger, asked, outcome, agent, proposals, reason_by, reason_code,"
    " reason_detail, decided_seq",
    ("opened_seq",),
)
ORDERS: Final = Listing(
    "parley.orders",
    "iid, cid, seq, changed_seq, round, pid, agent, leg, child, account, venue, symbol, side, style, tif,"
    " reduce_only, qty, px, ref_px, state, filled, quote, fees, venue_id, cause, t",
    ("seq",),
)
FILLS: Final = Listing(
    "parley.fills",
    "venue, account, symbol, trade_id, seq, iid, venue_id, side, qty, px, fee, fee_asset, liquidity, t",
    ("seq",),
)
POSITIONS: Final = Listing(
    "parley.positions",
    "account, symbol, seq, t, qty, avg_px, realised, unrealised, mark",
    ("account", "symbol"),
)
EQUITY: Final = Listing(
    "parley.equity",
    "account, seq, t, equity, peak, day_open, realised, fees, trading",
    ("seq", "account"),
)
AGENTS: Final = Listing(
    "parley.agents",
    "agent, role, factory, words, opinions, proposals, refusals, silences, lates, faults, strikes,"
    " quarantined, weight, last_seq, last_at",
    ("agent",),
)
