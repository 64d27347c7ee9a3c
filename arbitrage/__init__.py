"""Riskless-by-construction trades: pure maths over books, no agent and no order."""

from .costs import Costs, legs_bps
from .triangular import Cycle, Edge, Layout, LegOrder, Scanner, directed_cycles, implied_price, size

__all__ = [
    "Costs",
    "Cycle",
    "Edge",
    "Layout",
    "LegOrder",
    "Scanner",
    "directed_cycles",
    "implied_price",
    "legs_bps",
    "size",
]
