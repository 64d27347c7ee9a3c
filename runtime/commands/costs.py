"""`parley costs`: what working orders cost against the prices at which they were decided.

Not here: finding it out (`runtime.shortfall`). Invariant: the parts of a line sum to its total; what is shown
in basis points is of the value that was wanted, at the decision's price.
"""

from decimal import Decimal
from pathlib import Path
from typing import Final

from parley.errors import UserError, nearest
from parley.execution.shortfall import Shortfall
from runtime.history import config_of, entries, newest_journal, open_journal
from runtime.output import console, money, print_json, table
from runtime.settings import Settings
from runtime.shortfall import BPS, COST_KINDS, Costs, grouped

BY: Final = ("style", "agent", "symbol")
PARTS: Final = ("delay", "spread", "impact", "fees", "opportunity")


def show_costs(settings: Settings, path: Path | None, *, by: str, symbol: str | None, as_json: bool) -> int:
    """Print the shortfall of a run's orders by group; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal, group or pair.
    """
    reader = open_journal(path or newest_journal(settings.home))
    run = config_of(reader)
    if by not in BY:
        raise UserError(f"orders are put together by style, agent or symbol, not by {by!r}")
    pairs = sorted({*run.desk.symbols, *run.instruments})
    if symbol is not None and symbol not in pairs:
        raise UserError(f"there is no pair {symbol!r}: {nearest(symbol, pairs)}")
    costs = Costs(run.instruments)
    for entry in entries(reader, COST_KINDS):
        costs.take(entry.message)
    orders = [order for order in costs.orders() if symbol in (None, order.symbol)]
    groups = grouped(orders, by)
    if as_json:
        print_json({"journal": str(reader.path), "by": by, "groups": groups, "orders": orders})
        return 0
    if not orders:
        console().print("no orders yet" if symbol is None else f"no orders on {symbol}")
        return 0
    shown = table(by, "orders", "children", "wanted", "filled", *(f"{part} bps" for part in PARTS),
                  "total bps", "total")  # fmt: skip
    for g in groups:
        shown.add_row(
            g.name, str(g.orders), str(g.children), f"{money(g.wanted)} {g.quote}", f"{g.filled:.0%}",
            *(bps(getattr(g.cost, part), g.wanted) for part in PARTS), bps(g.cost.total, g.wanted),
            money(g.cost.total, 4),
        )  # fmt: skip
    out = console()
    out.print(shown)
    out.print("against the mid at the decision; positive is worse", style="dim")
    elsewhere = {asset for order in orders for asset in order.fees_elsewhere}
    if elsewhere:
        out.print(f"fees in {', '.join(sorted(elsewhere))} are in no sum: nobody says what they are worth")
    return 0


def bps(amount: Decimal, of: Decimal) -> str:
    """Write an amount as basis points of another."""
    return f"{amount / of * BPS:+.2f}" if of else ""


def told(cost: Shortfall, of: Decimal, quote: str) -> str:
    """Write a shortfall on one line: its parts in basis points, its total also as money."""
    parts = ", ".join(f"{part} {bps(getattr(cost, part), of)}" for part in PARTS)
    return f"{bps(cost.total, of)} bps = {parts}; {money(cost.total, 4)} {quote}"
