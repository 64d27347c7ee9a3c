"""Order books kept from snapshots and messages: exact, or silent."""

from .book import Checksum, Diff, Level, OrderBook, Outcome, Reach, Snapshot, Stale
from .grid import Grid, grid_of, scaled
from .levels import ASK, BID, Levels, PlainLists, Storage, Whole
from .sequence import RULES, Rule, Verdict, judge

__all__ = [
    "ASK", "BID", "RULES", "Checksum", "Diff", "Grid", "Level", "Levels", "OrderBook", "Outcome",
    "PlainLists", "Reach", "Rule", "Snapshot", "Stale", "Storage", "Verdict", "Whole", "grid_of", "judge",
    "scaled",
]  # fmt: skip
